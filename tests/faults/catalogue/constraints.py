"""Dynamic dims made static, ranges and guards that let other inputs pass."""

from __future__ import annotations

from typing import Any

from torch.export import ExportedProgram
from torch.utils._sympy.value_ranges import ValueRanges

from tests.faults.editing import faked, placeholder
from tests.faults.fault import Fault, fault


def _made_static(program: ExportedProgram) -> None:
    """``x`` has as many rows as the example, in the graph and in the ranges; ``y`` follows."""
    for name in ("x", "y"):
        meta = placeholder(program, name).meta
        symbol = meta["val"].shape[0].node.expr
        meta["val"] = faked(meta["val"], shape=(meta["val"].shape[0].node.hint, 4))
        program.range_constraints.pop(symbol, None)


def _rows(program: ExportedProgram) -> Any:
    return placeholder(program, "x").meta["val"].shape[0].node.expr


def _unbacked(program: ExportedProgram) -> Any:
    return next(symbol for symbol in program.range_constraints if str(symbol).startswith("u"))


def _set_range(program: ExportedProgram, symbol: Any, lower: int, upper: int) -> None:
    program.range_constraints[symbol] = ValueRanges(lower, upper)


def _narrowed(program: ExportedProgram) -> None:
    _set_range(program, _rows(program), 3, 8)


def _widened(program: ExportedProgram) -> None:
    _set_range(program, _rows(program), 3, 64)


def _guards_removed(program: ExportedProgram) -> None:
    program._guards_code = []


def _guard_changed(program: ExportedProgram) -> None:
    """A condition that fewer inputs meet."""
    program._guards_code = [*program._guards_code[:-1], "L['x'].size()[0] <= 7"]


_BY_STAGE: tuple[tuple[Any, str, dict[str, str]], ...] = (
    (_made_static, "dim-made-static", dict.fromkeys(("", "-decompose", "-serdes", "-retrace"), "made static")),
    (
        _narrowed,
        "range-narrowed",
        {"": "narrowed", **dict.fromkeys(("-decompose", "-serdes", "-retrace"), "range narrowed")},
    ),
    (_widened, "range-widened", dict.fromkeys(("-decompose", "-serdes", "-retrace"), "range widened")),
    (
        _guards_removed,
        "guards-removed",
        {"-decompose": "guard", "-serdes": "guard dropped", "-retrace": "guard"},
    ),
    (_guard_changed, "guard-replaced", {"-decompose": "guard", "-serdes": "guard added", "-retrace": "guard"}),
)

FAMILIES = tuple(
    Fault(
        id=f"{name}-by-{stage.strip('-') or 'capture'}",
        where=f"nonstrict{stage}",
        model="resizing",
        inject=inject,
        owner="constraints",
        field=field,
    )
    for inject, name, fields in _BY_STAGE
    for stage, field in fields.items()
)


@fault("nonstrict", "resizing", ledger="constraints.widened")
def range_widened_by_capture(program: ExportedProgram) -> None:
    _widened(program)


@fault("nonstrict_postdispatch", "resizing", ledger="constraints.widened")
def range_widened_below_autograd(program: ExportedProgram) -> None:
    _widened(program)


@fault("nonstrict", "resizing", owner="constraints", field="made dynamic")
def dim_made_dynamic_by_capture(program: ExportedProgram) -> None:
    val = placeholder(program, "x").meta["val"]
    placeholder(program, "x").meta["val"] = faked(val, shape=(val.shape[0], val.shape[0]))


@fault("nonstrict-serdes", "resizing", owner="constraints", field="made dynamic")
def dim_made_dynamic(program: ExportedProgram) -> None:
    val = placeholder(program, "x").meta["val"]
    placeholder(program, "x").meta["val"] = faked(val, shape=(val.shape[0], val.shape[0]))


@fault("nonstrict-serdes", "resizing", owner="constraints", field="relation")
def relation_of_two_dims_changed(program: ExportedProgram) -> None:
    """``y`` has three rows for each of ``x``, it says."""
    rows = placeholder(program, "x").meta["val"].shape[0]
    val = placeholder(program, "y").meta["val"]
    placeholder(program, "y").meta["val"] = faked(val, shape=(rows * 3, 4))


@fault("nonstrict-serdes", "resizing", owner="constraints", field="relation")
def two_dims_of_one_symbol(program: ExportedProgram) -> None:
    rows = placeholder(program, "x").meta["val"].shape[0]
    val = placeholder(program, "z").meta["val"]
    placeholder(program, "z").meta["val"] = faked(val, shape=(rows,))


@fault("nonstrict-decompose", "resizing", owner="constraints", field="relation")
def two_dims_of_one_symbol_by_decompose(program: ExportedProgram) -> None:
    two_dims_of_one_symbol.inject(program)


@fault("nonstrict-decompose", "merging", owner="constraints", field="relation")
def queries_as_long_as_keys(program: ExportedProgram) -> None:
    """In addition to the lengths of keys and values, which lowering makes one."""
    val = placeholder(program, "query").meta["val"]
    placeholder(program, "query").meta["val"] = faked(val, shape=(placeholder(program, "keys").meta["val"].shape[0], 4))


@fault("nonstrict-decompose", "merging", owner="constraints", field="range dropped")
def range_of_a_dim_dropped_where_others_are_merged(program: ExportedProgram) -> None:
    del program.range_constraints[placeholder(program, "query").meta["val"].shape[0].node.expr]


@fault("nonstrict-serdes", "counted", owner="constraints", field="range dropped")
def range_of_a_number_read_from_a_tensor_dropped(program: ExportedProgram) -> None:
    del program.range_constraints[_unbacked(program)]


@fault("nonstrict-serdes", "resizing", owner="constraints", field="range moved")
def range_moved(program: ExportedProgram) -> None:
    _set_range(program, _rows(program), 2, 12)


@fault("nonstrict-serdes", "resizing", owner="constraints", field="range dropped")
def range_dropped(program: ExportedProgram) -> None:
    del program.range_constraints[_rows(program)]


@fault("nonstrict-serdes", "resizing", owner="constraints", field="range narrowed")
def range_of_an_unbacked_symbol_narrowed(program: ExportedProgram) -> None:
    _set_range(program, _unbacked(program), 1, 6)


@fault("nonstrict-decompose", "resizing", owner="constraints", field="range dropped")
def range_of_an_unbacked_symbol_dropped(program: ExportedProgram) -> None:
    del program.range_constraints[_unbacked(program)]


@fault("nonstrict-serdes", "resizing", owner="constraints", field="range dropped")
def range_of_a_derived_dim_dropped(program: ExportedProgram) -> None:
    derived = next(expr for expr in program.range_constraints if not expr.is_Symbol)
    del program.range_constraints[derived]


@fault("nonstrict-serdes", "resizing", owner="constraints", field="guard added")
def guard_added(program: ExportedProgram) -> None:
    program._guards_code = [*program._guards_code, "L['x'].size()[1] == 4"]


@fault("nonstrict-serdes", "layered", owner="constraints", field="guard added")
def guard_added_to_a_static_program(program: ExportedProgram) -> None:
    program._guards_code = ["L['x'].size()[0] == 3"]


@fault("nonstrict-exchange", "resizing", owner="constraints", field="guard*")
def guard_reversed(program: ExportedProgram) -> None:
    """``!=`` for ``==``: no input passes any more."""
    program._guards_code = [guard.replace("==", "!=") for guard in program._guards_code]
