"""Reasons why a model cannot be exported. Each kind is also the error that torch raises there."""

from __future__ import annotations

from typing import Any

from pytest_exportcheck.errors import ExportcheckError
from pytest_exportcheck.reference._torch.sizes import GuardOnDataDependentSymNode
from pytest_exportcheck.reference._torch.tracing import UserError, UserErrorType


class ExportError(ExportcheckError, UserError):
    """A model cannot be exported, or not in the way that was requested: what, where, and what to write instead."""

    kind = UserErrorType.INVALID_INPUT

    def __init__(self, message: str) -> None:
        UserError.__init__(self, self.kind, message)


class InvalidInput(ExportError, ValueError):
    """The model does not accept the example or the dynamic shapes."""


class InvalidCall(InvalidInput, TypeError):
    """The model cannot be called with the example."""


class ConstraintViolation(ExportError):
    """The model restricts a size more than was declared."""

    kind = UserErrorType.CONSTRAINT_VIOLATION


class NotTraceable(ExportError):
    """The model does something that an exported program cannot represent."""

    kind = UserErrorType.ANTI_PATTERN


class LeakedTensor(NotTraceable):
    """The model computes with a tensor that only exists while it is traced."""


class NotSupported(ExportError):
    """The model has something that a program may hold and that this exporter does not capture."""


class DataDependent(ExportError, GuardOnDataDependentSymNode):
    """The model needs a value that is known only when the program is called."""

    kind = UserErrorType.DYNAMIC_CONTROL_FLOW

    def __init__(self, message: str, condition: Any) -> None:
        super().__init__(message)
        self.args, self.cond = (message,), condition  # torch's own constructor keeps the condition only

    @classmethod
    def at(cls, place: str, condition: Any, *, checks: str = "", error: object = "", sizes: str = "") -> DataDependent:
        """Return the error for a line of the model, and a condition that the line decides; ``checks`` decide it.
        ``error`` is torch's; ``sizes`` are the sizes of a specification that the condition depends on.
        """
        asked = "extract specialized integer from" if "specialized integer" in str(error) else "guard on"
        values = f"{sizes}, which the specification leaves open," if sizes else "the values of a tensor,"
        assume = "add the condition to the assumptions of the ShapesSpec, " if sizes else ""
        return cls(
            f"Could not {asked} data-dependent expression {condition}: the model branches on {values} or needs "
            f"one as a number, at\n  {place or 'an unknown line'}\nA program takes one branch for all values. Compute both and "
            f"choose with torch.where, use torch.cond, {assume}or state the condition before that line with torch._check(...).{checks}",
            condition,
        )
