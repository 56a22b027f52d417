"""State: names, kinds, persistence, dtypes, gradient flags, values, tying and order of parameters and buffers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.checks.compare.tensors import is_dense, strides, tensor_text, value_difference
from pytest_exportcheck.checks.unwrapped import unwrapped_findings, unwrapped_names, without
from pytest_exportcheck.harness.tensors import storage_key
from pytest_exportcheck.records import Change, Evidence, Finding, ProgramRecord, StateEntry, StateRecord, TensorFacts

_BITS = Rule("bits", None, {})
_FINDING = Finding.of("state")


def check(evidence: Evidence) -> list[Finding]:
    """Compare the named tensors of the module before and after the stage."""
    before, after = evidence.before.state, evidence.after.state
    if before is None or after is None:
        return []
    unwrapped = unwrapped_names(before, after)
    before, after = without(before, unwrapped), without(after, unwrapped)
    found = [*unwrapped_findings(unwrapped), *_names(before, after), *_entries(before, after), *_tying(before, after)]
    found += _order(before, after, evidence.module.state if evidence.module else None)
    level = evidence.contract["state"]
    old, new = evidence.before.program, evidence.after.program
    if level == "the same" and new is not None:
        found += _copied(before, after)
    if level in ("the same", "equal") and old is not None and new is not None:
        found += _state_dict(old, new, {*unwrapped, *(part for parts in unwrapped.values() for part in parts)})
    return found


def _named(record: StateRecord) -> dict[str, StateEntry]:
    """Return parameters and buffers. Plain tensor attributes are constants in a program, under other names."""
    return {name: entry for name, entry in record.entries.items() if entry.kind != "attribute"}


def _names(before: StateRecord, after: StateRecord) -> Iterator[Finding]:
    old, new = _named(before), _named(after)
    for name in old:
        if name not in new:
            change, key, actual = _dropped(old[name], before, after)
            yield _FINDING.at(name, change, key, _entry_text(old[name]), actual)
    for name in new:
        if name not in old and name not in before.entries and new[name].persistent:
            first = new.get(re.sub(r"@\d+\.", ".", name))
            again = first is not None and first.name != name and first.tied_to == new[name].tied_to
            key = "another_call" if again else ""
            yield _FINDING.at(name, "added", key, "no such name", _entry_text(new[name]))


def _dropped(entry: StateEntry, before: StateRecord, after: StateRecord) -> tuple[Change, str, str]:
    """Return the change, key and text for a name that is gone: the tensor has a new name, another of its names is left,
    a nameless constant, or nothing.
    """
    heirs = [other for other in after.entries.values() if _is_same_tensor(other, entry)]
    new = [heir for heir in heirs if heir.name not in before.entries and heir.kind != "attribute"]
    if new and len(new) == len(heirs):
        return "renamed", "", f"no such name, but {new[0].name}"
    if any(heir.kind != "attribute" for heir in heirs):
        return "dropped", "tied_name", "no such name"
    return "constant" if heirs else "dropped", "", "no such name"


def _is_same_tensor(one: StateEntry, other: StateEntry) -> bool:
    return one.value is other.value or (
        one.facts.shape == other.facts.shape
        and storage_key(one.value) is not None
        and storage_key(one.value) == storage_key(other.value)
    )


def _entry_text(entry: StateEntry) -> str:
    return f"{entry.kind} {tensor_text(entry.value)}"


def _entries(before: StateRecord, after: StateRecord) -> Iterator[Finding]:
    for name, old in _named(before).items():
        new = after.entries.get(name)
        if new is None:
            continue
        pairs: dict[str, tuple[object, object]] = {
            "kind": (old.kind, new.kind),
            "persistence": (old.persistent, new.persistent),
            "shape": (list(old.facts.shape), list(new.facts.shape)),
            "dtype": (old.facts.dtype, new.facts.dtype),
            "device": (old.facts.device, new.facts.device),
            "layout": (old.facts.layout, new.facts.layout),
            "requires_grad": (old.facts.requires_grad, new.facts.requires_grad),
        }
        if old.facts.layout == new.facts.layout and old.facts.shape == new.facts.shape:
            kind = "stride_of_a_view" if _is_made_dense(old.facts, new.facts) else "stride"
            pairs[kind] = (strides(old.facts), strides(new.facts))
        for kind, (expected, actual) in pairs.items():
            if expected != actual:
                yield _FINDING.at(name, "changed", kind, expected, actual)
        if all(pairs[kind][0] == pairs[kind][1] for kind in ("shape", "dtype", "layout", "device")):
            for difference in value_difference(old.value, new.value, _BITS):
                yield _FINDING.at(name, "changed", "value", difference.expected, difference.actual, difference.detail)


def _tying(before: StateRecord, after: StateRecord) -> Iterator[Finding]:
    new = _named(after)
    common = [name for name in _named(before) if name in new]
    old_groups, new_groups = _groups(common, before), _groups(common, after)
    for name in common:
        was, now = old_groups[name], new_groups[name]
        if name == was[0] and not set(was) <= set(now):
            yield _FINDING.at(
                name,
                "untied",
                "",
                f"one tensor with {_others(was, name)}",
                _sharing(was, after),
                _tensor_count(was, new),
            )
        if len(was) == 1 and not _still_shared(name, common, before, after):
            other = next(each for each in common if each != name and _share_storage([name, each], before))
            yield _FINDING.at(name, "unshared", "", f"one storage with {other}", "a separate storage")
        if name == now[0] and not _share_storage(now, before):
            yield _FINDING.at(name, "tied", "", "a separate tensor", f"one tensor with {_others(now, name)}")


def _copied(before: StateRecord, after: StateRecord) -> Iterator[Finding]:
    """Yield state that is in another storage than before: twice the memory, and training one does not train the
    other.
    """
    new = _named(after)
    for name, old in _named(before).items():
        if name in new and storage_key(old.value) != storage_key(new[name].value):
            yield _FINDING.at(name, "copied", "", "the same storage", "another storage")


def _state_dict(old_program: ProgramRecord, new_program: ProgramRecord, left_out: set[str]) -> Iterator[Finding]:
    """Compare the keys of the program's own state_dict, which its module need not show. Tied names may trade places."""
    before = [name for name in old_program.state_names if name not in left_out]
    after = [name for name in new_program.state_names if name not in left_out]
    for name in before:
        if name not in after:
            yield _FINDING.at(name, "dropped", "state_dict", "a key of the program's state_dict", "no such key")
    for name in after:
        if name not in before:
            yield _FINDING.at(name, "added", "state_dict", "no such key", "a key of the program's state_dict")
    tied = old_program.tied_names
    old = [name for name in before if name in after and name not in tied]
    new = [name for name in after if name in before and name not in tied]
    if old != new:
        first = next(place for place, (was, now) in enumerate(zip(old, new, strict=True)) if was != now)
        yield _FINDING.at(
            "the program's state_dict", "reordered", "program", _excerpt(old, first), _excerpt(new, first)
        )


def _groups(names: Iterable[str], record: StateRecord) -> dict[str, list[str]]:
    """Return for every name the names of the same tensor object, itself included."""
    by_tensor: dict[str, list[str]] = {}
    for name in names:
        by_tensor.setdefault(record.entries[name].tied_to, []).append(name)
    return {name: group for group in by_tensor.values() for name in group}


def _still_shared(name: str, names: Iterable[str], before: StateRecord, after: StateRecord) -> bool:
    """Return whether different tensors that shared a storage with this one still do."""
    return all(
        _share_storage([name, other], after)
        for other in names
        if other != name and _share_storage([name, other], before)
    )


def _share_storage(names: Iterable[str], record: StateRecord) -> bool:
    return len({record.entries[name].shares_with for name in names}) == 1


def _others(group: list[str], name: str) -> str:
    return ", ".join(other for other in group if other != name)


def _sharing(group: list[str], after: StateRecord) -> str:
    shared = _share_storage(group, after)
    return "separate tensors that share storage" if shared else "separate tensors in separate storages"


def _tensor_count(group: list[str], entries: dict[str, StateEntry]) -> str:
    return f"an optimizer would now update {len({entries[name].tied_to for name in group})} tensors instead of 1"


def _order(before: StateRecord, after: StateRecord, module: StateRecord | None) -> Iterator[Finding]:
    """Compare the order of the state_dict among the names that both have. Tied names may trade places, and an order
    that is again that of the user's module is not a loss.
    """
    tied = {name for name, group in _groups(before.entries, before).items() if len(group) > 1}
    both = set(before.order) & set(after.order) - tied
    old, new = _among(both, before), _among(both, after)
    if old != new and (module is None or new != _among(both, module)):
        first = next(place for place, (was, now) in enumerate(zip(old, new, strict=True)) if was != now)
        key = "parameters_first" if new == _parameters_first(old, before) else ""
        yield _FINDING.at("state_dict", "reordered", key, _excerpt(old, first), _excerpt(new, first))


def _among(names: Collection[str], record: StateRecord) -> list[str]:
    return [name for name in record.order if name in names]


def _parameters_first(names: Iterable[str], record: StateRecord) -> list[str]:
    """Return the names in their order, those of parameters before all others."""
    return sorted(names, key=lambda name: name in record.entries and record.entries[name].kind != "parameter")


def _is_made_dense(old: TensorFacts, new: TensorFacts) -> bool:
    """Return True if a view with gaps, or of elements that share memory, is now like a copy of the view: dense, dims in
    order.
    """
    return not is_dense(old) and is_dense(new) and list(strides(new) or ()) == sorted(strides(new) or (), reverse=True)


def _excerpt(names: list[str], first: int) -> str:
    end = names[first : first + 3]
    return ("... " if first else "") + ", ".join(end) + (" ..." if first + 3 < len(names) else "")
