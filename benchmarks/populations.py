"""The reference engine over populations that nobody here wrote: what it captures of what torch captures, and what its files keep.

    python -m benchmarks.populations [--only NAME ...] [--every N] [--write docs/differences.md]

Every model is captured by torch and by the reference exporter (non-strict) and compared: operators, signature and ranges, outputs bit for bit,
seconds. Then torch's program goes through files: written and read by the reference engine (plain programs compared whole, saved
again for the same bytes), and by each with torch's other half, where torch can read what it writes itself. A population whose package is not
installed is said to be left out. ``--every`` takes every Nth of the samples only.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import io
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.utils._pytree as pytree

from pytest_exportcheck import reference
from pytest_exportcheck.declare import cases_in
from pytest_exportcheck.serde.difference import difference
from pytest_exportcheck.serde.plain_program import plain_program
from pytest_exportcheck.sources import cases_from
from pytest_exportcheck.subject import set_up
from pytest_exportcheck.tensors import copy_tree, same_bits

VISION = (
    *(
        "resnet18",
        "resnext50_32x4d",
        "wide_resnet50_2",
        "mobilenet_v2",
        "mobilenet_v3_small",
        "squeezenet1_1",
        "mnasnet0_5",
    ),
    *("shufflenet_v2_x0_5", "densenet121", "efficientnet_b0", "convnext_tiny", "regnet_y_400mf", "alexnet", "vgg11"),
    *("swin_t", "vit_b_16", "googlenet"),
)
TIMM = ("test_vit", "test_convnext", "test_efficientnet", "test_resnet", "test_mambaout", "test_byobnet")
TRANSFORMERS = (
    "BertModel",
    "GPT2LMHeadModel",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "T5ForConditionalGeneration",
    "ViTModel",
)
#: Results are whatever stood in memory.
UNINITIALISED = ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided")
#: Captured with names of their own only, or on a GPU only.
NOT_CAPTURED = ("flex_attention", "flex_attention_backward", "invoke_quant", "local_map_hop", "inline_asm_elementwise")


@dataclass
class Model:
    name: str
    build: Callable[[], torch.nn.Module]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    shapes: Any = None


class Call(torch.nn.Module):
    """An operator as a module. What a program cannot take as an input, a dtype or a function say, is part of it."""

    def __init__(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.operator, self.kwargs, self.count = operator, kwargs, len(args)
        self.held = {place: each for place, each in enumerate(args) if not can_be_input(each)}

    def forward(self, *args: Any) -> Any:
        given = iter(args)
        all_args = [self.held[place] if place in self.held else next(given) for place in range(self.count)]
        return self.operator(*all_args, **self.kwargs)


_INPUTS = (torch.Tensor, int, float, complex, str, type(None))


def can_be_input(value: Any) -> bool:
    return all(isinstance(leaf, _INPUTS) for leaf in pytree.tree_leaves(value))


# --- populations ----------------------------------------------------------------------------


def _of_cases(cases: dict[str, Any]) -> Iterator[Model]:
    for name, case in cases.items():
        subject = set_up(case, 0)
        call = subject.example
        yield Model(
            name, partial(copy.deepcopy, subject.fresh_module()), call.args, dict(call.kwargs), subject.dynamic_shapes
        )


def _sources(prefix: str, names: tuple[str, ...]) -> Iterator[Model]:
    for name in names:
        yield from _of_cases(dict(cases_from(f"{prefix}:{name}").cases))


def corpus() -> Iterator[Model]:
    for path in sorted(Path("cases").glob("case_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec and spec.loader
        module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield from _of_cases({case.name: case for case in cases_in(module) if not case.rejected_at("capture")})


def operators() -> Iterator[Model]:
    from torch.testing._internal.common_methods_invocations import op_db

    for name, info in sorted({each.name: each for each in op_db}.items()):
        if name not in UNINITIALISED:
            yield sampled(name, info)


def higher_order() -> Iterator[Model]:
    from torch.testing._internal.hop_db import hop_db

    for info in hop_db:
        if info.name not in NOT_CAPTURED:
            yield sampled(info.name, info)


def sampled(name: str, info: Any) -> Model:
    """The first of torch's samples of an operator."""
    dtypes = info.supported_dtypes("cpu")
    usual = (torch.float32, torch.int64, *sorted(dtypes, key=str))
    dtype = next((each for each in usual if each in dtypes), torch.float32)
    torch.manual_seed(0)
    # all of them: a generator that is not at its end keeps its grad mode on
    sample, *_ = info.sample_inputs("cpu", dtype, requires_grad=False)
    args = (sample.input, *sample.args)
    return Model(name, lambda: Call(info.op, args, sample.kwargs), tuple(filter(can_be_input, args)))


def modules() -> Iterator[Model]:
    from torch.testing._internal.common_modules import module_db

    for info in module_db:
        for training in (False, True):
            dtype = torch.float64 if "Fractional" in info.name else torch.float32  # samples of those are of float64
            given = {"device": "cpu", "dtype": dtype, "requires_grad": False, "training": training}
            torch.manual_seed(0)
            sample = info.module_inputs_func(info, **given)[0]
            call = sample.forward_input
            name = f"{info.name}{' in training' if training else ''}"
            yield Model(name, partial(_module, info, sample, training), call.args, call.kwargs)


def _module(info: Any, sample: Any, training: bool) -> torch.nn.Module:
    made, call = sample.constructor_input, sample.forward_input
    torch.manual_seed(0)
    module: torch.nn.Module = info.module_cls(*made.args, **made.kwargs)
    if info.is_lazy:
        module(*call.args, **call.kwargs)
    return module.train(training)


POPULATIONS: dict[str, Callable[[], Iterator[Model]]] = {
    "exportdb": lambda: _sources("exportdb", ("*",)),
    "cases/": corpus,
    "torchvision": lambda: _sources("torchvision", VISION),
    "timm": lambda: _sources("timm", TIMM),
    "transformers": lambda: _sources("transformers", TRANSFORMERS),
    "modules": modules,
    "operators": operators,
    "higher-order operators": higher_order,
}

# --- one model ------------------------------------------------------------------------------

CHECKS = (
    *("captured", "operators", "signature", "outputs"),
    *("torch files", "torch > reference", "reference > torch", "reference > reference", "lossless", "same bytes"),
)


@dataclass
class Tally:
    """Check -> how many had it and how many were well; seconds of both exporters; what was not well, in words."""

    had: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHECKS, 0))
    well: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHECKS, 0))
    seconds: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check(self, name: str, model: str, question: Callable[[], Any]) -> Any:
        """Count what the question answers; what it raises is a no."""
        self.had[name] += 1
        try:
            answer, why = question(), ""
        except Exception as error:
            answer, why = None, f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        if answer is None or answer is False:
            self.notes.append(f"{model}: {name}{': ' + why if why else ''}")
            return None
        self.well[name] += 1
        return answer


def run(program: Any, model: Model) -> Any:
    torch.manual_seed(0)
    args, kwargs = copy_tree((model.args, model.kwargs))
    return program.module()(*args, **kwargs), args, kwargs


def same(one: Any, other: Any) -> bool:
    left, left_spec = pytree.tree_flatten(one)
    right, right_spec = pytree.tree_flatten(other)
    return left_spec == right_spec and all(_same_leaf(*pair) for pair in zip(left, right, strict=True))


def _same_leaf(one: Any, other: Any) -> bool:
    if not isinstance(one, torch.Tensor):
        return type(one) is type(other) and (one is other or repr(one) == repr(other))
    return (
        isinstance(other, torch.Tensor)
        and (one.dtype, one.shape, one.device, one.layout) == (other.dtype, other.shape, other.device, other.layout)
        and same_bits(one.detach(), other.detach())
    )


def called(program: Any) -> list[str]:
    graphs = [each for each in program.graph_module.modules() if isinstance(each, torch.fx.GraphModule)]
    return [str(node.target) for graph in graphs for node in graph.graph.nodes if node.op == "call_function"]


def through(program: Any, save: Any, load: Any) -> Any:
    buffer = io.BytesIO()
    save(program, buffer)
    return load(buffer)


def judge(model: Model, tally: Tally) -> None:
    before = time.perf_counter()
    try:
        theirs = torch.export.export(model.build(), *copied(model), dynamic_shapes=model.shapes)
    except Exception:  # not what this is about
        return
    between = time.perf_counter()
    ours = tally.check(
        "captured",
        model.name,
        lambda: reference.export(model.build(), *copied(model), dynamic_shapes=model.shapes),
    )
    tally.seconds.append((time.perf_counter() - between) / (between - before))
    try:
        expected = run(theirs, model)
    except Exception:  # an operator that captures and does not run, on this device say
        return
    theirs = torch.export.export(model.build(), *copied(model), dynamic_shapes=model.shapes)
    if ours is not None:
        tally.check("operators", model.name, lambda: called(ours) == called(theirs))
        tally.check(
            "signature",
            model.name,
            lambda: (
                (str(ours.graph_signature), str(ours.range_constraints))
                == (str(theirs.graph_signature), str(theirs.range_constraints))
            ),
        )
        tally.check("outputs", model.name, lambda: same(run(ours, model), expected))
    _judge_files(model, tally, theirs, expected)


def copied(model: Model) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args, kwargs = copy_tree((model.args, model.kwargs))
    return args, kwargs


def _judge_files(model: Model, tally: Tally, program: Any, expected: Any) -> None:
    def as_expected(save: Any, load: Any) -> bool:
        return same(run(through(program, save, load), model), expected)

    plain = plain_program(program)
    after = tally.check(
        "lossless", model.name, lambda: _lossless(plain, through(program, reference.save, reference.load))
    )
    if after is not None:
        files = [io.BytesIO(), io.BytesIO()]
        reference.save(program, files[0])
        reference.save(after, files[1])
        tally.check("same bytes", model.name, lambda: files[0].getvalue() == files[1].getvalue())
        tally.check("reference > reference", model.name, lambda: same(run(after, model), expected))
    tally.had["torch files"] += 1
    try:
        if not same(run(through(program, torch.export.save, torch.export.load), model), expected):
            return
    except Exception:  # torch's own pair cannot
        return
    tally.well["torch files"] += 1
    tally.check(
        "torch > reference", model.name, lambda: as_expected(torch.export.save, partial(reference.load, trust=True))
    )
    tally.check("reference > torch", model.name, lambda: as_expected(reference.save, torch.export.load))


def _lossless(plain: Any, after: Any) -> Any:
    return None if difference(plain, plain_program(after)) else after


# --- the table ------------------------------------------------------------------------------


def table(tallies: dict[str, Tally]) -> str:
    lines = [
        f"torch {torch.__version__}. Each cell: well, of those that had it.",
        "",
        "| population | " + " | ".join(CHECKS) + " | export time, of torch's |",
        "|---" * (len(CHECKS) + 2) + "|",
    ]
    for name, tally in tallies.items():
        cells = [f"{tally.well[check]}/{tally.had[check]}" for check in CHECKS]
        ratio = f"{median(tally.seconds):.2f}" if tally.seconds else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {ratio} |")
    lines += ["", "What is not well:", ""]
    notes = [f"- {name}: {note}" for name, tally in tallies.items() for note in tally.notes]
    return "\n".join([*lines, *(notes or ["nothing."])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=POPULATIONS, default=list(POPULATIONS))
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tallies = {}
    for name in given.only:
        tallies[name] = tally = Tally()
        try:
            models = POPULATIONS[name]()
            for number, model in enumerate(models):
                if number % given.every == 0:
                    judge(model, tally)
        except (ImportError, reference.ExportError) as error:
            tally.notes.append(f"left out: {error}")
        print(f"{name}: {tally.well}", flush=True)
    text = table(tallies)
    print(text)
    if given.write:
        head = given.write.read_text().partition("<!-- table -->")[0] if given.write.exists() else ""
        given.write.write_text(f"{head}<!-- table -->\n{text}\n")


if __name__ == "__main__":
    main()
