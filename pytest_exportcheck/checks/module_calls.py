"""The module call graph: which submodules were called, in order, and the call signatures kept for them."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_exportcheck.checks.compare.rendering import side_by_side
from pytest_exportcheck.records import Evidence, Finding

#: Submodules that a capture makes for its own use.
_OWN = ("_guards_fn", "submod_")

_FINDING = Finding.of("module_calls")


def check(evidence: Evidence) -> list[Finding]:
    """Compare with before; after unflatten, compare with the existing modules."""
    before, after = evidence.before.program, evidence.after.program
    if before is None:
        return []
    if evidence.contract["module_calls"] == "submodules":
        return list(_submodules(list(before.module_calls), evidence))
    if after is None:
        return []
    return list(_calls(_users(before.module_calls), _users(after.module_calls), evidence))


def _shown(name: str) -> str:
    return name or "the root module"


def _users(calls: object) -> dict[str, str]:
    return {name: text for name, text in dict(calls).items() if not name.rpartition(".")[2].startswith(_OWN)}  # type: ignore[call-overload]


def _calls(before: dict[str, str], after: dict[str, str], evidence: Evidence) -> Iterator[Finding]:
    for name, text in before.items():
        if name not in after:
            key = "" if text or _has_state(name, evidence) else "stateless"
            yield _FINDING.at(_shown(name), "dropped", key, "an entry", "none")
        elif name and text != after[name]:  # the root's is the call spec
            yield _FINDING.at(name, "changed", "signature", *side_by_side(text, after[name]))
    for name in after:
        if name not in before:
            known = evidence.module is None or name.partition("@")[0] in evidence.module.modules
            yield _FINDING.at(_shown(name), "added", "" if known else "made_by_the_capture", "no entry", "an entry")
    old, new = [name for name in before if name in after], [name for name in after if name in before]
    if old != new:
        first = next(place for place, (left, right) in enumerate(zip(old, new, strict=True)) if left != right)
        texts = ", ".join(old[first : first + 3]), ", ".join(new[first : first + 3])
        yield _FINDING.at(_shown(old[first]), "reordered", "", *texts)


def _has_state(name: str, evidence: Evidence) -> bool:
    """Return whether a parameter or buffer is under this path: the module that a program makes of itself has no
    others.
    """
    entries = evidence.before.state.entries if evidence.before.state else {}
    path = name.partition("@")[0]
    return any(each.startswith(f"{path}.") for each in entries)


def _submodules(called: list[str], evidence: Evidence) -> Iterator[Finding]:
    """Yield a finding for each submodule that was called and is missing under its path."""
    there = evidence.after.modules
    for name in called:
        path = name.partition("@")[0]
        if path not in there and not path.rpartition(".")[2].startswith(_OWN):
            yield _FINDING.at(_shown(name), "dropped", "", f"a submodule {path}", "no such submodule")
