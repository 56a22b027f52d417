"""Genuine defects of torch: a finding that a row explains is ``known`` instead of ``broken``.

Each row has a reproducer in tests/test_known_defects.py, which fails when torch mends the defect.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from packaging.specifiers import SpecifierSet

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy.contract import column_of
from pytest_exportcheck.policy.strides import WRONG_STRIDES, WrongStrides
from pytest_exportcheck.records import Finding


@dataclass(frozen=True, kw_only=True)
class KnownDefect:
    """A genuine torch defect: the findings that it explains are ``known``. All patterns are globs.

    ``on`` is about the calls that showed it, such as ``batch=1, length=4``. ``operator`` is one that the program before the stage (at a capture: the captured one) must have; ``beside`` the id of a row that must explain
    another finding of the same item. ``always_fails``: under every profile, because there is no program to ship and the model
    has a remedy.
    """

    id: str
    title: str
    torch: str
    check: str
    kind: str
    engine: str = "torch"
    stage: str = "*"
    capture: str = "*"
    mode: str = "*"
    place: str = "*"
    expected: str = "*"
    actual: str = "*"
    field: str = "*"
    detail: str = "*"
    on: str = "*"
    operator: str = ""
    beside: str = ""
    always_fails: bool = False


KNOWN: tuple[KnownDefect, ...] = (
    KnownDefect(
        id="strict-drops-names",
        title="strict capture drops unused and tied names from the program's module and, on retrace, from its state",
        torch=">=2.13",
        stage="strict*",
        check="state",
        kind="dropped*",
    ),
    KnownDefect(
        id="keyword-in-path",
        title="a path of the module with a Python keyword (heads.class.weight) makes code that cannot be parsed; rename it",
        torch=">=2.13",
        engine="*",  # the program's module() is torch's for every engine
        check="stage",
        kind="raised",
        actual="SyntaxError: *(<eval_with_key>*",
        detail="*is a Python keyword: torch writes the path into code*",
        always_fails=True,
    ),
    KnownDefect(
        id="name-of-graph-module",
        title="a buffer, parameter or submodule called code or graph makes a program that cannot be called; rename it",
        torch=">=2.13",
        engine="*",  # the program's module() is torch's for every engine
        check="stage",
        kind="raised",
        actual="KeyError: \"attribute '*' already exists\"*",
        detail="*is an attribute of torch.fx.GraphModule*",
        always_fails=True,
    ),
    KnownDefect(
        id="copies-rename-placeholders",
        title="copying a program renames a placeholder that has the name of a Python builtin (input), but not in the signature",
        torch=">=2.13",
        engine="*",  # copies of graphs are torch's
        check="signature",
        kind="name",
        detail="*is the name of a Python builtin: torch renames such a placeholder*",
    ),
    KnownDefect(
        id="copies-renamed-refused",
        title="the verifiers refuse a copied program with a placeholder that has the name of a Python builtin",
        torch=">=2.13",
        engine="*",
        check="verifiers",
        kind="refused",
        actual="*Input spec name * does not match node name *_1",
        beside="copies-rename-placeholders",
    ),
    KnownDefect(
        id="inputs-untraced",
        title="captures record no stack traces of operations that a class of the inputs calls when it is put together",
        torch=">=2.13",
        engine="*",  # they share torch's tracer
        stage="*strict*",
        check="metadata",
        kind="stack_trace missing outside forward",
        detail="the class of an input *",
    ),
    KnownDefect(
        id="unflatten-unshares-views",
        title="unflatten gives buffers that are views of one storage storages of their own",
        torch=">=2.13",
        engine="*",  # unflatten is torch's
        stage="unflatten",
        check="state",
        kind="unshared",
    ),
    KnownDefect(
        id="retrace-region-mutations",
        title="retracing takes the result of a region without grad or with autocast for the buffer that it is, and copies it to itself",
        torch=">=2.13",
        stage="retrace",
        check="nodes",
        kind="args",
        expected="argument 1: %b_*",
        actual="argument 1: %getitem*",
        detail="of aten.copy_.default(%b_*, %getitem*)",
        operator="wrap_with_*",
    ),
    KnownDefect(
        id="strict-reorders-state",
        title="strict capture orders the program's state by first use instead of as the module does",
        torch=">=2.13",
        stage="strict*",
        check="state",
        kind="order",
    ),
    KnownDefect(
        id="strict-function-loses-gradients",
        title="strict capture puts forward() of a torch.autograd.Function into a region without grad: its gradients are lost",
        torch=">=2.13",
        stage="strict*",
        check="gradients",
        kind="*",
        detail="*forward() calls torch.autograd.Function *",
        operator="wrap_with_set_grad_enabled",
    ),
    KnownDefect(
        id="captures-list-parameters-first",
        engine="*",  # the module is made by torch of the signature, which has parameters first
        title="the module of a program lists parameters before buffers, instead of in the order of the captured module",
        torch=">=2.13",
        stage="*strict*",
        check="state",
        kind="parameters first",
    ),
    KnownDefect(
        id="loaded-constant-is-a-view",
        title="a loaded program with a tensor made in forward (torch.tensor) cannot be retraced: its constant is a view",
        torch=">=2.13",
        stage="retrace",
        check="stage",
        kind="raised",
        actual="RuntimeError: Can't detach views in-place*",
    ),
    KnownDefect(
        id="lstm-keeps-tracing-tensors",
        title="non-strict capture below autograd leaves FunctionalTensors in an LSTM's or GRU's _flat_weights",
        torch=">=2.13",
        capture="nonstrict_postdispatch",
        check="stage",
        kind="edited",
        place="module *_flat_weights*",
        detail="a plain attribute",
    ),
    KnownDefect(
        id="unflatten-graph-module",
        title="a program of a graph module cannot be called once it is unflattened: operations lack the root in nn_module_stack",
        torch=">=2.13",
        engine="*",  # unflatten is torch's
        stage="unflatten",
        check="outputs",
        kind="raised",
        actual="ValueError: treespec.unflatten(leaves): `leaves` has length * but the spec refers to a pytree that holds *",
        detail="*operations of the program lack the root module in nn_module_stack*",
    ),
    KnownDefect(
        id="serdes-refuses-empty-region",
        title="a program with a no_grad region that yields nothing cannot be loaded",
        torch=">=2.13",
        stage="serdes",
        check="stage",
        kind="raised",
        actual="*SpecViolationError: Node.meta wrap_with_set_grad_enabled is missing val field.*",
    ),
    KnownDefect(
        id="subclass-weights-below-autograd",
        title="a model with a weight of a tensor subclass cannot be captured below autograd",
        torch=">=2.13",
        stage="*_postdispatch",
        check="stage",
        kind="raised",
        actual="IndexError: list index out of range",  # no line of the model raised it
        detail="*torch raised this at torch/export/_trace.py:* in set_missing_meta_vals: *the module holds tensor subclasses: *",
    ),
    KnownDefect(
        id="subclass-weights-drop-no-grad",
        title="a capture drops the regions without grad in the functions of a tensor subclass: gradients flow through them",
        torch=">=2.13",
        stage="*strict",
        check="gradients",
        kind="gained",
        operator="export.access_subclass_inner_tensor*",
    ),
    KnownDefect(
        id="subclass-weights-unflatten",
        title="a program with a weight of a tensor subclass cannot be unflattened",
        torch=">=2.13",
        stage="unflatten",
        check="stage",
        kind="raised",
        actual="ValueError: not enough values to unpack (expected at least 1, got 0)*",
        operator="export.access_subclass_inner_tensor*",
    ),
    KnownDefect(
        id="serdes-reorders-subclass-weights",
        title="a file lists weights of tensor subclasses, which it pickles, before the others",
        torch=">=2.13",
        stage="serdes",
        check="state",
        kind="order",
        place="the program's state_dict",
        operator="export.access_subclass_inner_tensor*",
    ),
    KnownDefect(
        id="lowered-subclass-output",
        title="a lowered program that returns a tensor subclass raises: it returns the tensors that it wraps, and expects one",
        torch=">=2.13",
        stage="decompose",
        check="outputs",
        kind="raised",
        actual="ValueError: treespec.unflatten(leaves): `leaves` has length *",
        detail="*outputs are tensor subclasses: *",
    ),
    KnownDefect(
        id="serdes-sparse-placeholder",
        title="torch.export.save and load turn the val of a sparse input into that of a strided one",
        torch=">=2.13",
        stage="serdes",
        check="val",
        kind="layout",
        expected="sparse_*",
        actual="strided",
        detail="val of placeholder *",
    ),
    KnownDefect(
        id="serdes-sparse-placeholder-stride",
        title="torch.export.save and load give the val of a sparse input strides",
        torch=">=2.13",
        stage="serdes",
        check="val",
        kind="stride",
        expected="None",
        detail="val of placeholder *",
        beside="serdes-sparse-placeholder",
    ),
    KnownDefect(
        id="serdes-renames-vmap-calls",
        title="torch.export.load renames the calls that begin and end torch.vmap",
        torch=">=2.13",
        stage="serdes",
        check="nodes",
        kind="name",
        actual="*_unused",
        operator="torch._functorch.predispatch.*",
    ),
    KnownDefect(
        id="unflatten-drops-vmap-calls",
        title="unflatten drops the calls that begin and end torch.vmap: the module raises",
        torch=">=2.13",
        stage="unflatten",
        check="outputs",
        kind="raised",
        actual="RuntimeError: Either your tensor may have escaped from inside a function being vmapped*",
    ),
    KnownDefect(
        id="strict-autocast-dtypes",
        title="in regions with autocast, val of a strict capture has the dtypes that the operations have without autocast",
        torch=">=2.13",
        stage="strict*",
        check="val",
        kind="dtype",
        place="*wrap_with_autocast*",
        expected="*float16",
        actual="float32",
        operator="wrap_with_autocast",
    ),
    KnownDefect(
        id="strict-nested-autocast",
        title="a strict capture of nested autocast trusts these dtypes: the program raises at the call",
        torch=">=2.13",
        stage="strict*",
        check="outputs",
        kind="raised",
        actual="RuntimeError: Tensor dtype mismatch! Expected: *",
        operator="wrap_with_autocast",
    ),
    KnownDefect(
        id="serdes-splits-tied-parameters",
        title="torch.export.save/load turns tied parameters into separate Parameters that share storage",
        torch=">=2.13",
        stage="serdes",
        check="state",
        kind="untied",
    ),
    KnownDefect(
        id="attribute-mutation-dropped",
        engine="*",  # no program can say it
        title="tensors in a list or dict attribute that forward fills anew are constants: what forward puts there is dropped",
        torch=">=2.13",
        check="effects",
        kind="attribute mutation lost",
        place="state *[[]*",
    ),
    KnownDefect(
        id="attribute-mutated-by-capture",
        title="non-strict capture below autograd mutates tensors in plain attributes of the user's module",
        torch=">=2.13",
        capture="nonstrict_postdispatch",
        check="stage",
        kind="edited",
        place="module *[[]*",
        expected="unchanged by the capture",
    ),
    KnownDefect(
        id="postdispatch-leaves-tracing-tensors",
        title="non-strict capture below autograd leaves FunctionalTensors in attributes that hooks set, such as those of weight_norm",
        torch=">=2.13",
        capture="nonstrict_postdispatch",
        check="stage",
        kind="edited",
        place="module *",
        expected="unchanged by the capture",
        actual="changed to a FunctionalTensor",
        detail="a plain attribute",
    ),
    KnownDefect(
        id="lowering-drops-unused-random",
        title="lowering deletes a random operation whose result nobody uses: the generator no longer advances",
        torch=">=2.13",
        stage="decompose",
        check="effects",
        kind="generator untouched",
    ),
    KnownDefect(
        id="postdispatch-drops-unused-random",
        title="capture below autograd deletes a random operation whose result nobody uses",
        torch=">=2.13",
        stage="*_postdispatch",
        check="effects",
        kind="generator untouched",
    ),
    KnownDefect(
        id="strict-subgraph-module-path",
        title="in subgraphs of a strict capture nn_module_stack names a module '_export_root' that does not exist",
        torch=">=2.13",
        capture="strict*",
        check="metadata",
        kind="nn_module_stack wrong",
        place="*[[]*",
        actual="'_export_root'*",
    ),
    KnownDefect(
        id="nonstrict-traces-forward-only",
        title="non-strict capture records no stack traces in hooks, nor where forward is a lambda or a function of another name",
        torch=">=2.13",
        engine="*",  # they share torch's tracer
        stage="nonstrict*",
        check="metadata",
        kind="stack_trace missing outside forward",
    ),
    KnownDefect(
        id="nonstrict-names-wrapper-class",
        title="non-strict capture names a wrapper of torch's exporter as the class of a root that is a graph module or compiled",
        torch=">=2.13",
        stage="nonstrict*",
        check="metadata",
        kind="nn_module_stack wrong",
        actual="torch.export._trace.*.Wrapper at '', where the module has *",
    ),
    KnownDefect(
        id="serdes-drops-unused-ranges",
        title="torch.export.load drops the range of an unbacked symbol that no shape, stride or argument depends on",
        torch=">=2.13",
        stage="serdes",
        check="constraints",
        kind="range of an unused symbol dropped",
    ),
    KnownDefect(
        id="attention-lowered-merges-lengths",
        title="decomposing attention makes the lengths of keys and values one symbol: lengths that differ are refused by shape",
        torch=">=2.13",
        engine="*",  # they share torch's decompositions and symbols
        stage="decompose",
        check="constraints",
        kind="relation of keys and values",
    ),
    KnownDefect(
        id="attention-lowered-renames-symbols",
        title="decomposing attention replaces a symbol in the program that it is given, too",
        torch=">=2.13",
        engine="*",
        stage="decompose",
        check="stage",
        kind="edited",
        place="input program's metadata",
        beside="attention-lowered-merges-lengths",
    ),
    KnownDefect(
        id="loaded-lowering-drops-guards",
        title="lowering a loaded program drops its guards code; only what its shapes say is still refused",
        torch=">=2.13",
        mode="*-[is]*-decompose",
        check="constraints",
        kind="guard",
        expected="refused by the guards",
    ),
    KnownDefect(
        id="loaded-lowering-derived-dims",
        title="a loaded program with a derived dim cannot be lowered",
        torch=">=2.13",
        mode="*-[is]*-decompose",
        check="stage",
        kind="raised",
        actual="AssertionError: expected sympy.Symbol*",
    ),
    KnownDefect(
        id="one-tensor-as-two-arguments",
        title="a capture takes one tensor that is passed as two arguments for one argument",
        torch=">=2.13",
        check="outputs",
        kind="value",
        detail="*the example inputs pass one tensor as *",
    ),
    KnownDefect(
        id="func-grad-bakes-fake-tensors",
        title="torch.func.grad in forward bakes tracing tensors in: the program's outputs have no data",
        torch=">=2.13",
        check="outputs",
        kind="type",
        actual="FakeTensor",
    ),
    KnownDefect(
        id="func-grad-mutates-fake-tensors",
        title="torch.func.grad in forward bakes tracing tensors in: the program mutates a constant without data",
        torch=">=2.13",
        check="effects",
        kind="mutation added",
        place="state lifted_tensor*",
        actual="*(FakeTensor)*",
        beside="func-grad-bakes-fake-tensors",
    ),
    KnownDefect(
        id="keyword-guards-name-error",
        title="a program with **kwargs and dynamic shapes raises NameError at the call: its guards name a variable L",
        torch=">=2.14",
        engine="*",  # module() makes the guards
        check="outputs",
        kind="raised",
        actual="NameError: name 'L' is not defined*",
    ),
    KnownDefect(
        id="conv3d-fake-stride",
        title="val of a 3d convolution on a channels-last input is contiguous where the real result is channels-last",
        torch=">=2.13",
        engine="*",  # they share torch's fake kernels
        check="val",
        kind="stride",
        expected="[[]*, 1, *, *, *]",  # five dims, channels last
        detail="val of aten.conv*",
    ),
    KnownDefect(
        id="batch-norm-fake-stride",
        title="val of batch norm on a transposed input, in eval mode, has the stride of the input",
        torch=">=2.13",
        engine="*",  # they share torch's fake kernels
        check="val",
        kind="stride",
        detail="val of aten.*batch_norm*",
    ),
    KnownDefect(
        id="batch-norm-fake-stride-lowered",
        title="lowering trusts the wrong stride of batch norm on a transposed input: the program fails at the call",
        torch=">=2.13",
        engine="*",  # they share torch's fake kernels
        check="outputs",
        kind="raised",
        actual="RuntimeError: view size is not compatible with input tensor's size and stride*",
        beside="batch-norm-fake-stride",
    ),
    KnownDefect(
        id="eval-dropout-fake-stride",
        title="val of dropout in eval mode is contiguous where the real result has the stride of the input",
        torch=">=2.13,<2.14",
        engine="*",  # they share torch's fake kernels
        check="val",
        kind="stride",
        detail="val of aten.dropout*",
    ),
    KnownDefect(
        id="attention-mask-below-autograd",
        title="below autograd attention with a mask that requires grad takes a kernel that is not differentiable in it",
        torch=">=2.13",
        engine="*",  # the kernel is torch's
        capture="*_postdispatch",
        check="gradients",
        kind="raised",
        place="the call",
        actual="*is not differentiable with respect to argument 'attn_mask'*",
    ),
    KnownDefect(
        id="loaded-attention-recapture",
        title="a loaded program with attention below autograd cannot be captured below autograd again: fake modes get mixed",
        torch=">=2.13",
        capture="*_postdispatch",
        mode="*-[is]*-retrace",
        check="stage",
        kind="raised",
        actual="AssertionError: fake mode (*doesn't match mode (*",
        operator="aten._scaled_dot_product_*",
    ),
    KnownDefect(
        id="attention-lowered-view",
        title="decomposing attention crashes where a view follows: the decomposition has other strides",
        torch=">=2.13",
        engine="*",  # they share torch's decompositions
        stage="decompose",
        check="stage",
        kind="raised",
        actual="*Cannot view a tensor with shape *",
        operator="aten.*scaled_dot_product_*attention*",
    ),
    KnownDefect(
        id="attention-lowered-stride",
        title="decomposed attention returns other strides than eager",
        torch=">=2.13",
        engine="*",  # they share torch's decompositions
        stage="decompose",
        check="outputs",
        kind="stride",
        operator="aten.*scaled_dot_product_*attention*",
    ),
    KnownDefect(
        id="lowering-drops-no-grad",
        title="lowering drops regions without grad: gradients flow through them",
        torch=">=2.13",
        stage="decompose",
        check="gradients",
        kind="[gv]a*",
        operator="wrap_with_set_grad_enabled",
    ),
    KnownDefect(
        id="lowering-drops-detach",
        title="lowering drops detach: gradients flow through it",
        torch=">=2.13",
        stage="decompose",
        check="gradients",
        kind="[gv]a*",
        operator="aten.detach.default",
    ),
    KnownDefect(
        id="serdes-hop-results",
        title="on load, the results of a higher-order operator get its provenance instead of their own, or none",
        torch=">=2.13",
        stage="serdes",
        check="metadata",
        kind="*dropped",
        detail="a result of the higher-order operator *",
    ),
    KnownDefect(
        id="serdes-hop-results-function",
        title="on load, the results of a region without grad or with autocast get its torch_fn and module path for their own",
        torch=">=2.13",
        stage="serdes",
        check="metadata",
        kind="[tn]*changed",
        detail="a result of the higher-order operator wrap_with_*",
    ),
    KnownDefect(
        id="serdes-fetched-results",
        title="on load, a result of torch.unique that the exporter fetched again gets the provenance of the operation",
        torch=">=2.13",
        stage="serdes",
        check="metadata",
        kind="torch_fn changed",
        expected="(getitem_*, builtin_function_or_method.getitem)",
        detail="a result of aten.*",
    ),
    KnownDefect(
        id="serdes-fetched-results-sources",
        title="on load, a result of torch.unique that the exporter fetched again gains the sources of the operation",
        torch=">=2.13",
        stage="serdes",
        check="metadata",
        kind="* gained",
        field="[fs]*",
        expected="none",
        detail="a result of aten.*",
        beside="serdes-fetched-results",
    ),
    KnownDefect(
        id="serdes-custom-as-json",
        title="save and load turn custom metadata into JSON: tuples become lists, keys strings",
        torch=">=2.13",
        stage="serdes",
        check="metadata",
        kind="custom turned into JSON",
    ),
    KnownDefect(
        id="serdes-drops-custom-of-placeholders",
        title="save drops the custom metadata of placeholders and of the output",
        torch=">=2.13",
        stage="serdes",
        check="metadata",
        kind="custom dropped",
        field="[po]*.custom",
    ),
    KnownDefect(
        id="serdes-return-types",
        title="a program that returns torch.return_types cannot be saved",
        torch=">=2.13",
        stage="serdes",
        check="stage",
        kind="raised",
        actual="NotImplementedError: No registered serialization name for <class 'torch.return_types.*",
    ),
    KnownDefect(
        id="serdes-symbolic-bool-output",
        title="a program that returns a comparison of sizes cannot be saved",
        torch=">=2.13",
        stage="serdes",
        check="stage",
        kind="raised",
        actual="AssertionError: TODO*",
    ),
    KnownDefect(
        id="serdes-names-with-separators",
        title="a program with a comma, semicolon or parenthesis in a module's name is saved and cannot be loaded",
        torch=">=2.13",
        stage="serdes",
        check="stage",
        kind="raised",
        detail="*expected metadata_split to return 3 parts*",
    ),
    KnownDefect(
        id="interop-names-with-separators",
        title="torch's loader drops the module paths of operations in a module whose name has a comma, semicolon or parenthesis",
        torch=">=2.13",
        stage="interop",
        check="metadata",
        kind="nn_module_stack changed",
        expected="*[,;()]*",
        actual="()",
    ),
    KnownDefect(
        id="serdes-str-output",
        title="a program that returns a str is saved and cannot be loaded",
        torch=">=2.13",
        stage="serdes",
        check="stage",
        kind="raised",
        detail="*Unable to deserialize output node Argument(as_string=*",
    ),
    KnownDefect(
        id="retrace-region-module-paths",
        title="retracing loses the paths of modules called in a region without grad or with autocast",
        torch=">=2.13",
        stage="retrace",
        check="metadata",
        kind="nn_module_stack changed",
        place="*[[]*",
        operator="wrap_with_*",
    ),
    KnownDefect(
        id="retrace-region-result-paths",
        title="retracing loses the module paths of the results of a region without grad or with autocast",
        torch=">=2.13",
        stage="retrace",
        check="metadata",
        kind="nn_module_stack changed",
        detail="a result of the higher-order operator wrap_with_*",
    ),
    KnownDefect(
        id="retrace-grows-module-stack",
        title="every retrace puts its own root before the keys of nn_module_stack: L__self__L__self__",
        torch=">=2.13",
        stage="retrace",
        check="stability",
        kind="changed",
        field="nn_module_stack",
        actual="*L__self__L__self__L__self__*",
    ),
    KnownDefect(
        id="guards-refuse-zero-and-one",
        title="guards refuse a declared size of 0 or 1: capture takes every dynamic dim for longer",
        torch=">=2.13",
        engine="*",  # module() makes the guards
        stage="fuzz",
        check="sizes",
        kind="narrowed",
        actual="AssertionError: Guard failed:*",
        on="*=[01],*",
    ),
    KnownDefect(
        id="unflatten-refuses-zero",
        title="a module made by unflatten refuses a declared size of 0 or 1 of a derived dim",
        torch=">=2.13",
        engine="*",  # unflatten is torch's
        mode="*unflatten-fuzz",
        check="sizes",
        kind="narrowed",
        actual="RuntimeError: Expected input *to be of the form*",
        on="*=[01],*",
    ),
    KnownDefect(
        id="lower-bounds-up-to-two-dropped",
        title="a declared lower bound of 1 or 2 is not enforced: the program takes sizes 0 and 1 and computes something else",
        torch=">=2.13",
        engine="*",  # module() makes the checks of ranges
        stage="fuzz",
        check="sizes",
        kind="accepted *",
        on="*=[01],*",
    ),
)


def _of_strides(fact: WrongStrides) -> KnownDefect:
    """The row of an operator whose strides are wrong in metadata, or after a stage."""
    if fact.where:
        return KnownDefect(
            id=fact.id,
            title=fact.title,
            torch=fact.torch,
            engine="*",  # the decompositions and kernels are torch's, whoever traces
            stage=fact.where,
            check="outputs",
            kind="stride",
            operator=fact.operator,
        )
    detail = f"val of {fact.operator}(*"
    return KnownDefect(
        id=fact.id, title=fact.title, torch=fact.torch, engine="*", check="val", kind="stride", detail=detail
    )


KNOWN += tuple(map(_of_strides, WRONG_STRIDES))


def judge(
    findings: Iterable[Finding], *, engine: str, mode: str, torch_version: str, operators: Collection[str] = ()
) -> list[Finding]:
    """The findings with their verdicts: what is broken and explained by a known defect becomes ``known``."""
    findings = list(findings)
    if not findings:
        return []
    path = Mode.parse(mode)
    rows = [
        row
        for row in KNOWN
        if fnmatchcase(engine, row.engine)
        and any(fnmatchcase(stage, row.stage) for stage in (path.last, column_of(path.last)))
        and fnmatchcase(path.capture, row.capture)
        and fnmatchcase(mode, row.mode)
        and SpecifierSet(row.torch).contains(torch_version, prereleases=True)
    ]
    first = [_judged(finding, [row for row in rows if not row.beside], operators) for finding in findings]
    found = {finding.known_as for finding in first if finding.verdict == "known"}
    return [_judged(finding, [row for row in rows if row.beside in found], operators) for finding in first]


def _judged(finding: Finding, rows: Iterable[KnownDefect], operators: Collection[str]) -> Finding:
    """A finding that a row explains. What is lost stays so, and names the row; what is known already stays so."""
    if finding.verdict not in ("broken", "lost") or finding.known_as:
        return finding
    about = operators if finding.operators is None else finding.operators
    row = next((row for row in rows if _explains(row, finding) and _is_about(row, about)), None)
    if row is None:
        return finding
    return replace(finding, verdict="known" if finding.verdict == "broken" else "lost", known_as=row.id)


def _is_about(row: KnownDefect, operators: Collection[str]) -> bool:
    return not row.operator or any(fnmatchcase(each, row.operator) for each in operators)


def _explains(row: KnownDefect, finding: Finding) -> bool:
    on = "".join(f"{each}," for each in finding.on)
    return (
        finding.check == row.check
        and fnmatchcase(on, row.on)
        and all(
            fnmatchcase(getattr(finding, name), getattr(row, name))
            for name in ("kind", "place", "field", "expected", "actual", "detail")
        )
    )
