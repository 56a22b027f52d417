"""Metadata of one program: operations of the user's code name their lines of code, modules and functions."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_exportcheck.checks.at_node import at_node
from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.checks.untraced import outside_forward, untraced_finding
from pytest_exportcheck.records import Cause, Evidence, Finding, GraphRecord, NodeRecord, ProgramRecord, Record

FINDING = Finding.of("metadata")
_FRAME = re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in ')


def present(evidence: Evidence, program: ProgramRecord) -> Iterator[Finding]:
    """Yield findings for operations of the user's code that lack a place, or name modules that do not exist."""
    module = evidence.module or Record(observations=())
    if module.modules.get("", "").startswith(_TORCHS):
        return
    types = _accepted_types(module)
    checked: dict[Any, str] = {}
    if "nn_module_stack" in evidence.fields:
        yield from _misplaced(program)
    operations = list(user_operations(program))
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
                    yield missing(graph, node, key)
                continue
            value = node.meta[key]
            if (key, value) not in checked:
                checked[key, value] = _SANE[key](value, types)
            if checked[key, value]:
                causes = tuple(_strangers(value, types)) if key == "nn_module_stack" else ()
                texts = _EXPECTED[key], checked[key, value]
                yield at_node(FINDING, graph, node, "wrong", key, *texts, causes=causes)


def _accepted_types(module: Record) -> dict[str, tuple[str, ...]]:
    """Map each path to the class of its module, and to those that graph modules name there."""
    paths = dict.fromkeys((*module.modules, *module.claimed)) if module.modules else {}
    return {
        path: (*((module.modules[path],) if path in module.modules else ()), *sorted(module.claimed.get(path, ())))
        for path in paths
    }


#: torch leaves frames of torch files out of stack traces: of models that it ships with its exporter, all of them.
_TORCHS = "torch._export."


def _misplaced(program: ProgramRecord) -> Iterator[Finding]:
    """Yield a layer whose own parameters are used only by operations of other modules, while its operations use those
    of another: the two have been exchanged.
    """
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
            yield at_node(FINDING, graph, node, "wrong", "nn_module_stack", expected, innermost)


def user_operations(program: ProgramRecord) -> Iterator[tuple[GraphRecord, NodeRecord]]:
    """Yield each operation of the user's code, with its graph."""
    for graph in program.graphs.values():
        for node in graph.nodes:
            if _is_users(node):
                yield graph, node


def _is_users(node: NodeRecord) -> bool:
    """Return whether the user's code called this operation: not what a capture adds (sizes, assertions, regions, parts
    of a result, parts of a tensor subclass), nor what it inserts to detach constants.
    """
    return node.op == "call_function" and "bookkeeping" not in node.facts


def _missing_everywhere(key: str) -> Finding:
    return FINDING.at("every operation", "missing", key, _EXPECTED[key], "none, on any operation")


def missing(graph: GraphRecord, node: NodeRecord, key: str) -> Finding:
    """Return the finding for a key that an operation lacks."""
    return at_node(FINDING, graph, node, "missing", key, _EXPECTED[key], "none")


def _wrong_stack(stack: Any, types: Mapping[str, tuple[str, ...]]) -> str:
    """Return paths that are not submodules, and classes that are not theirs. Empty where all entries are valid."""
    if not _is_stack(stack):
        return f"{stack!r}"
    for _, path, kind in stack:
        path = re.sub(r"@\d+$", "", path)  # a module that is called again
        if path.startswith("_empty") or not types:
            continue
        if path not in types and not _is_computed(path):
            return f"{path!r}, which is not a submodule"
        if path in types and kind not in types[path]:
            return f"{kind} at {path!r}, where the module has {types[path][0]}"
    return ""


def _strangers(stack: Any, types: Mapping[str, tuple[str, ...]]) -> Iterator[Cause]:
    """Name the first path of a wrong module stack that is not a submodule, or a wrapper of torch's exporter that the
    stack names as the class of the root.
    """
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
    """Return whether a path is an expression, such as that of a slice of a Sequential: ``layers.slice(0, 2, None)``."""
    return any(sign in path for sign in "()[]:")


def _wrong_trace(trace: Any, _types: object) -> str:
    """Return a frame whose line of code differs from that of the file."""
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
