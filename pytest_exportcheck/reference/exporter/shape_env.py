"""Conditions on sizes: what the model's lines ask for, and where the model branches on sizes 0 and 1, which torch
decides by assuming that a dynamic size is neither.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sympy
import torch

from pytest_exportcheck.reference import _torch
from pytest_exportcheck.reference._torch.sizes import SYMBOLIC_NUMBER_FILES, ModelShapeEnv

#: Prefixes of the files whose frames are not the model's own.
NOT_THE_MODEL = (
    *(str(Path(file).parent) for file in (torch.__file__, sympy.__file__, __file__, str(_torch.__file__))),
    "<",
)

_DECIDED = (sympy.true, sympy.false)


@dataclass(frozen=True)
class Branch:
    """A condition that was decided, and the line of the model where it was. ``own`` is True if that line itself asked,
    and False if an operator asked on its behalf.
    """

    condition: Any
    taken: bool
    place: str
    own: bool


class WatchedShapeEnv(ModelShapeEnv):
    """A shape environment that notes the conditions on symbols that user code turns into a truth value, and those that
    guard programs.
    """

    def __init__(self, **options: Any) -> None:
        self.branches: list[Branch] = []
        super().__init__(**options)

    def evaluate_expr(self, orig_expr: Any, *args: Any, **kwargs: Any) -> Any:
        known = len(self.guards)
        found = super().evaluate_expr(orig_expr, *args, **kwargs)
        if isinstance(orig_expr, sympy.logic.boolalg.Boolean) and orig_expr not in _DECIDED:
            place, own = self.asked_at(through_operators=len(self.guards) > known)
            if place:
                self.branches.append(Branch(orig_expr, bool(found), place, own))
        return found

    def asked_at(self, *, through_operators: bool) -> tuple[str, bool]:
        """Return the innermost line of the model's code, and whether that line itself asks. A line that asks through
        operators counts only with ``through_operators``.
        """
        frame: Any = sys._getframe(2)
        own = True
        while frame is not None:
            name = frame.f_code.co_filename
            if not name.startswith(NOT_THE_MODEL):
                return line_of_the_model(traceback.extract_stack(frame, limit=1)), own
            own = own and name in SYMBOLIC_NUMBER_FILES
            if not own and not through_operators:
                break
            frame = frame.f_back
        return "", False


def line_of_the_model(frames: Iterable[traceback.FrameSummary]) -> str:
    """Return the innermost of the frames that is the model's, as a place; an empty text where none is."""
    own = [each for each in frames if not each.filename.startswith(NOT_THE_MODEL)]
    return f"{own[-1].filename}:{own[-1].lineno}: {own[-1].line}" if own else ""


def misjudged(branches: list[Branch], symbol: Any, size: int) -> Branch | None:
    """Return the first branch that goes the other way where the symbol has this size."""
    for branch in branches:
        if branch.own and branch.condition.free_symbols == {symbol}:
            there = branch.condition.xreplace({symbol: sympy.Integer(size)})
            if there in _DECIDED and bool(there) != branch.taken:
                return branch
    return None
