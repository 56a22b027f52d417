"""The search for the place where a difference starts. It runs only where values differ.

Two programs run side by side, node by node (:mod:`.programs`). Where one of the two is not a program, such as eager,
both are run under a recorder of ATen operators, and the first value that only one of them computes is followed to its
operator (:mod:`.operators`). Gradients are compared from the outputs towards the inputs (:mod:`.gradients`).
A package of a runtime has no nodes: its program is truncated and compiled again (:mod:`.truncation`).
"""

from pytest_exportcheck.locate.gradients import detached_origin, gradient_origin
from pytest_exportcheck.locate.operators import Runnable, operator_origin
from pytest_exportcheck.locate.programs import program_origin, raising_origin
from pytest_exportcheck.locate.results import results_of
from pytest_exportcheck.locate.sides import Side, origin_node
from pytest_exportcheck.locate.truncatable import Truncatable
from pytest_exportcheck.locate.truncation import Refused, Truncation

__all__ = [
    "Refused",
    "Runnable",
    "Side",
    "Truncatable",
    "Truncation",
    "detached_origin",
    "gradient_origin",
    "operator_origin",
    "origin_node",
    "program_origin",
    "raising_origin",
    "results_of",
]
