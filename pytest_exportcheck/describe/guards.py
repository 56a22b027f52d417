"""Guards: the text of a program's guards evaluated for a few settings of the inputs' sizes."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sympy
import torch

from pytest_exportcheck.describe.places import Branch, KeyPath, branch_of, input_paths, keyword_order, place_of
from pytest_exportcheck.describe.resize import families
from pytest_exportcheck.harness._torch import guards_of, pytree
from pytest_exportcheck.harness.tensors import as_plain, is_strided
from pytest_exportcheck.records import DeclaredDim
from pytest_exportcheck.records.programs import NUMBER

Leaves = list[tuple[KeyPath, Any]]


class _Unknown(Exception):
    """A guard has a part that is not evaluated here."""


def acceptance(
    program: torch.export.ExportedProgram,
    guards: tuple[str, ...],
    declared: tuple[DeclaredDim, ...],
) -> dict[str, bool]:
    """Return by setting whether every guard holds there. A setting gives the dims of one declared name another size.

    Guards that are not about sizes of inputs are left out.
    """
    declared = tuple(dim for dim in declared if dim.dim != NUMBER)
    if not declared or program.example_inputs is None:
        return {}
    trees = [_parsed(guard) for guard in guards]
    found: dict[str, bool] = {}
    for dims in families(declared):
        where = " and ".join(f"{dim.place}.size({dim.dim})" for dim in dims)
        for size in (size for size in _sizes(dims[0]) if all(dim.size_for(size) >= 0 for dim in dims)):
            inputs = _resized(program, dims, size)
            found[f"{where} = {size}"] = all(_holds(tree, program, inputs) for tree in trees)
        for dim in dims if len(dims) > 1 else ():
            alone = replace(dim, derive=None)  # what their relation forbids
            for size in _sizes(alone):
                inputs = _resized(program, [alone], size)
                setting = f"{dim.place}.size({dim.dim}) alone = {size}"
                found[setting] = all(_holds(tree, program, inputs) for tree in trees)
    return found


def guard_conditions(program: torch.export.ExportedProgram, dims: Mapping[tuple[str, int], Any]) -> list[Any]:
    """Return the program's guards as sympy relations; ``dims`` is the size of each dim of each input, (place, dim) to
    expression.

    Guards about anything other than sizes are left out.
    """
    inputs = [(path, _Shape(place_of(path), dims)) for path in input_paths(program)]
    trees = [_parsed(guard) for guard in guards_of(program)]
    found = [_relation(tree, _Sources(program, inputs)) for tree in trees]
    return [relation for relation in found if isinstance(relation, sympy.Basic)]


def _relation(tree: ast.expr | None, sources: _Sources) -> Any:
    try:
        return None if tree is None else _value(tree, sources)
    except (_Unknown, KeyError, IndexError, AttributeError, TypeError, ValueError, ZeroDivisionError):
        return None


class _Shape:
    """A placeholder for a tensor of which only the sizes are known, as expressions."""

    def __init__(self, place: str, dims: Mapping[tuple[str, int], Any]) -> None:
        self._sizes = [expr for (owner, _), expr in sorted(dims.items()) if owner == place]

    def size(self, dim: int | None = None) -> Any:
        return tuple(self._sizes) if dim is None else self._sizes[dim]

    def dim(self) -> int:
        return len(self._sizes)

    def numel(self) -> Any:
        return sympy.Mul(*self._sizes)


def _sizes(dim: DeclaredDim) -> list[int]:
    """Return both bounds and their neighbours, two and three and a few beyond."""
    bounds = [bound for bound in (dim.interval.lower, dim.interval.upper) if bound is not None] if dim.interval else []
    near = {bound + step for bound in bounds for step in (-1, 0, 1)}
    return sorted(size for size in {*near, 1, 2, 3, 4, 7, 8} if 0 <= size < 2**31)


def _resized(program: torch.export.ExportedProgram, dims: Sequence[DeclaredDim], size: int) -> Leaves:
    """Return the example inputs with these dims of another size, as tensors without data."""
    args, kwargs = program.example_inputs
    leaves = pytree.tree_leaves((args, {name: kwargs[name] for name in keyword_order(program)}))
    return [(path, _of_size(path, leaf, dims, size)) for path, leaf in zip(input_paths(program), leaves, strict=False)]


@as_plain
def _of_size(path: KeyPath, leaf: Any, dims: Sequence[DeclaredDim], size: int) -> Any:
    if not isinstance(leaf, torch.Tensor) or not is_strided(leaf):
        return leaf
    shape = list(leaf.shape)
    for dim in dims:
        if place_of(path) == dim.place and dim.dim < len(shape):
            shape[dim.dim] = dim.size_for(size)
    return torch.empty(shape, dtype=leaf.dtype, device="meta")


def _parsed(guard: str) -> ast.expr | None:
    try:
        return ast.parse(guard.strip(), mode="eval").body
    except SyntaxError:
        return None


def _holds(tree: ast.expr | None, program: torch.export.ExportedProgram, inputs: Leaves) -> bool:
    if tree is None:
        return True
    try:
        return bool(_value(tree, _Sources(program, inputs)))
    except (_Unknown, KeyError, IndexError, AttributeError, TypeError, ZeroDivisionError):
        return True


class _Sources:
    """The values of ``L[...]`` in guards: arguments by name, or all of them."""

    def __init__(self, program: torch.export.ExportedProgram, inputs: Leaves) -> None:
        tree = branch_of(inputs).entries
        args, kwargs = tree.get(0, Branch({})), tree.get(1, Branch({}))
        names = list(getattr(program.module_call_graph[0].signature, "forward_arg_names", None) or ())
        self._named = {
            **{name: args[number] for number, name in enumerate(names) if number in args.entries},
            **kwargs.entries,
            "args": args,
            "kwargs": kwargs,
            "flat_args": [leaf for _, leaf in inputs],
        }

    def __getitem__(self, name: str) -> Any:
        """Return an argument by name, or all arguments of a parameter that takes any number of them."""
        if name in self._named:
            return self._named[name]
        numbered = [value for key, value in self._named.items() if re.fullmatch(rf"{re.escape(name)}_\d+", key)]
        return tuple(numbered) if numbered else self._named["kwargs"]


def _value(node: ast.expr, sources: _Sources) -> Any:
    evaluate = _EVALUATORS.get(type(node))
    if evaluate is None:
        raise _Unknown
    return evaluate(node, sources)


def _name(node: Any, sources: _Sources) -> Any:
    if node.id == "L":
        return sources
    raise _Unknown


def _compare(node: Any, sources: _Sources) -> Any:
    values = [_value(each, sources) for each in (node.left, *node.comparators)]
    pairs = zip(node.ops, values, values[1:], strict=False)
    return _all([_operator(_COMPARE, sign)(left, right) for sign, left, right in pairs])


def _call(node: Any, sources: _Sources) -> Any:
    """Evaluate ``size``, ``stride``, ``dim``, ``storage_offset``, ``numel`` of an input; ``min`` and ``max``."""
    arguments = [_value(each, sources) for each in node.args]
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name.removeprefix("sym_") in ("min", "max"):
        extreme = name.removeprefix("sym_")
        if any(isinstance(each, sympy.Basic) for each in arguments):
            return {"min": sympy.Min, "max": sympy.Max}[extreme](*arguments)
        return {"min": min, "max": max}[extreme](arguments)
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("size", "stride", "dim", "storage_offset", "numel"):
        owner = _value(node.func.value, sources)
        if isinstance(owner, (torch.Tensor, _Shape)):
            return getattr(owner, node.func.attr)(*arguments)
    raise _Unknown


def _attribute(node: Any, sources: _Sources) -> Any:
    """Evaluate a field of a class among the inputs."""
    owner = _value(node.value, sources)
    if isinstance(owner, Branch) and node.attr in owner.entries:
        return owner[node.attr]
    raise _Unknown


def _bool(node: Any, sources: _Sources) -> Any:
    combine = _all if isinstance(node.op, ast.And) else _any
    return combine([_value(each, sources) for each in node.values])


def _all(values: Sequence[Any]) -> Any:
    return sympy.And(*values) if _symbolic(values) else all(values)


def _any(values: Sequence[Any]) -> Any:
    return sympy.Or(*values) if _symbolic(values) else any(values)


def _not(value: Any) -> Any:
    return sympy.Not(value) if _symbolic([value]) else not value


def _equal(left: Any, right: Any) -> Any:
    return sympy.Eq(left, right) if _symbolic([left, right]) else left == right


def _unequal(left: Any, right: Any) -> Any:
    return sympy.Ne(left, right) if _symbolic([left, right]) else left != right


def _symbolic(values: Sequence[Any]) -> bool:
    return any(isinstance(each, sympy.Basic) for each in values)


def _operator(table: Mapping[type, Any], sign: Any) -> Any:
    if type(sign) not in table:
        raise _Unknown
    return table[type(sign)]


_COMPARE: Mapping[type, Any] = {
    ast.Eq: _equal,
    ast.NotEq: _unequal,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_BINARY: Mapping[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: Mapping[type, Any] = {ast.USub: operator.neg, ast.Not: _not, ast.UAdd: operator.pos}

_EVALUATORS: Mapping[type, Callable[[Any, _Sources], Any]] = {
    ast.Name: _name,
    ast.Constant: lambda node, _: node.value,
    ast.Subscript: lambda node, sources: _value(node.value, sources)[_value(node.slice, sources)],
    ast.Compare: _compare,
    ast.BinOp: lambda node, sources: _operator(_BINARY, node.op)(
        _value(node.left, sources), _value(node.right, sources)
    ),
    ast.UnaryOp: lambda node, sources: _operator(_UNARY, node.op)(_value(node.operand, sources)),
    ast.BoolOp: _bool,
    ast.Call: _call,
    ast.Attribute: _attribute,
}
