"""A reproducer for every known defect of a runtime: a small model in which the plugin reports the row.
A test that fails here is good news: the runtime has mended the defect, and the row needs an upper version bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
import torch
from packaging.specifiers import SpecifierSet
from torch import nn
from torch.export import Dim

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy.known_defects.match import is_installed
from pytest_exportcheck.policy.known_defects.row import KnownDefect
from pytest_exportcheck.policy.known_defects.runtimes import ROWS
from pytest_exportcheck.records import Case, Origin, Outcome, Status
from pytest_exportcheck.run.runner import Runner
from pytest_exportcheck.run.runtime_edges import RuntimeHost, with_runtimes
from pytest_exportcheck.runtimes import bundled
from pytest_exportcheck.runtimes.package_cache import PackageCache


class Counts(nn.Module):
    """A buffer that every call changes."""

    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        return x * self.calls


class AddsToInput(nn.Module):
    def forward(self, x: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        total.add_(x)
        return x * 2


class ReturnsNumber(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return x + 1, 3


class AddsRows(nn.Module):
    """The program has zeros of the example's size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.zeros(x.shape)


class Doubles(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


@dataclass(frozen=True)
class Reproducer:
    """A model and its inputs. ``status`` is that of the item: wrong outputs of declared inputs fail."""

    build: Callable[[], nn.Module]
    args: Callable[[], tuple[torch.Tensor, ...]]
    status: Status = Status.KNOWN
    options: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


COUNTS = Reproducer(Counts, lambda: (torch.randn(3),), Status.FAILED)
ADDS = Reproducer(AddsToInput, lambda: (torch.randn(3), torch.zeros(3)))
NUMBER = Reproducer(ReturnsNumber, lambda: (torch.randn(3),))
IMAGE = Reproducer(Doubles, lambda: (torch.randn(1, 3, 2, 2),))
BATCH = Reproducer(
    Doubles,
    lambda: (torch.randn(2, 3),),
    Status.KNOWN,
    {"dynamic_shapes": ({0: Dim("batch", max=8)},)},
    {"AOTI_RUNTIME_CHECK_INPUTS": "1"},
)

REPRODUCERS = {
    "onnx-forgets-buffers": COUNTS,
    "onnx-outputs-of-forgotten-buffers": COUNTS,
    "onnx-drops-input-mutation": ADDS,
    "onnx-constant-output": NUMBER,
    "openvino-forgets-buffers": COUNTS,
    "openvino-outputs-of-forgotten-buffers": COUNTS,
    "openvino-drops-input-mutation": ADDS,
    "openvino-constant-output": NUMBER,
    "openvino-dynamic-inputs": Reproducer(AddsRows, lambda: (torch.randn(2, 3),)),
    "executorch-channels-last": IMAGE,
    "aoti-unchecked-inputs": IMAGE,
    "aoti-unchecked-mutated-inputs": Reproducer(AddsToInput, lambda: (torch.randn(3, 4), torch.zeros(3, 4))),
    "aoti-lower-bound": BATCH,
}

#: The rows that the CI looks at; the others are for the night.
QUICK = {"onnx-forgets-buffers", "executorch-channels-last"}


def cases() -> list[object]:
    """Return every row on every runtime that has the defect."""
    return [
        pytest.param(row, runtime, id=f"{row.id}-{runtime}", marks=marks_of(row, runtime))
        for row in ROWS
        for runtime in row.stages
    ]


def marks_of(row: KnownDefect, runtime: str) -> list[pytest.MarkDecorator]:
    slow = [] if row.id in QUICK and runtime == row.stages[0] else [pytest.mark.slow]
    return [pytest.mark.runtime(runtime), *slow]


def found(reproducer: Reproducer, runtime: str) -> Outcome:
    """Return the outcome of the item of a runtime."""
    case = Case(
        name="reproducer",
        build=reproducer.build,
        origin=Origin("known_runtime_defects", __file__, 1),
        args=reproducer.args,
        **reproducer.options,  # type: ignore[arg-type]
    )
    host = RuntimeHost(timeout=300, threads=1, cache=PackageCache())
    engine, mode = as_engine(TorchExport()), Mode.parse(f"nonstrict-{runtime}")
    runner = Runner(with_runtimes({engine.name: engine}, bundled(), host), host=host)
    runner.select([(case, engine.name, mode)])
    return runner.run(case, engine.name, mode)


@pytest.mark.parametrize(("row", "runtime"), cases())
def test_the_defect_is_still_there(row: KnownDefect, runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reproducer = REPRODUCERS[row.id]
    for name, value in reproducer.environment.items():
        monkeypatch.setenv(name, value)
    outcome = found(reproducer, runtime)
    here = SpecifierSet(row.torch).contains(torch.__version__, prereleases=True)
    if here and (not row.runtime or is_installed(row.runtime)):
        shown = outcome.status, {each.known_as for each in outcome.findings}
        assert shown[0] is reproducer.status and row.id in shown[1], f"{row.id} is mended: bound its versions: {shown}"
    else:
        assert row.id not in {each.known_as for each in outcome.findings}


def test_every_row_has_a_reproducer() -> None:
    assert sorted(REPRODUCERS) == sorted(row.id for row in ROWS)
