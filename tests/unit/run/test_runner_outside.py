"""What captures of torch lose in silence, and what is said of it: containers, Python state, values outside the module."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.policy.tolerated import Overrides
from pytest_exportcheck.records import Case
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.echo_session import ORIGIN, Session, modes

TOTAL = torch.zeros(())
STARTED = REGISTERED = False
TABLE: dict[str, bool] = {}
SEEN: list[str] = []


class Grows(torch.nn.Module):
    def forward(self, x):
        self.add(x)
        return x["k"].sum()

    def add(self, x):
        x["k"] = torch.cat([x["k"], x["k"]])


class Counts(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x["k"] * self.calls


class CountsForItself(Counts):
    def forward(self, x):
        self.calls += 1
        self.shape = x["k"].shape
        return x["k"] * 2


class CountsAndDrops(Counts):
    def forward(self, x):
        return torch.dropout(super().forward(x), 0.5, True)


class CountsForItselfAndDrops(CountsForItself):
    """Draws, and updates a buffer that outputs depend on."""

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(2))

    def forward(self, x):
        self.total.add_(1)
        return torch.dropout(super().forward(x), 0.5, True) + self.total


class StepsAndDrops(torch.nn.Module):
    def forward(self, x):
        x["k"] = x["k"] + 1
        return torch.dropout(x["k"], 0.5, True)


class Attends(torch.nn.Module):
    """Assigns to a tensor attribute before it is read, as weight normalisation does."""

    def __init__(self):
        super().__init__()
        self.last = torch.zeros(2)

    def forward(self, x):
        self.last = x["k"] * 2
        return torch.dropout(self.last, 0.5, True)


class Sums(Attends):
    def forward(self, x):
        self.last = self.last + 1
        return torch.dropout(x["k"], 0.5, True) + self.last


class Starts(torch.nn.Module):
    def forward(self, x):
        global STARTED
        if not STARTED:
            STARTED = True
            return x["k"] + 1
        return x["k"] * 1


class StartsByTable(torch.nn.Module):
    def forward(self, x):
        if "started" not in TABLE:
            TABLE["started"] = True
            return x["k"] + 1
        return x["k"] * 1


class Registers(torch.nn.Module):
    """Does once what cannot be done twice."""

    def forward(self, x):
        global REGISTERED
        if not REGISTERED:
            REGISTERED = True
            SEEN.append("registered")
        return x["k"] * 1


class Totals(torch.nn.Module):
    def forward(self, x):
        TOTAL.add_(1)
        return x["k"] * TOTAL


class Fills(torch.nn.Module):
    def forward(self, x):
        return x["k"] + torch.zeros(2)


def outcome(build, mode, **options):
    random = options.pop("random", False)
    case = Case(name="net", build=build, origin=ORIGIN, args=lambda: ({"k": torch.randn(2)},), random=random)
    return Session(TorchExport(), case, wanted=modes(mode), **options).run(mode)


def told(findings):
    return [(each.check, each.place, kind_of(each), each.expected, each.actual) for each in findings]


@pytest.mark.parametrize("capture", ["nonstrict", "strict", "nonstrict_postdispatch"])
def test_an_update_of_the_callers_container_is_lost(capture):
    found = outcome(Grows, capture)
    assert found.status == "failed"
    assert [(each.check, each.place, kind_of(each)) for each in found.findings] == [
        ("effects", "input args[0]['k']", "mutation lost")
    ]


@pytest.mark.parametrize("capture", ["nonstrict", "strict"])
def test_python_state_is_named_where_outputs_depend_on_it(capture):
    found = outcome(Counts, capture)
    outputs, effects = found.findings
    sentence = "forward() changes self.calls, a Python number; a program keeps its first value."
    assert found.status == "failed"
    assert (outputs.check, outputs.detail.splitlines()[-1]) == ("outputs", sentence)
    assert told([effects]) == [
        ("effects", "self.calls", "Python state", "changed from 0 to 2", "a constant of the program")
    ]
    assert effects.detail == f"{sentence} Register it as a buffer (register_buffer) and update it in place."


def test_python_state_that_no_output_depends_on_is_tolerated_unless_forbidden():
    found = outcome(CountsForItself, "nonstrict")
    assert found.status == "passed"
    assert [(each.place, each.name, each.verdict) for each in found.findings] == [
        ("self.calls", "effects.python_state_unread", "tolerated")
    ]
    forbidden = outcome(CountsForItself, "nonstrict", overrides=Overrides.of([], ["effects.python_state_unread"]))
    assert forbidden.status == "failed"


@pytest.mark.parametrize("capture", ["nonstrict", "strict", "nonstrict_postdispatch"])
def test_a_tensor_outside_the_module_is_named(capture):
    found = outcome(Totals, capture)
    (finding,) = found.findings
    assert (found.status, found.notes) == ("failed", ())
    assert TOTAL.item() == 0
    assert finding.detail.splitlines()[-1] == (
        "forward() changes TOTAL, a global of test_runner_outside.py; a program treats it as a constant. "
        "Register it as a buffer (register_buffer) and update it in place."
    )


@pytest.mark.parametrize("capture", ["nonstrict", "strict", "nonstrict_postdispatch"])
def test_a_call_that_takes_the_default_dtype_is_tolerated_unless_forbidden(capture):
    assert [each.verdict for each in outcome(Fills, capture).findings] == ["tolerated"]
    found = outcome(Fills, capture, overrides=Overrides.of([], ["defaults.dtype"]))
    (finding,) = found.findings
    assert (found.status, finding.check, kind_of(finding)) == ("failed", "defaults", "default dtype")
    assert finding.line.endswith('in forward: return x["k"] + torch.zeros(2)')


@pytest.mark.parametrize("capture", ["nonstrict", "strict"])
def test_a_random_case_hides_no_update(capture):
    found = outcome(StepsAndDrops, capture, random=True)
    assert found.status == "failed"
    assert {(each.check, each.place, kind_of(each)) for each in found.findings if each.verdict == "broken"} == {
        ("effects", "input args[0]['k']", "mutation lost")
    }


@pytest.mark.parametrize("capture", ["nonstrict", "strict", "nonstrict_postdispatch"])
def test_a_random_case_hides_no_counter(capture):
    found = outcome(CountsAndDrops, capture, random=True)
    (finding,) = [each for each in found.findings if each.verdict == "broken"]
    assert (finding.place, finding.name, finding.expected) == (
        "self.calls",
        "effects.python_state",
        "changed from 0 to 2",
    )
    assert finding.detail.splitlines()[1:] == [
        "Random values are not compared: eager's later outputs may depend on this change."
    ]


@pytest.mark.parametrize(
    ("build", "field", "verdict"),
    [
        (CountsForItselfAndDrops, "effects.python_state_unread", "tolerated"),
        (Attends, "effects.attribute_mutation_lost_unread", "tolerated"),
        (Sums, "effects.attribute_mutation_lost", "broken"),
    ],
)
def test_in_a_random_case_a_change_counts_where_outputs_depend_on_it(build, field, verdict):
    findings = outcome(build, "nonstrict", random=True).findings
    assert {(each.name, each.verdict) for each in findings if each.check == "effects"} == {(field, verdict)}


@pytest.mark.parametrize(("build", "name"), [(Starts, "STARTED"), (StartsByTable, "TABLE")])
@pytest.mark.parametrize("capture", ["nonstrict", "nonstrict_postdispatch"])
def test_a_flag_outside_the_module_that_changes_eager_is_put_back_and_named(build, name, capture):
    found = outcome(build, capture)
    outputs, effects = found.findings
    assert (found.status, found.notes, outputs.check) == ("failed", (), "outputs")
    assert outputs.detail.splitlines()[-1].startswith(f"forward() changes {name}, a global of test_runner_outside.py; ")
    assert (effects.place, effects.sort) == (name, ("effects", "dropped", "outside"))
    assert (STARTED, TABLE) == (False, {})


def test_what_is_done_once_and_changes_no_output_is_not_done_again():
    assert outcome(Registers, "nonstrict").status == "passed"
    assert SEEN == ["registered"]
