"""Symbolic expressions as text, and back by a grammar: the text of a file is data, never code.

The text is what sympy's ``srepr`` writes: ``Mul(Integer(2), Symbol('s0', positive=True, integer=True))``. Keys of range
constraints, and files of older versions, have the infix form ``2*s0 + 1``. One grammar reads both.
"""

from pytest_exportcheck.reference.pt2.expressions.extent import check_extent, check_tensor
from pytest_exportcheck.reference.pt2.expressions.grammar import parse
from pytest_exportcheck.reference.pt2.expressions.printing import write
from pytest_exportcheck.reference.pt2.expressions.symbols import SymbolTable

__all__ = ["SymbolTable", "check_extent", "check_tensor", "parse", "write"]
