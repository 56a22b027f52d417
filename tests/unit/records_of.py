"""Records of programs from a few lines of text, for the tests of the checks."""

from __future__ import annotations

import ast
import importlib
import textwrap

import sympy
import torch

from pytest_exportcheck.describe.operators import operator_facts
from pytest_exportcheck.harness.tensors import facts_of
from pytest_exportcheck.records import (
    ConstraintsRecord,
    GraphRecord,
    GraphRef,
    Interval,
    NodeRecord,
    NodeRef,
    ProgramRecord,
    Record,
    SignatureRecord,
    Size,
    SpecRecord,
    StateEntry,
    StateRecord,
    TensorValue,
)
from pytest_exportcheck.reports.wording import kind_of


def graph(text, *, path="", meta=None, vals=None, origins=None):
    """A graph from lines such as ``x``, ``add = aten.add.Tensor(x, 1, alpha=2)`` and ``return add``.

    Operators of the namespace ``f`` are made up. A name is the node of that name, ``graph`` the subgraph that is given in that place; lists become tuples.
    """
    meta, vals, origins = meta or {}, vals or {}, origins or {}
    nodes = [
        NodeRecord(**_line(line), val=vals.get(name), meta=meta.get(name, {}), origin=origins.get(name, ""))
        for line in ast.parse(textwrap.dedent(text)).body
        for name in [_name(line)]
    ]
    return GraphRecord(path, tuple(nodes))


def program(text, *, subgraphs=None, meta=None, vals=None, origins=None, **fields):
    """A program of this graph, with the signature that its placeholders and outputs amount to."""
    outer = graph(text, meta=meta, vals=vals, origins=origins)
    inner = {path: graph(lines, path=path) for path, lines in (subgraphs or {}).items()}
    options = {
        "graphs": {"": outer, **inner},
        "signature": signature_of(outer),
        "constraints": constraints(),
        "constants": {},
        "examples": None,
        "module_calls": {"": ""},
        "graph_meta": {},
        "dialect": "TRAINING",
        "verifiers": ("TrainingIRVerifier",),
    }
    return ProgramRecord(**{**options, **fields})


def record(program=None, **fields):
    """A record of an artifact that was never called."""
    return Record(observations=(), program=program, **fields)


def signature_of(outer):
    inputs = [spec("USER_INPUT", node.name) for node in outer.nodes if node.op == "placeholder"]
    refs = [ref for node in outer.nodes if node.op == "output" for ref in node.args[0]]
    return SignatureRecord(tuple(inputs), tuple(spec("USER_OUTPUT", getattr(ref, "name", "")) for ref in refs))


def spec(kind, name, target=None, persistent=None, value="TensorArgument"):
    return SpecRecord(kind, name, target, persistent, value)


def constraints(shapes=None, ranges=None, guards=(), accepts=None, unused=()):
    """Ranges as pairs: ``{"s": (2, None)}``."""
    intervals = {name: Interval(*bounds) for name, bounds in (ranges or {}).items()}
    return ConstraintsRecord(
        shapes=shapes or {}, ranges=intervals, guards=guards, accepts=accepts or {}, unused=frozenset(unused)
    )


def size(text):
    """A size from an expression over one-letter symbols, such as ``s``, ``2*s + 1`` or ``s//2``."""
    expr = sympy.sympify(text, locals={name: sympy.Symbol(name, integer=True) for name in "stuv"})
    return Size(str(expr), expr)


def tensor(*shape, dtype="float32", stride=None, device="cpu", layout="strided", offset=0):
    """A tensor of these sizes; contiguous, of ints, where no stride is given."""
    steps = [1] * len(shape)
    for dim in range(len(shape) - 2, -1, -1) if stride is None else ():
        steps[dim] = steps[dim + 1] * shape[dim + 1]
    return TensorValue(shape, dtype, device, layout, tuple(steps) if stride is None else stride, offset)


def state(*entries, order=None):
    """State from ``(name, kind, tensor)``, and ``persistent`` as a fourth where a buffer is not."""
    made: dict[str, StateEntry] = {}
    tied: dict[int, str] = {}
    for name, kind, value, *persistent in entries:
        first = tied.setdefault(id(value), name)
        made[name] = StateEntry(name, kind, not persistent or persistent[0], value, facts_of(value), first, first)
    return StateRecord(made, tuple(made) if order is None else order)


def summary(findings):
    return [(each.place, kind_of(each), each.expected, each.actual) for each in findings]


def _name(line):
    if isinstance(line, ast.Return):
        return "output"
    named = line.targets[0] if isinstance(line, ast.Assign) else line.value
    assert isinstance(named, ast.Name)
    return named.id


def _line(line):
    name = _name(line)
    if isinstance(line, ast.Expr):
        return {"name": name, "op": "placeholder", "target": name, "args": (), "kwargs": {}}
    if isinstance(line, ast.Return):
        several = isinstance(line.value, ast.Tuple)
        returned = _value(line.value, "[0]") if several else (_value(line.value, "[0]"),)
        return {"name": name, "op": "output", "target": "output", "args": (returned,), "kwargs": {}}
    target = ast.unparse(line.value.func)
    args = tuple(_value(each, f"[{number}]") for number, each in enumerate(line.value.args))
    kwargs = {each.arg: _value(each.value, f"[{each.arg}]") for each in line.value.keywords}
    facts = frozenset() if target.startswith("f.") else operator_facts(_target(target), args, kwargs)
    return {"name": name, "op": "call_function", "target": target, "args": args, "kwargs": kwargs, "facts": facts}


def _target(text):
    """The operator, or the function of Python, of which this is the text; a name without a dot is a higher-order operator's."""
    if "." not in text:
        return text
    first, *rest = text.split(".")
    found = getattr(torch.ops, first) if first in ("aten", "export", "prims") else importlib.import_module(first)
    for name in rest:
        found = getattr(found, name)
    return found


def _value(node, place):
    if isinstance(node, ast.Name):
        return GraphRef(place) if node.id == "graph" else NodeRef(node.id)
    if isinstance(node, (ast.List, ast.Tuple)):
        return tuple(_value(each, place) for each in node.elts)
    return ast.literal_eval(node)
