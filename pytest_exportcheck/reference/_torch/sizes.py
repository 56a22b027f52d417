"""Symbolic sizes: shape environments, constraints, sympy functions, and declarations of dynamic shapes."""

from __future__ import annotations

from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.export import dynamic_shapes as _shapes
from torch.fx.experimental import recording as _recording
from torch.fx.experimental import sym_node as _sym_node
from torch.fx.experimental import symbolic_shapes as _symbolic_shapes
from torch.utils._sympy import functions as _functions
from torch.utils._sympy import numbers as _numbers
from torch.utils._sympy import printers as _printers
from torch.utils._sympy import solve as _solve
from torch.utils._sympy import symbol as _symbol
from torch.utils._sympy import value_ranges as _value_ranges

_ENGINE = str(Path(__file__).parent.parent)

# torch's own sympy functions: expressions in programs and files consist of them (2.13).
size_functions = _functions

# Holds the symbols of a program with their ranges and hints; the loader and the exporter each make one (2.13).
ShapeEnv = _symbolic_shapes.ShapeEnv

# State how each size of an input is dynamic, and what was declared of the size, to the shape environment (2.13).
DimDynamic = _symbolic_shapes.DimDynamic
EqualityConstraint = _symbolic_shapes.EqualityConstraint
RelaxedUnspecConstraint = _symbolic_shapes.RelaxedUnspecConstraint
StatelessSymbolicContext = _symbolic_shapes.StatelessSymbolicContext
StrictMinMaxConstraint = _symbolic_shapes.StrictMinMaxConstraint
SymIntSymbolicContext = _symbolic_shapes.SymIntSymbolicContext
TrackedFake = _symbolic_shapes.TrackedFake

# Errors of the solver and of a value that tracing cannot know: a caller of torch.export expects these classes (2.13).
ConstraintViolationError = _symbolic_shapes.ConstraintViolationError
GuardOnDataDependentSymNode = _symbolic_shapes.GuardOnDataDependentSymNode
PendingUnbackedSymbolNotFound = _symbolic_shapes.PendingUnbackedSymbolNotFound
ValueRangeError = _value_ranges.ValueRangeError

# Entries of ``unbacked_bindings`` in the metadata of nodes: files hold them by the names of these classes (2.13).
CallMethodKey = _symbolic_shapes.CallMethodKey
ConvertIntKey = _symbolic_shapes.ConvertIntKey
DivideByKey = _symbolic_shapes.DivideByKey
InnerTensorKey = _symbolic_shapes.InnerTensorKey

# Find the symbols of a value, all or those that no input has (2.13).
free_symbols = _symbolic_shapes.free_symbols
free_unbacked_symbols = _symbolic_shapes.free_unbacked_symbols

# Bound the symbols of a program: ExportedProgram takes these classes (2.13).
ValueRanges = _value_ranges.ValueRanges
int_oo = _numbers.int_oo

# Prints a condition as the author of a model would write it (2.13).
PythonPrinter = _printers.PythonPrinter

# Solves a derived dim for its root (2.13).
try_solve = _solve.try_solve

# Declarations of dynamic shapes: their forms are torch's, and so are the words of their refusals (2.13).
check_dynamic_shapes = _shapes._check_dynamic_shapes
map_dynamic_shapes = _shapes._tree_map_with_path
DerivedDim = _shapes._DerivedDim
DimHint = _shapes._DimHint
DimHintType = _shapes._DimHintType
IntWrapper = _shapes._IntWrapper

# The code that a symbolic number runs when its truth value is requested: if the innermost frames of a condition are in
# these files only, the model's line itself requested the condition, not an operator that the line calls (2.13).
SYMBOLIC_NUMBER_FILES = frozenset(str(module.__file__) for module in (torch, _recording, _sym_node, _symbolic_shapes))


class ModelShapeEnv(ShapeEnv):
    """A shape environment that looks for the line of a model outside of this engine: torch reads there whether a
    condition is that of an ``assert`` statement, which becomes an assertion of the program (2.13).
    """

    def _get_user_frame(self) -> FrameType | None:
        frame = super()._get_user_frame()
        while frame is not None and (
            frame.f_code.co_filename.startswith(_ENGINE)
            or frame.f_code.co_filename in _symbolic_shapes.uninteresting_files()
        ):
            frame = frame.f_back
        return frame


def normalize_dynamic_shapes(
    shapes: Any, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Return the spellings of keyword arguments that 2.14 added in the older form; 2.13 has one form only (2.14)."""
    normalize = getattr(_shapes, "_normalize_dynamic_shapes", None)
    return shapes if normalize is None else normalize(shapes, module, args, kwargs)


def is_unbacked(symbol: Any) -> bool:
    """Return True for a symbol of a value that only a call knows; names of symbols are torch's (2.13)."""
    return _symbol.symbol_is_type(symbol, (_symbol.SymT.UNBACKED_INT, _symbol.SymT.UNBACKED_FLOAT))


def unbacked_bindings(value: Any, env: Any, pending: set[Any]) -> Any:
    """Return which of the pending unbacked symbols a value yields first, and where. The public function names all that
    are new to the environment, and here all are known (2.13).
    """
    return _symbolic_shapes._free_unbacked_symbols_with_path(value, (), shape_env=env, pending=pending, simplify=True)


def input_bindings(value: Any, env: Any) -> Any:
    """Return the unbacked symbols that an input has, and where, also those that were found equal to others since: the
    public functions name what replaced them (2.13).
    """
    sizes: Any = value.shape if isinstance(value, torch.Tensor) else [value]
    symbolic = [size for size in sizes if isinstance(size, (torch.SymInt, torch.SymFloat))]
    pending = {symbol for size in symbolic for symbol in free_unbacked_symbols(size.node._expr)}
    return _symbolic_shapes._free_unbacked_symbols_with_path(value, (), shape_env=env, pending=pending, simplify=False)
