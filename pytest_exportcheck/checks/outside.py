"""Changes that forward() makes to Python state of the module, and to values outside the module: programs keep
neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from pytest_exportcheck.checks.circumstances import of_capture
from pytest_exportcheck.checks.compare.tensors import tensor_text
from pytest_exportcheck.harness.module_attributes import ATOMS
from pytest_exportcheck.harness.tensors import same_bits
from pytest_exportcheck.policy import column_of
from pytest_exportcheck.records import Evidence, Finding, Observation, Outside, Record

_MOST = 5


def outside_findings(evidence: Evidence, wrong: Collection[Finding]) -> Iterator[Finding]:
    """Yield a finding for each change of eager that the capture did not keep: broken where later outputs depend on it,
    or where the program writes to a constant that it took from there; else a difference that a table tolerates.
    ``wrong`` are the findings about outputs.
    """
    if not _is_judged(evidence):
        return
    changes = changes_of(evidence.before)
    if not changes:
        return
    captured = evidence.before.observations[0].site
    wrong_later = any(finding.on != (captured,) or _is_run_twice(evidence) for finding in wrong)
    unseen = not wrong_later and may_depend(evidence)
    constants = _written_constants(evidence)
    judged = [
        (each, wrong_later or unseen or any(_is_value_of(each, value) for value in constants)) for each in changes
    ]
    # else it is a table that is filled once, or a count of calls
    shown = [(each, matters) for each, matters in judged if matters or each.in_module or _holds_tensor(each)]
    shown.sort(key=lambda each: not each[1])
    for number, (change, matters) in enumerate(shown[:_MOST], start=1):
        rest = [each.name for each, _ in shown[_MOST:]] if number == _MOST else []
        yield Finding.of("effects").at(
            change.name,
            "dropped" if matters else "unread",
            "python_state" if change.in_module else "outside",
            f"changed from {_text(change, change.before)} to {_text(change, change.after)}",
            "a constant of the program",
            "\n".join([f"{sentence(change)} {_remedy(change)}", *([_UNSEEN] if unseen else []), *_more(rest)]),
        )


_UNSEEN = "Random values are not compared: eager's later outputs may depend on this change."


def may_depend(evidence: Evidence) -> bool:
    """Return True if later outputs of a random case may depend on Python values that a call changed. Their values are
    not compared, so the program does not show it.
    """
    return evidence.random and evidence.before.carries is not False


def _more(names: Sequence[str]) -> Iterator[str]:
    """Yield a line about the changes that have no separate finding."""
    if names:
        listed = ", ".join(names[:_MOST]) + (", ..." if len(names) > _MOST else "")
        yield f"and {len(names)} more: {listed}"


def changes_of(eager: Record) -> list[Outside]:
    """Return all changes that a series of calls made, the last state of each."""
    return list({change.name: change for each in eager.observations for change in each.outside}.values())


def explained(raised: Finding, eager: Record) -> Finding:
    """Return a finding about a capture that raised, with the tensor subclasses that the module holds, and the tensors
    outside the module that forward() changes.
    """
    tensors = [each for each in changes_of(eager) if _holds_tensor(each)]
    lines = [f"{sentence(each)} {_remedy(each)}" for each in tensors[:_MOST]]
    return replace(
        raised, detail="\n".join(filter(None, [raised.detail, *lines])), causes=(*raised.causes, *of_capture(eager))
    )


def later_hint(evidence: Evidence, before: Observation) -> str:
    """Return the sentences for outputs that differ. On the first call, which is the one that was captured, Python
    values are as the capture had them.
    """
    if not _is_judged(evidence):
        return ""
    first = before is evidence.before.observations[0] and not _is_run_twice(evidence)
    changes = [each for each in changes_of(evidence.before) if not first or isinstance(each.before, torch.Tensor)]
    return "\n".join(map(sentence, changes[:_MOST]))


def _is_judged(evidence: Evidence) -> bool:
    """Return whether the stage is the capture of a program. Captures that copy the module keep everything."""
    return evidence.before is evidence.module and evidence.after.program is not None


def _is_run_twice(evidence: Evidence) -> bool:
    """Return True if a capture runs forward() more than once: below autograd it does, and keeps the later values."""
    return column_of(evidence.stage) == "postdispatch"


def is_taken_from_outside(evidence: Evidence, before: Observation, name: str, value: Any) -> bool:
    """Return True if a tensor that only the program has is a constant that it took from outside the module."""
    state = evidence.before.state
    if not _is_judged(evidence) or state is None or name in state.entries:
        return False
    return any(_is_value_of(change, value) for change in before.outside)


def sentence(change: Outside) -> str:
    """Word a change: ``forward() changes self.calls, a Python number; a program keeps its first value.``"""
    if change.added:
        kept = "has no such attribute"
    elif isinstance(change.before, torch.Tensor):
        kept = "treats it as a constant"
    else:
        kept = f"keeps its first {'contents' if change.entries else 'value'}"
    return f"forward() changes {change.name}, {change.what}; a program {kept}."


def _remedy(change: Outside) -> str:
    if change.what.startswith("a buffer of "):
        return "Make the module that holds it a submodule."
    if isinstance(change.before, torch.Tensor) or (isinstance(change.before, (int, float)) and not change.entries):
        return "Register it as a buffer (register_buffer) and update it in place."
    return "Keep such state in a buffer of fixed size, or pass it as an input and return it."


def _written_constants(evidence: Evidence) -> Collection[Any]:
    """Return the values that the program's last call left in state that the module does not have."""
    known = evidence.before.state.entries if evidence.before.state else {}
    last = evidence.after.observations[-1].state if evidence.after.observations else {}
    return [value for name, value in last.items() if name not in known]


def _is_value_of(change: Outside, value: Any) -> bool:
    return isinstance(change.after, torch.Tensor) and same_bits(change.after, value)


def _holds_tensor(change: Outside) -> bool:
    several = not change.in_module and (isinstance(change.after, torch.Tensor) or change.entries)
    return isinstance(change.before, torch.Tensor) or several


def _text(change: Outside, value: Any) -> str:
    if change.entries:
        return f"{value} {'entry' if value == 1 else 'entries'}"
    if change.added and value is None:
        return "no attribute"
    if isinstance(value, torch.Tensor):
        return tensor_text(value)
    if isinstance(value, (list, tuple, set, dict)) and not _is_plain(value):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_plain(value: Any) -> bool:
    entries = value.values() if isinstance(value, dict) else value
    return all(isinstance(each, ATOMS) for each in entries)
