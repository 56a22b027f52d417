"""What may stand in a symbolic expression: functions and constants by name. Nothing else is made of a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import sympy
from torch.utils._sympy import functions as torch_functions
from torch.utils._sympy.numbers import int_oo

#: sympy's own, by the names that ``srepr`` gives them.
_SYMPY = (
    sympy.Add,
    sympy.Mul,
    sympy.Pow,
    sympy.Eq,
    sympy.Ne,
    sympy.Lt,
    sympy.Le,
    sympy.Gt,
    sympy.Ge,
    sympy.And,
    sympy.Or,
    sympy.Not,
    sympy.Xor,
    sympy.ITE,
    sympy.Abs,
    sympy.floor,
    sympy.ceiling,
    sympy.sqrt,
    sympy.log,
    sympy.exp,
)
#: torch's. Not every version has each of them.
_TORCH = [
    "FloorDiv",
    "ModularIndexing",
    "Where",
    "PythonMod",
    "Mod",
    "CleanDiv",
    "CeilToInt",
    "FloorToInt",
    "CeilDiv",
    "LShift",
    "RShift",
    "Max",
    "Min",
    "PowByNatural",
    "FloatPow",
    "FloatTrueDiv",
    "IntTrueDiv",
    "IsNonOverlappingAndDenseIndicator",
    "TruncToFloat",
    "TruncToInt",
    "RoundToInt",
    "RoundDecimal",
    "ToFloat",
    "Identity",
    "OpaqueUnaryFn_sqrt",
    "OpaqueUnaryFn_cos",
    "OpaqueUnaryFn_cosh",
    "OpaqueUnaryFn_sin",
    "OpaqueUnaryFn_sinh",
    "OpaqueUnaryFn_tan",
    "OpaqueUnaryFn_tanh",
    "OpaqueUnaryFn_asin",
    "OpaqueUnaryFn_acos",
    "OpaqueUnaryFn_atan",
    "OpaqueUnaryFn_exp",
    "OpaqueUnaryFn_log",
    "OpaqueUnaryFn_asinh",
    "OpaqueUnaryFn_log2",
    "BitwiseFn_bitwise_and",
    "BitwiseFn_bitwise_or",
    "BitwiseFn_bitwise_xor",
]

FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        **{function.__name__: function for function in _SYMPY},
        **{name: getattr(torch_functions, name) for name in _TORCH if hasattr(torch_functions, name)},
        "Eq": sympy.Eq,
        "Ne": sympy.Ne,
        "Lt": sympy.Lt,
        "Le": sympy.Le,
        "Gt": sympy.Gt,
        "Ge": sympy.Ge,
    }
)
CONSTANTS: Mapping[str, Any] = MappingProxyType(
    {
        "oo": sympy.oo,
        "zoo": sympy.zoo,
        "nan": sympy.nan,
        "int_oo": int_oo,
        "true": sympy.true,
        "false": sympy.false,
        "True": sympy.true,
        "False": sympy.false,
        "E": sympy.E,
        "pi": sympy.pi,
        "I": sympy.I,
    }
)
#: What a symbol may be said to be.
ASSUMPTIONS = (
    "integer",
    "positive",
    "nonnegative",
    "negative",
    "nonpositive",
    "nonzero",
    "zero",
    "real",
    "finite",
    "even",
    "odd",
)
