"""The reference engine over populations that nobody here wrote: what it captures of what torch captures, and what its files keep.

    python -m tests.differential.populations [--only NAME ...] [--every [NAME=]N ...] [--strict] [--write docs/differences.md]

Every model is captured by torch and by the reference exporter, non-strict or with ``--strict`` by Dynamo, and compared (``captures.py``);
then torch's program goes through files (``roundtrips.py``).
A population whose package is not installed is said to be left out. Exits with 1 where the reference engine is at fault.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.utils._pytree as pytree

from pytest_exportcheck import reference
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.objects import ObjectsSnapshot
from pytest_exportcheck.harness.process_state import preserved_globals, seed_everything
from pytest_exportcheck.harness.setup import set_up
from pytest_exportcheck.harness.tensors import copy_tree
from pytest_exportcheck.reference.exporter.inputs import example_of
from pytest_exportcheck.sources import cases_from
from tests.differential.captures import CHECKS, compared, lowered_alike, strict_alike
from tests.differential.roundtrips import difference_of, faults, judged, one_line
from tests.differential.tables import CAPTURED, FILES, MARKS, STAGES, Tally, table, write

VISION = (
    *("resnet18", "resnext50_32x4d", "wide_resnet50_2", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1"),
    *("mnasnet0_5", "shufflenet_v2_x0_5", "densenet121", "efficientnet_b0", "convnext_tiny", "regnet_y_400mf"),
    *("alexnet", "vgg11", "swin_t", "vit_b_16", "googlenet"),
)
TIMM = ("test_vit", "test_convnext", "test_efficientnet", "test_resnet", "test_mambaout", "test_byobnet")
TRANSFORMERS = (
    *("BertModel", "GPT2LMHeadModel", "LlamaForCausalLM", "MistralForCausalLM"),
    *("T5ForConditionalGeneration", "ViTModel"),
)
LIMIT = 300  # seconds for one model


@dataclass
class Model:
    """``build`` makes a module that shares nothing with the one before."""

    name: str
    build: Callable[[], torch.nn.Module]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    shapes: Any = None


Items = Iterator[tuple[str, Callable[[], Model]]]

# --- populations ----------------------------------------------------------------------------


def declared(*specs: str) -> Items:
    """The cases of these sources but for those that are to be refused."""
    for spec in specs:
        for name, case in cases_from(spec).cases.items():
            if not case.rejected_at("capture"):
                yield name.rpartition(":")[2], partial(_of_case, case)


def _of_case(case: Any) -> Model:
    subject = set_up(case, 0)
    call = subject.example
    return Model(
        case.name, partial(copy.deepcopy, subject.module), call.args, dict(call.kwargs), subject.dynamic_shapes
    )


def corpus() -> Items:
    folder = Path(__file__).parents[2] / "cases"
    return declared(*(f"import:cases.{path.stem}:*" for path in sorted(folder.glob("case_*.py"))))


class Call(torch.nn.Module):
    """An operator as a module. What a program cannot take as an input, a dtype or a function say, is part of it."""

    def __init__(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.operator, self.kwargs, self.count = operator, kwargs, len(args)
        self.held = {place: each for place, each in enumerate(args) if not _can_be_input(each)}

    def forward(self, *args: Any) -> Any:
        given = iter(args)
        all_args = [self.held[place] if place in self.held else next(given) for place in range(self.count)]
        return self.operator(*all_args, **self.kwargs)


_INPUTS = (torch.Tensor, int, float, complex, str, type(None))


def _can_be_input(value: Any) -> bool:
    return all(isinstance(leaf, _INPUTS) for leaf in pytree.tree_leaves(value))


def operators() -> Items:
    from torch.testing._internal.common_methods_invocations import op_db

    for name, info in sorted({each.name: each for each in op_db}.items()):
        yield name, partial(_sampled, name, info)


def higher_order() -> Items:
    from torch.testing._internal.hop_db import hop_db

    for info in hop_db:
        name = f"{info.name} {info.variant_test_name}".strip()
        yield name, partial(_sampled, name, info)


def _sampled(name: str, info: Any) -> Model:
    """The first of torch's samples of an operator."""
    _without_seeds()
    dtypes = info.supported_dtypes("cpu")
    usual = (torch.float32, torch.int64, *sorted(dtypes, key=str))
    dtype = next((each for each in usual if each in dtypes), torch.float32)
    torch.manual_seed(0)
    # all of them: a generator that is not at its end keeps its grad mode on
    sample, *_ = info.sample_inputs("cpu", dtype, requires_grad=False)
    args = (sample.input, *sample.args)
    return Model(name, lambda: Call(info.op, args, sample.kwargs), tuple(filter(_can_be_input, args)))


def _without_seeds() -> None:
    """Samples of random operators seed torch's generator in the call, which is no part of the operator, and no program can say."""
    from torch.testing._internal import common_methods_invocations

    common_methods_invocations.wrapper_set_seed = lambda op, *args, **kwargs: op(*args, **kwargs)  # type: ignore[attr-defined]


def modules() -> Items:
    from torch.testing._internal.common_modules import module_db

    for info in module_db:
        for training in (False, True):
            name = f"{info.name}{' in training' if training else ''}"
            yield name, partial(_of_module, name, info, training)


def _of_module(name: str, info: Any, training: bool) -> Model:
    dtype = torch.float64 if "Fractional" in info.name else torch.float32  # samples of those are of float64
    torch.manual_seed(0)
    sample, *_ = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=False, training=training)
    made, call = sample.constructor_input, sample.forward_input

    def build() -> torch.nn.Module:
        torch.manual_seed(0)
        module: torch.nn.Module = info.module_cls(*made.args, **made.kwargs)
        if info.is_lazy:
            module(*call.args, **call.kwargs)
        return module.train(training)

    return Model(name, build, call.args, call.kwargs)


def _of(source: str, names: Sequence[str]) -> Callable[[], Items]:
    return partial(declared, *(f"{source}:{name}" for name in names))


POPULATIONS: Mapping[str, Callable[[], Items]] = {
    "exportdb": _of("exportdb", "*"),
    "cases": corpus,
    "torchvision": _of("torchvision", VISION),
    "timm": _of("timm", TIMM),
    "transformers": _of("transformers", TRANSFORMERS),
    "higher-order operators": higher_order,
    "modules": modules,
    "operators": operators,
}

# --- one model ------------------------------------------------------------------------------


def copied(model: Model) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args, kwargs = copy_tree((model.args, model.kwargs))
    return args, kwargs


def captured(model: Model, *, strict: bool = False, pre_dispatch: bool = True) -> torch.export.ExportedProgram:
    """By torch."""
    return TorchExport().export(
        model.build(), *copied(model), dynamic_shapes=model.shapes, strict=strict, pre_dispatch=pre_dispatch
    )


def run(model: Model, program: Any) -> Any:
    """All that a program computes: outputs, its inputs as it leaves them, and its state."""
    return called(model, program.module())


def called(model: Model, module: torch.nn.Module) -> Any:
    """The same of a module. Memory that nobody writes is filled."""
    with preserved_globals():
        torch.use_deterministic_algorithms(True, warn_only=True)
        seed_everything(0)
        given, named = copied(model)
        objects = ObjectsSnapshot(module)
        objects.replaced()
        try:
            outputs = module(*given, **named)
        finally:
            objects.restore()
        return outputs, given, named, dict(module.state_dict())


def captured_alike(model: Model, strict: bool = False) -> dict[str, str]:
    """What the reference exporter makes otherwise of a model that torch captures; empty texts where nothing."""
    theirs = captured(model, strict=strict)
    try:
        ours = exported(model, strict=strict)
    except Exception as error:
        return {"captured": one_line(error)}
    eager = called(model, model.build())
    try:
        if strict:  # torch's drops buffers that are reassigned, and names that are tied
            leaves = example_of(model.build(), *copied(model)).leaves
            found = {**strict_alike(ours, theirs, [leaf.source.name for leaf in leaves]), "outputs": ""}
        else:
            found = compared(ours, theirs, partial(run, model))
        # a program's own state has buffers that are not persistent among the others
        outputs = found["outputs"] or difference_of(run(model, exported(model, strict=strict))[:-1], eager[:-1])
    except Exception as error:  # of ours: torch's program and eager ran before
        return {"captured": "", **dict.fromkeys(CHECKS, one_line(error))}
    return {"captured": "", **found, "outputs": outputs}


def exported(model: Model, *, strict: bool = False, pre_dispatch: bool = True) -> torch.export.ExportedProgram:
    """By the reference exporter."""
    return reference.export(
        model.build(), *copied(model), dynamic_shapes=model.shapes, strict=strict, pre_dispatch=pre_dispatch
    )


def lowered(model: Model) -> dict[str, str]:
    """What the reference exporter makes otherwise below autograd of what torch lowers; empty texts where nothing."""
    ways: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "core ATen": (lambda: reference.decompose(exported(model)), lambda: captured(model).run_decompositions()),
        "{}": (lambda: reference.decompose(exported(model), {}), lambda: captured(model).run_decompositions({})),
        "post-dispatch": (lambda: exported(model, pre_dispatch=False), lambda: captured(model, pre_dispatch=False)),
    }
    found = {}
    for way, (ours, torchs) in ways.items():
        try:
            theirs = torchs()
            expected = run(model, theirs)
        except Exception:  # torch cannot
            continue
        try:
            program = ours()
            found[way] = lowered_alike(program, theirs) or difference_of(run(model, program), expected)
        except Exception as error:
            found[way] = one_line(error)
    return found


# --- the tables -----------------------------------------------------------------------------


class Stopped(BaseException):
    """A model that takes too long: no stage takes this error for its own."""


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Stopped

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def judge(tally: Tally, name: str, make: Callable[[], Model], strict: bool) -> None:
    tally.tried += 1
    started = time.perf_counter()
    stage = "torch does not capture"
    try:
        with limited(LIMIT), quiet(), contextlib.redirect_stdout(io.StringIO()), preserved_globals():
            model = make()
            program = captured(model, strict=strict)
            stage = "the program does not run"
            files = judged(program, partial(run, model))
            alike = {**captured_alike(model, strict), **({} if strict else lowered(model))}
        tally.add(name, {**alike, **files}, {**alike, **faults(files)})
        said = "; ".join(f"{stage}: {reason}" for stage, reason in {**alike, **files}.items() if reason) or "good"
    except Stopped:
        said = f"took longer than {LIMIT} seconds"
        tally.note("not measured", said, name)
    except (Exception, SystemExit) as error:
        said = one_line(error)
        tally.note(stage, said, name)
    print(f"{time.perf_counter() - started:7.1f} s  {tally.name}  {name}  {said}", file=sys.stderr, flush=True)


def tallied(name: str, strict: bool, every: int) -> Tally:
    tally = Tally(name if every == 1 else f"{name} (one of {every})")
    try:
        with preserved_globals():
            items = list(POPULATIONS[name]())[::every]
    except (SelectionError, ImportError) as error:
        tally.note("left out", one_line(error), name)
        return tally
    for item, make in items:
        judge(tally, item, make, strict)
    return tally


def sampling(texts: Sequence[str]) -> dict[str, int]:
    """``N``, or ``POPULATION=N``, the last one that fits a population."""
    found = dict.fromkeys(POPULATIONS, 1)
    for text in texts:
        name, _, number = text.rpartition("=")
        if not number.isdigit() or name not in ("", *POPULATIONS):
            sys.exit(f"--every takes N or POPULATION=N, got {text!r}. Populations: {', '.join(POPULATIONS)}")
        found.update(dict.fromkeys([name] if name else POPULATIONS, int(number)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=POPULATIONS, default=list(POPULATIONS))
    parser.add_argument("--every", nargs="*", default=(), help="N or POPULATION=N: try only every Nth model")
    parser.add_argument("--strict", action="store_true", help="capture with Dynamo")
    parser.add_argument("--write", type=Path, help="a page whose table of these captures is replaced")
    given = parser.parse_args()
    torch.set_num_threads(1)
    every = sampling(given.every)
    tallies = [tallied(name, given.strict, every[name]) for name in given.only]
    stages = (*CAPTURED, *FILES) if given.strict else STAGES
    text = "\n".join((f"torch {torch.__version__}.", "", *table(tallies, stages)))
    print(text)
    if given.write:
        write(given.write, MARKS[given.strict], text)
    sys.exit(any(each.at_fault for each in tallies))


if __name__ == "__main__":
    main()
