"""The words for findings: what changed, possible reasons, and the calls that showed it."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator, Mapping

from pytest_exportcheck.records import FIELDS, Cause, CauseKind, Finding, KnownAs

#: Fields whose names are words of torch.
_NAMES = ("requires_grad", "grad_fn", "storage_offset")

#: Words for a finding where the text does not name the field.
_WORDS: Mapping[tuple[str, str, str], str] = {
    ("effects", "dropped", "between_calls"): "not kept from call to call",
    ("effects", "dropped", "container_update"): "mutation lost",
    ("effects", "added", "container_update"): "mutation added",
    ("effects", "changed", "container_update"): "mutated to another value",
    ("effects", "unread", "attribute_mutation"): "attribute mutation lost",
    ("effects", "dropped", "python_state"): "Python state",
    ("effects", "unread", "python_state"): "Python state",
    ("effects", "dropped", "outside"): "outside the module",
    ("effects", "unread", "outside"): "outside the module",
    ("state", "dropped", "state_dict"): "dropped from state_dict",
    ("state", "added", "state_dict"): "added to state_dict",
    ("signature", "changed", "constant_persistent"): "persistent",
    ("signature", "reordered", "state"): "order",
    ("defaults", "defaulted", "dtype"): "default dtype",
    ("defaults", "defaulted", "device"): "default device",
    ("stability", "changed", "bytes"): "bytes",
    ("stage", "raised", "objection"): "raised",
}

#: The same for every key of a check.
_OF_CHECK = {"stability": "changed"}

#: A change, after the key that it happened to.
_CHANGES = {"as_json": "turned into JSON", "untraced": "missing outside forward"}


def kind_of(finding: Finding) -> str:
    """Return the change in a few words: ``stack_trace dropped``."""
    check, change, key = finding.sort
    if finding.sort in _WORDS:
        return _WORDS[finding.sort]
    if check in _OF_CHECK:
        return _OF_CHECK[check]
    if (change, key) in FIELDS.get(check, {}):
        return finding.field if finding.field in _NAMES else finding.field.replace("_", " ")
    if not key or (change == "changed" and check != "metadata"):
        return key or change
    return f"{key} {_CHANGES.get(change, change)}"


def detail_of(finding: Finding) -> str:
    """Return the further text of a finding: its detail, then a sentence for every cause that has one."""
    return "\n".join(filter(None, [finding.detail, *sentences(finding.causes)]))


def text_of(finding: Finding) -> str:
    """Return the whole text of a finding, in which a pattern is searched."""
    lines = [f"{finding.place}: {kind_of(finding)}", finding.expected, finding.actual]
    return "\n".join([*lines, *filter(None, [detail_of(finding)])])


def sides_of(finding: Finding) -> tuple[str, str]:
    """Return the labels of the two values of a finding: the names of two engines that disagree, else what was expected
    and what came.
    """
    return (finding.between[0], finding.between[1]) if finding.between else ("expected", "got")


def values_text(finding: Finding, expected: str, actual: str) -> str:
    """Return the two values of a finding in one line."""
    if not finding.between:
        return f"expected {expected}, got {actual}"
    one, other = finding.between
    return f"{one} gave {expected}, {other} gave {actual}"


def culprit_text(finding: Finding) -> str:
    """Return the likely culprit of a disagreement, with the reason; empty for other findings."""
    return f"likely culprit: {finding.culprit.name} ({finding.culprit.reason})" if finding.culprit else ""


def calls_of(finding: Finding) -> tuple[str, ...]:
    """Return the names of the calls that showed a finding."""
    return tuple(site.label for site in finding.on)


#: Calls that a finding names one by one.
_NAMED_CALLS = 4


def calls_text(finding: Finding) -> str:
    """Name the calls that showed a finding in one line; empty for a finding that came from none."""
    names = [*calls_of(finding)]
    if len(names) > _NAMED_CALLS:
        names = [*names[: _NAMED_CALLS - 1], f"{len(names) - _NAMED_CALLS + 1} more calls"]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def defect_text(defect: KnownAs) -> str:
    """Name a known defect, with its title."""
    return f"known defect {defect.id}: {defect.title}"


# --- causes -----------------------------------------------------------------------------------


def sentences(causes: tuple[Cause, ...]) -> Iterator[str]:
    """Yield one sentence for each kind of cause, which lists the names of that kind."""
    for kind in dict.fromkeys(cause.kind for cause in causes):
        sentence = _SENTENCES.get(kind)
        if sentence is not None:
            yield sentence([cause.name for cause in causes if cause.kind == kind])


def _keyword_in_path(names: list[str]) -> str:
    path = names[0]
    word = next((part for part in path.split(".") if keyword.iskeyword(part)), path)
    return (
        f"{word!r}, in the path {path!r} of the module, is a Python keyword: torch writes the path into code "
        "that Python cannot parse. Rename that submodule, parameter or buffer (the key of a ModuleDict, say)."
    )


def _graph_module_attribute(names: list[str]) -> str:
    return (
        f"{names[0]!r} is an attribute of torch.fx.GraphModule, which a program's module is. "
        "Rename that submodule, parameter or buffer."
    )


def _builtin_name(names: list[str]) -> str:
    return f"{names[0]!r} is the name of a Python builtin: torch renames such a placeholder when it copies a graph"


def _autograd_function(names: list[str]) -> str:
    return f"forward() calls torch.autograd.Function ({', '.join(names)}), and a program does not keep its backward()."


_UNTRACED = {
    "inputs": "the class of an input calls it when it is constructed",
    "hooks": "a hook of the module calls it",
    "forward": "the module's forward is a function of another name",
}

_SENTENCES: Mapping[CauseKind, Callable[[list[str]], str]] = {
    "keyword_in_path": _keyword_in_path,
    "graph_module_attribute": _graph_module_attribute,
    "builtin_name": _builtin_name,
    "autograd_function": _autograd_function,
    "result_of": lambda names: f"a result of {names[0]}",
    "result_of_region": lambda names: f"a result of the higher-order operator {names[0]}",
    "root_missing": lambda _: "operations of the program lack the root module in nn_module_stack",
    "shared_argument": lambda names: f"the example inputs pass one tensor as {'; '.join(names)}",
    "subclass_output": lambda names: f"outputs are tensor subclasses: {', '.join(names)}",
    "subclass_state": lambda names: f"the module holds tensor subclasses: {', '.join(names)}",
    "untraced": lambda names: _UNTRACED[names[0]],
}
