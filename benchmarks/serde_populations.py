"""The reference reader and writer over whole populations of programs, held against torch's.

    python -m benchmarks.serde_populations [--write PATH] [--only NAME,...] [--strict] [--every N]

Every item is captured by torch.export, without Dynamo; ``--strict`` captures all but modules and operators with it
too. ``benchmarks.roundtrips`` says what is asked of a program. Exits with 1 where the reference reader or writer is at fault.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
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

from benchmarks import populations
from benchmarks.populations import Model, sampled
from benchmarks.roundtrips import LOSSLESS, PAIRS, faults, judged, one_line
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.raised import quiet
from pytest_exportcheck.snapshot import preserved_globals, seed_everything
from pytest_exportcheck.sources import cases_from
from pytest_exportcheck.subject import set_up
from pytest_exportcheck.tensors import copy_tree

LIMIT = 300  # seconds for one item
#: Large, and much like others.
HEAVY = ("resnext50_32x4d", "wide_resnet50_2", "densenet121", "vgg11", "alexnet")
Items = Iterator[tuple[str, Callable[[], Model]]]


def declared(*specs: str) -> Items:
    """The cases of these sources but for those that are to be refused."""
    for spec in specs:
        for name, case in cases_from(spec).cases.items():
            if not case.rejected_at("capture"):
                yield name.rpartition(":")[2], partial(_set_up, case)


def _set_up(case: Any) -> Model:
    subject = set_up(case, 0)
    call = subject.example
    return Model(case.name, lambda: subject.module, call.args, dict(call.kwargs), subject.dynamic_shapes)


def corpus() -> Items:
    folder = Path(__file__).parents[1] / "cases"
    return declared(*(f"import:cases.{path.stem}:*" for path in sorted(folder.glob("case_*.py"))))


def operators() -> Items:
    from torch.testing._internal.common_methods_invocations import op_db

    for name, info in sorted({each.name: each for each in op_db}.items()):
        yield name, partial(sampled, name, info)


def higher_order() -> Items:
    from torch.testing._internal.hop_db import hop_db

    for info in hop_db:
        yield f"{info.name} {info.variant_test_name}".strip(), partial(sampled, info.name, info)


def modules() -> Items:
    with preserved_globals():
        models = list(populations.modules())
    for model in models:
        yield model.name, lambda model=model: model  # type: ignore[misc]


def _of(source: str, names: Sequence[str]) -> Callable[[], Items]:
    return partial(declared, *(f"{source}:{name}" for name in names))


#: Population -> its items, and whether ``--strict`` captures it with Dynamo too.
POPULATIONS: Mapping[str, tuple[Callable[[], Items], bool]] = {
    "exportdb": (_of("exportdb", "*"), True),
    "cases": (corpus, True),
    "torchvision": (_of("torchvision", [name for name in populations.VISION if name not in HEAVY]), True),
    "timm": (_of("timm", populations.TIMM), True),
    "transformers": (_of("transformers", populations.TRANSFORMERS), True),
    "higher-order operators": (higher_order, True),
    "modules": (modules, False),
    "operators": (operators, False),
}


@dataclass
class Tally:
    """What became of the items of one population: ``wrong`` has (stage, reason) -> names."""

    name: str
    tried: int = 0
    captured: int = 0
    good: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*PAIRS, LOSSLESS), 0))
    wrong: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    seconds: float = 0.0
    ours_at_fault: int = 0

    def note(self, stage: str, reason: str, name: str) -> None:
        self.wrong.setdefault((stage, reason), []).append(name)

    def add(self, name: str, found: Mapping[str, str]) -> None:
        """Of the pairs with one half of torch's, only programs that its own pair handles are counted."""
        self.captured += 1
        wrong = faults(found)
        self.ours_at_fault += bool(wrong)
        for stage, reason in ({PAIRS[0]: found[PAIRS[0]]} | wrong).items():
            if reason:
                self.note(stage, reason, name)
        for stage in self.good:
            self.good[stage] += not found[stage] and not (stage in PAIRS[1:3] and found[PAIRS[0]])


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"took longer than {seconds} seconds")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def run(model: Model, program: Any) -> Any:
    """All that a program computes: outputs, its inputs as it leaves them, and its state. Memory that nobody writes is filled."""
    with preserved_globals():
        torch.use_deterministic_algorithms(True, warn_only=True)
        seed_everything(0)
        module = program.module()
        given, named = copy_tree((model.args, model.kwargs))
        outputs = module(*given, **named)
        return outputs, given, named, dict(module.state_dict())


def captured(model: Model, strict: bool = False) -> torch.export.ExportedProgram:
    args, kwargs = copy_tree((model.args, model.kwargs))
    return TorchExport().export(model.build(), args, kwargs, dynamic_shapes=model.shapes, strict=strict)


def judge(tally: Tally, name: str, make: Callable[[], Model], strict: bool) -> None:
    tally.tried += 1
    started = time.perf_counter()
    stage = "captured"
    try:
        with limited(LIMIT), quiet(), contextlib.redirect_stdout(io.StringIO()), preserved_globals():
            model = make()
            program = captured(model, strict)
            stage = "run"
            found = judged(program, partial(run, model))
        tally.add(name, found)
        said = "; ".join(f"{stage}: {reason}" for stage, reason in found.items() if reason) or "good"
    except (Exception, SystemExit) as error:
        said = one_line(error)
        tally.note(stage, said, name)
    print(f"{time.perf_counter() - started:7.1f} s  {tally.name}  {name}  {said}", file=sys.stderr, flush=True)


def tallied(name: str, strict: bool, every: int) -> Tally:
    population, with_dynamo = POPULATIONS[name]
    tally, started = Tally(name), time.perf_counter()
    try:
        items = list(population())[::every]
    except (SelectionError, ImportError) as error:
        tally.note("population", one_line(error), name)
        return tally
    for item, make in items:
        judge(tally, item, make, False)
        if strict and with_dynamo:
            judge(tally, f"{item} (strict)", make, True)
    tally.seconds = time.perf_counter() - started
    return tally


def table(tallies: list[Tally]) -> Iterator[str]:
    yield f"| population | tried | captured | torch's pair handles | {' | '.join(PAIRS[1:])} | lossless | seconds |"
    yield "|---" * 9 + "|"
    for each in tallies:
        if not each.tried:
            yield f"| {each.name} | left out, see below |{' |' * 7}"
            continue
        handled = each.good[PAIRS[0]]
        mixed = (f"{each.good[pair]} of {handled}" for pair in PAIRS[1:3])
        own = (f"{each.good[stage]} of {each.captured}" for stage in (PAIRS[3], LOSSLESS))
        row = (each.name, each.tried, each.captured, handled, *mixed, *own, f"{each.seconds:.0f}")
        yield f"| {' | '.join(map(str, row))} |"


LEGEND = """`captured` by torch.export, and running; those marked (strict) with Dynamo. `torch's pair handles` what torch.export.save and load bring back with
the same outputs. Then, of those, what is written by one and read by the other; and of all that were captured, what the
reference engine writes and reads. Each must give the same bits, strides and types in outputs, changed inputs and state. `lossless`: the program
read is the one written, in graphs, metadata, values, signature, ranges, guards, state and example inputs, and saved again it is the same file.
By `python -m benchmarks.serde_populations --strict --write docs/serde-populations.md`."""


def exceptions(tallies: list[Tally]) -> Iterator[str]:
    for each in tallies:
        yield from ("", f"## {each.name}", "")
        if not each.wrong:
            yield "No exception."
        for (stage, reason), names in sorted(each.wrong.items()):
            yield f"- **{stage}**: {', '.join(names)}: {reason.replace('|', '/')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="a markdown file for the table")
    parser.add_argument("--only", help=f"populations, of: {', '.join(POPULATIONS)}")
    parser.add_argument("--strict", action="store_true", help="capture with Dynamo too, where a population says so")
    parser.add_argument("--every", type=int, default=1, help="every so manieth item of each population")
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = given.only.split(",") if given.only else list(POPULATIONS)
    tallies = [tallied(name, given.strict, given.every) for name in names]
    seconds = sum(each.seconds for each in tallies)
    head = f"torch {torch.__version__}, {datetime.date.today()}, {seconds:.0f} seconds in all.\n\n{LEGEND}"
    text = "\n".join(
        ("# The reference reader and writer over populations", "", head, "", *table(tallies), *exceptions(tallies))
    )
    print(text)
    if given.write:
        given.write.write_text(f"{text}\n")
    sys.exit(any(each.ours_at_fault for each in tallies))


if __name__ == "__main__":
    main()
