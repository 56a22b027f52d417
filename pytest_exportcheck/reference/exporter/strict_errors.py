"""Errors of Dynamo, in the classes of this exporter and with the line of the model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytest_exportcheck.reference._torch.dynamo import (
    InternalTorchDynamoError,
    TorchDynamoException,
    Unsupported,
    lines_in_progress,
)
from pytest_exportcheck.reference._torch.sizes import ConstraintViolationError, GuardOnDataDependentSymNode
from pytest_exportcheck.reference._torch.tracing import UserError, UserErrorType
from pytest_exportcheck.reference.exporter.errors import (
    ConstraintViolation,
    DataDependent,
    ExportError,
    InvalidInput,
    NotTraceable,
)
from pytest_exportcheck.reference.exporter.shape_env import line_of_the_model

#: Errors that users cause in the example or the declaration, by torch's kinds. All others are about the model.
_KINDS: Mapping[Any, type[ExportError]] = {
    UserErrorType.CONSTRAINT_VIOLATION: ConstraintViolation,
    UserErrorType.DYNAMIC_DIM: ConstraintViolation,
    UserErrorType.INVALID_INPUT: InvalidInput,
}
_REMEDY = "Write it with operators, or capture the model without strict=True."
_DETAILS = ("Explanation", "Developer debug context")
#: The texts in which Dynamo quotes an error that the model itself raises, and one that an operator raises.
_RAISED = re.compile(r"Developer debug context: raised exception (.+)|: got (\w+\(.+\))$", re.MULTILINE)


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of Dynamo as errors of this exporter."""
    try:
        yield
    except ExportError:
        raise
    except ConstraintViolationError as error:
        raise ConstraintViolation(str(error)) from error
    except GuardOnDataDependentSymNode as error:
        raise DataDependent.at(line_of_the_model(lines_in_progress()), error.cond, error=error) from error
    except InternalTorchDynamoError:
        raise
    except TorchDynamoException as error:
        raise _translation(error) from error


def _translation(error: Exception) -> ExportError:
    place = line_of_the_model(getattr(error, "real_stack", ()))
    guard = next((each for each in _chain(error) if isinstance(each, GuardOnDataDependentSymNode)), None)
    if guard is not None:
        return guard if isinstance(guard, DataDependent) else DataDependent.at(place, guard.cond, error=guard)
    if isinstance(error, UserError) and error.error_type in _KINDS:
        return _KINDS[error.error_type](str(error))
    where = f" at\n  {place}\n" if place else ": "
    title, *_ = str(error).partition("\n")
    raised = _RAISED.search(str(error))
    if raised is not None:
        return NotTraceable(f"the model raises {raised[1] or raised[2]}{where}Give an example that the model accepts.")
    if isinstance(error, Unsupported) and title.lower().startswith("data-dependent"):
        return DataDependent.at(place, "of a tensor")
    found = (re.search(rf"^ *{part}: *(.+)$", str(error), re.MULTILINE) for part in _DETAILS)
    details = (each[0].strip() for each in found if each)
    return NotTraceable(f"Dynamo does not capture what the model does{where}" + "\n".join((title, *details, _REMEDY)))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
