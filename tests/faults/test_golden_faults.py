"""Every fault of a golden program is found: in the file, in what a reader makes of it, and in today's model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_exportcheck.records import Status
from tests.unit.golden_of import (
    VERSION,
    Head,
    Kept,
    edit_calls,
    edit_facts,
    edit_model,
    edit_records,
    head,
    judged,
    texts,
)

Edit = Callable[[Path], None]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the golden program of the model."""
    root = tmp_path_factory.mktemp("golden")
    outcome = judged(root, head(), update=True)
    assert (outcome.status, dict(outcome.facts)) == (Status.PASSED, {f"golden {VERSION}": "new"})
    return root


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Return the case, captured once."""
    return Kept(tmp_path_factory.mktemp("edited"), head())


def _model(change: Callable[[dict[str, Any]], None]) -> Edit:
    return lambda folder: edit_model(folder, change)


def _calls(change: Callable[[dict[str, Any]], None]) -> Edit:
    return lambda folder: edit_calls(folder, change)


def _weight(records: dict[str, bytes]) -> None:
    name = next(each for each in records if each.endswith("weights/weight_0"))
    records[name] = records[name][:3] + bytes([records[name][3] ^ 1]) + records[name][4:]


def _operator(model: dict[str, Any]) -> None:
    node = next(each for each in model["graph_module"]["graph"]["nodes"] if each["target"].endswith("relu.default"))
    node["target"] = "torch.ops.aten.sigmoid.default"


def _permuted(model: dict[str, Any]) -> None:
    module = model["graph_module"]
    module["graph"]["outputs"].reverse()
    module["signature"]["output_specs"].reverse()


def _renamed(model: dict[str, Any]) -> None:
    text = model["graph_module"]["signature"]["input_specs"][0]["parameter"]
    text["parameter_name"] = "out.kernel"


def _range(model: dict[str, Any]) -> None:
    (interval,) = model["range_constraints"].values()
    interval["max_val"] = 64


def _wider(model: dict[str, Any]) -> None:
    (interval,) = model["range_constraints"].values()
    interval["min_val"] = 0


def _output(stored: dict[str, Any]) -> None:
    stored["calls"][0]["outputs"]["output[0]"][0, 0] += 1e-6


def _dropped_output(stored: dict[str, Any]) -> None:
    del stored["calls"][0]["outputs"]["output[1]"]


def _state(stored: dict[str, Any]) -> None:
    stored["calls"][0]["state"]["calls"] += 1


def _accepted(stored: dict[str, Any]) -> None:
    stored["refused"].append(stored["calls"][0])


#: The fault -> the edit, and the findings that it must lead to, among others.
IN_THE_FILE: dict[str, tuple[Edit, list[str]]] = {
    "a changed weight": (
        lambda folder: edit_records(folder, _weight),
        ["outputs: as torch loads it: output[0]: value", "outputs: as the reference reader loads it: output[0]: value"],
    ),
    "another operator": (_model(_operator), ["outputs: as torch loads it: output[0]: value"]),
    "permuted outputs": (_model(_permuted), [f"golden: program.pt2 of {VERSION}: outputs: signature"]),
    "a renamed weight": (_model(_renamed), [f"golden: program.pt2 of {VERSION}: inputs: signature"]),
    "a narrowed range": (_model(_range), ["golden: as torch loads it: args[0].size(0): range"]),
    "a widened range": (_model(_wider), ["golden: as torch loads it: args[0].size(0): range"]),
    "a removed guard": (
        _model(lambda model: model.update(guards_code=[])),
        ["golden: as torch loads it: (L['x'].size()[0] % 2) == 0: guard"],
    ),
    "a changed output": (_calls(_output), ["outputs: as torch loads it: output[0]: value"]),
    "a dropped output": (_calls(_dropped_output), ["outputs: as torch loads it: output: structure"]),
    "a changed mutation": (_calls(_state), ["effects: as torch loads it: state calls: mutated_to_another_value"]),
    "accepted sizes": (_calls(_accepted), ["rejects: as torch loads it: the example inputs: accepted"]),
    "another interface": (
        lambda folder: edit_facts(folder, lambda facts: facts["interface"]["ranges"].clear()),
        [f"golden: program.pt2 of {VERSION}: args[0].size(0): range"],
    ),
}


@pytest.mark.parametrize("fault", IN_THE_FILE)
def test_a_fault_of_the_file_is_found(written: Path, kept: Kept, fault: str) -> None:
    edit, expected = IN_THE_FILE[fault]
    shutil.rmtree(kept.root)
    shutil.copytree(written, kept.root)
    edit(kept.root / "Head" / VERSION)
    found = texts(kept.found())
    assert set(expected) <= set(found), found


class _Gelu(Head):
    """Another activation, with the same weights."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        torch._check(x.shape[0] % 2 == 0)
        self.calls.add_(1)
        return self.out(torch.nn.functional.gelu(x)), x[: x.shape[0] // 2]


class _WithoutGuard(Head):
    """Takes odd sizes too."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls.add_(1)
        return self.out(torch.relu(x)), x[: x.shape[0] // 2]


class _OneOutput(Head):
    """Returns one output of two."""

    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x)[0]


class _Counting(Head):
    """Counts in steps of two."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls.add_(1)
        return super().forward(x)


#: The fault -> today's case, and the findings that it must lead to, among others.
TODAY: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a removed guard": ({"build": _WithoutGuard}, ["golden: today's capture: (L['x'].size()[0] % 2) == 0: guard"]),
    "one output": ({"build": _OneOutput}, ["golden: today's capture: outputs: signature"]),
    "another mutation": (
        {"build": _Counting},
        ["effects: today's capture: state calls: mutated_to_another_value"],
    ),
    "a static size": ({"dynamic_shapes": None}, ["golden: today's capture: inputs: signature"]),
    "a narrowed range": (
        {"dynamic_shapes": ({0: torch.export.Dim.AUTO(min=4, max=32)},)},
        ["golden: today's capture: args[0].size(0): range"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", TODAY)
def test_a_change_of_the_model_is_found(written: Path, fault: str) -> None:
    options, expected = TODAY[fault]
    outcome = judged(written, head(**options))
    assert outcome.status is Status.FAILED
    assert set(expected) <= set(texts(outcome.failing_findings)), texts(outcome.failing_findings)
    assert all("--exportcheck-update-golden" in each.detail for each in outcome.failing_findings)


def test_another_operator_is_shown_by_node(written: Path) -> None:
    outcome = judged(written, head(_Gelu))
    assert "outputs: today's capture, eager: output[0]: value" in texts(outcome.failing_findings)
    line = _Gelu.forward.__code__.co_firstlineno + 3
    assert outcome.notes == (
        "today's capture differs from the stored program in 2 places",
        "- relu: aten.relu.default(%x)",
        f"+ gelu: aten.gelu.default(%x) (at {__file__}:{line})",
    )


def test_what_is_written_passes(written: Path) -> None:
    outcome = judged(written, head())
    assert (outcome.status, outcome.findings, outcome.notes) == (Status.PASSED, (), ())


def test_other_weights_are_a_note(written: Path) -> None:
    outcome = judged(written, head(), seed=1)
    assert (outcome.status, outcome.notes) == (
        Status.PASSED,
        (
            "the weights differ from the stored ones (out.weight, out.bias): the stored outputs are not compared with the "
            "module. --exportcheck-update-golden stores today's weights",
        ),
    )
