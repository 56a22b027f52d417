"""Metadata of nodes, key by key: what must be there, what must be kept, what must be equal."""

from __future__ import annotations

import json
import linecache
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from pytest_exportcheck.checks.at_node import at_node
from pytest_exportcheck.checks.circumstances import results_of, separators
from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.checks.compare.rendering import side_by_side, user_line
from pytest_exportcheck.checks.untraced import outside_forward, untraced_finding
from pytest_exportcheck.records import (
    Cause,
    Evidence,
    Finding,
    GraphPair,
    GraphRecord,
    NodeRecord,
    ProgramRecord,
    Record,
)
from pytest_exportcheck.records.levels import MetadataLevel

Fate: TypeAlias = Literal["kept", "changed", "dropped", "gained"]

_FINDING = Finding.of("metadata")

_FRAME = re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in ')


def check(evidence: Evidence) -> list[Finding]:
    """Judge the metadata of every node as strictly as the tables say."""
    program, level = evidence.after.program, evidence.contract["metadata"]
    if program is None:
        return []
    if level == "present":
        return list(_present(evidence, program))
    if evidence.alignment is None:
        return []
    return list(_pairs(evidence))


def key_of(node: NodeRecord, key: str) -> str:
    """What the tables call a key on this node: ``custom``, ``placeholder.custom``."""
    return key if node.op == "call_function" else f"{node.op}.{key}"


def fates(one: NodeRecord, other: NodeRecord, levels: Mapping[str, MetadataLevel]) -> Iterator[tuple[str, Fate]]:
    """What became of every key of a node's metadata."""
    for key in dict.fromkeys((*one.meta, *other.meta)):
        if key not in other.meta:
            yield key, "dropped"
        elif key not in one.meta:
            yield key, "gained"
        else:
            same = _COMPARED.get(levels.get(key_of(one, key), "equal"), _equal)
            yield key, "kept" if same(one.meta[key], other.meta[key]) else "changed"


def _pairs(evidence: Evidence) -> Iterator[Finding]:
    alignment = evidence.alignment
    if alignment is None:
        return
    for pair, one, other in alignment.pairs():
        for key, fate in fates(one, other, evidence.fields):
            level = evidence.fields.get(key_of(one, key))
            if level is None or fate == "kept" or (fate == "gained" and level != "equal"):
                continue
            if level in ("kept", "paths") and "subclass_part" in one.facts:  # of the state, ahead of the model
                continue
            if level == "kept" and one.target != other.target and _is_of_its_own_kind(pair.before, other, key):
                continue
            if level == "kept" and _is_view_made_again(pair.before, one, other, key):
                continue
            yield _finding(pair, one, other, key, fate)
    if evidence.contract["metadata"] == "kept" and evidence.before.program and evidence.after.program:
        yield from _unpaired(evidence, evidence.before.program, evidence.after.program)


def _is_of_its_own_kind(before: GraphRecord, node: NodeRecord, key: str) -> bool:
    """Whether a node that is said to be part of a decomposed operation stands for one that was there as it is: where both made
    the same value, lowering keeps one of them."""
    return any(
        each.target == node.target and key in each.meta and _equal(each.meta[key], node.meta.get(key))
        for each in before.nodes
    )


def _is_view_made_again(before: GraphRecord, one: NodeRecord, node: NodeRecord, key: str) -> bool:
    """Whether a view says of itself what a node says that its origin uses: behind a mutation, functionalisation makes views
    again where they are used, and they keep their own line of code."""
    if "view" not in node.facts:
        return False
    nodes = {each.name: each for each in before.nodes}
    pending, seen = [ref.name for ref in refs(one)], set()
    while pending:
        name = pending.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        if key in nodes[name].meta and _equal(nodes[name].meta[key], node.meta.get(key)):
            return True
        pending += [ref.name for ref in refs(nodes[name])]
    return False


def _finding(
    pair: GraphPair, one: NodeRecord, other: NodeRecord, key: str, fate: Literal["changed", "dropped", "gained"]
) -> Finding:
    expected, actual = side_by_side(_shown(one.meta.get(key)), _shown(other.meta.get(key)))
    made = "" if one.name == other.name else f"made from {one.name}"
    as_json = fate == "changed" and key == "custom" and _same_as_json(one.meta[key], other.meta[key])
    return at_node(
        _FINDING,
        pair.after,
        other,
        "as_json" if as_json else fate,
        key,
        "none" if key not in one.meta else expected,
        "none" if key not in other.meta else actual,
        made,
        causes=(*(() if made else results_of(pair.before, one)), *separators(key, one.meta.get(key))),
        line=user_line(one) or user_line(other),
    )


def _same_as_json(one: Any, other: Any) -> bool:
    """Whether all that is lost is what JSON does not have: tuples, keys that are no strings."""
    try:
        return _equal(json.loads(json.dumps(one)), other)
    except (TypeError, ValueError):
        return False


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{key!r}: {each!r}" for key, each in value.items())
    return "" if value is None else value


def _equal(one: Any, other: Any) -> bool:
    """By type and text, so that nan equals nan, and 1 is neither 1.0 nor True."""
    return type(one) is type(other) and repr(one) == repr(other)


def _kept(one: Any, other: Any) -> bool:
    """Custom annotations may have been added to."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(name in other and _equal(value, other[name]) for name, value in one.items())
    return _equal(one, other)


def _same_paths(one: Any, other: Any) -> bool:
    if not isinstance(one, tuple) or not isinstance(other, tuple):
        return _equal(one, other)
    return [entry[1:] for entry in one] == [entry[1:] for entry in other]


_COMPARED: Mapping[MetadataLevel, Callable[[Any, Any], bool]] = {"kept": _kept, "paths": _same_paths, "equal": _equal}


# --- nodes that a stage made from none that it says -----------------------------------------


def _all_have(program: ProgramRecord, key: str) -> bool:
    """Return True if every operation has this metadata."""
    return all(key in node.meta for _, node in _operations(program))


def _unpaired(evidence: Evidence, before: ProgramRecord, after: ProgramRecord) -> Iterator[Finding]:
    paired = {id(other) for _, _, other in evidence.alignment.pairs()} if evidence.alignment else set()
    unpaired = [each for each in _operations(after) if id(each[1]) not in paired]
    written = [each for each in unpaired if "copy" not in each[1].facts]  # which writes a mutation back
    for key in ("stack_trace", "nn_module_stack"):
        if key in evidence.fields and _all_have(before, key):
            yield from (_missing(graph, node, key) for graph, node in written if key not in node.meta)
    if "nn_module_stack" in evidence.fields:
        yield from _strange_stacks(before, written)
    if unpaired and "stack_trace" in evidence.fields and _all_have(before, "stack_trace"):
        yield from _vanished_annotations(before, unpaired)


def _strange_stacks(before: ProgramRecord, unpaired: Sequence[tuple[GraphRecord, NodeRecord]]) -> Iterator[Finding]:
    """Find nodes that do not say what they were made from, with a module stack that no operation had."""
    key = "nn_module_stack"
    stacks = {_paths(node.meta[key]) for _, node in _operations(before) if key in node.meta}
    for graph, node in unpaired:
        if key in node.meta and _paths(node.meta[key]) not in stacks:
            texts = "the module stack of an operation before", str(_shown(node.meta[key]))
            yield at_node(_FINDING, graph, node, "wrong", key, *texts)


def _paths(stack: Any) -> Any:
    """The paths and classes of a module stack, without its keys."""
    return tuple(entry[1:] for entry in stack) if isinstance(stack, tuple) else repr(stack)


def _vanished_annotations(
    before: ProgramRecord, unpaired: Sequence[tuple[GraphRecord, NodeRecord]]
) -> Iterator[Finding]:
    """Of nodes that do not say what they were made from: annotations that every operation of their line of code had."""
    annotated: dict[Any, list[Any]] = {}
    for _, node in _operations(before):
        annotated.setdefault(node.meta.get("stack_trace"), []).append(node.meta.get("custom"))
    for graph, node in unpaired:
        had = annotated.get(node.meta.get("stack_trace"), [])
        if had and None not in had and "custom" not in node.meta:
            yield at_node(_FINDING, graph, node, "dropped", "custom", _shown(had[0]), "none")


# --- a program by itself --------------------------------------------------------------------


def _present(evidence: Evidence, program: ProgramRecord) -> Iterator[Finding]:
    """Operations that the user's code called say where, and name modules that exist."""
    module = evidence.module or Record(observations=())
    if module.modules.get("", "").startswith(_TORCHS):
        return
    types = _accepted_types(module)
    checked: dict[Any, str] = {}
    if "nn_module_stack" in evidence.fields:
        yield from _misplaced(program)
    operations = list(_operations(program))
    excused = outside_forward(operations, module.untraced) if "stack_trace" in evidence.fields else {}
    yield from untraced_finding(operations, excused, _EXPECTED["stack_trace"])
    nowhere = {key for key in _SANE if len(operations) > 1 and not any(key in node.meta for _, node in operations)}
    if len(excused) == len(operations):
        nowhere.discard("stack_trace")
    for key in sorted(nowhere & evidence.fields.keys()):
        yield _missing_everywhere(key)
    for graph, node in operations:
        for key in _SANE:
            if key not in evidence.fields or key in nowhere:
                continue
            if key not in node.meta:
                if key != "stack_trace" or graph.place(node) not in excused:
                    yield _missing(graph, node, key)
                continue
            value = node.meta[key]
            if (key, value) not in checked:
                checked[key, value] = _SANE[key](value, types)
            if checked[key, value]:
                causes = tuple(_strangers(value, types)) if key == "nn_module_stack" else ()
                texts = _EXPECTED[key], checked[key, value]
                yield at_node(_FINDING, graph, node, "wrong", key, *texts, causes=causes)


def _accepted_types(module: Record) -> dict[str, tuple[str, ...]]:
    """Map each path to the class of its module, and to those that graph modules name there."""
    paths = dict.fromkeys((*module.modules, *module.claimed)) if module.modules else {}
    return {
        path: (*((module.modules[path],) if path in module.modules else ()), *sorted(module.claimed.get(path, ())))
        for path in paths
    }


#: torch leaves frames of its own files out of stack traces: of models that it ships beside its exporter, all of them.
_TORCHS = "torch._export."


def _misplaced(program: ProgramRecord) -> Iterator[Finding]:
    """A layer whose own parameters are used by operations of other modules alone, while its operations use those of
    another: the two have traded places."""
    owners = {
        spec.name: str(spec.target).rpartition(".")[0] for spec in program.signature.inputs if spec.kind == "PARAMETER"
    }
    users: dict[str, set[str]] = {}
    users_nodes: list[tuple[NodeRecord, str, set[str]]] = []
    graph = program.graphs[""]
    for node in graph.nodes:
        stack = node.meta.get("nn_module_stack")
        used = {owners[ref.name] for ref in refs(node) if ref.name in owners}
        if node.op == "call_function" and used and stack and not _wrong_stack(stack, {}):
            paths = {re.sub(r"@\d+$", "", path) for _, path, _ in stack}
            innermost = re.sub(r"@\d+$", "", stack[-1][1])
            users_nodes.append((node, innermost, used))
            for owner in used:
                users.setdefault(owner, set()).update(paths)
    for node, innermost, used in users_nodes:
        stranger = innermost in users and innermost not in users[innermost]
        if stranger and innermost not in used and not any(owner in users.get(owner, ()) for owner in used):
            expected = f"the module whose parameters it uses: {', '.join(sorted(used))}"
            yield at_node(_FINDING, graph, node, "wrong", "nn_module_stack", expected, innermost)


def _operations(program: ProgramRecord) -> Iterator[tuple[GraphRecord, NodeRecord]]:
    for graph in program.graphs.values():
        for node in graph.nodes:
            if _is_users(node):
                yield graph, node


def _is_users(node: NodeRecord) -> bool:
    """Whether the user's code called this operation: not what a capture adds (sizes, assertions, regions, parts of a
    result, parts of a tensor subclass), nor what it inserts to detach constants."""
    return node.op == "call_function" and "bookkeeping" not in node.facts


def _missing_everywhere(key: str) -> Finding:
    return _FINDING.at("every operation", "missing", key, _EXPECTED[key], "none, on any operation")


def _missing(graph: GraphRecord, node: NodeRecord, key: str) -> Finding:
    return at_node(_FINDING, graph, node, "missing", key, _EXPECTED[key], "none")


def _wrong_stack(stack: Any, types: Mapping[str, tuple[str, ...]]) -> str:
    """Paths that are no submodules, and classes that are not theirs. Empty where all is well."""
    if not _is_stack(stack):
        return f"{stack!r}"
    for _, path, kind in stack:
        path = re.sub(r"@\d+$", "", path)  # a module that is called again
        if path.startswith("_empty") or not types:
            continue
        if path not in types and not _is_computed(path):
            return f"{path!r}, which is no submodule"
        if path in types and kind not in types[path]:
            return f"{kind} at {path!r}, where the module has {types[path][0]}"
    return ""


def _strangers(stack: Any, types: Mapping[str, tuple[str, ...]]) -> Iterator[Cause]:
    """Name the first path of a wrong module stack that is not a submodule, or a wrapper of torch's exporter that it names as the
    class of the root."""
    if not _is_stack(stack):
        return
    for _, path, kind in stack:
        path = re.sub(r"@\d+$", "", path)
        if path.startswith("_empty") or _is_computed(path):
            continue
        if path not in types:
            yield Cause("module_not_there", path)
            return
        if kind not in types[path]:
            wrapper = path == "" and kind.startswith("torch.export._trace.") and kind.endswith(".Wrapper")
            yield from [Cause("wrapper_class", kind)] if wrapper else []
            return


def _is_stack(stack: Any) -> bool:
    return isinstance(stack, tuple) and all(isinstance(entry, tuple) and len(entry) == 3 for entry in stack)


def _is_computed(path: str) -> bool:
    """A path that is an expression, such as that of a slice of a Sequential: ``layers.slice(0, 2, None)``."""
    return any(sign in path for sign in "()[]:")


def _wrong_trace(trace: Any, _types: object) -> str:
    """A frame whose line of code is not what the file has there."""
    lines = str(trace).splitlines()
    if not any(_FRAME.match(line) for line in lines):
        return "no frame"
    for number, line in enumerate(lines[:-1]):
        frame = _FRAME.match(line)
        if frame is None or _FRAME.match(lines[number + 1]):
            continue
        there, code = linecache.getline(frame["file"], int(frame["line"])).strip(), lines[number + 1].strip()
        if there and there != code:
            return f"{frame['file']}:{frame['line']} is {there!r}, not {code!r}"
    return ""


def _wrong_function(value: Any, _types: object) -> str:
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(each, str) and each for each in value):
        return ""
    return f"{value!r}"


_SANE: Mapping[str, Callable[[Any, Mapping[str, tuple[str, ...]]], str]] = {
    "stack_trace": _wrong_trace,
    "nn_module_stack": _wrong_stack,
    "torch_fn": _wrong_function,
}
_EXPECTED = {
    "stack_trace": "the lines of code that called this operation",
    "nn_module_stack": "the modules whose forward called this operation",
    "torch_fn": "the function that was called, as two strings",
}
