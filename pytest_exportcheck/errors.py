"""The errors of the plugin, in one tree. Every message says what, where, expected, got, and what to do."""

from __future__ import annotations

import traceback
from typing import TypeVar

_Error = TypeVar("_Error", bound=BaseException)


class ExportcheckError(Exception):
    """Base of every error that the plugin itself raises."""


class DeclarationError(ExportcheckError):
    """A case is declared in a way that cannot be checked (raised where it is declared or collected)."""


class CaseError(ExportcheckError):
    """A case cannot be set up: its factory, its inputs or its dynamic shapes are at fault."""


class InputsRefused(CaseError):
    """A class among the inputs refuses tensors of other sizes."""


class SelectionError(ExportcheckError):
    """The command line or the ini file names a mode, an engine or a source that does not exist."""


class ExpectationsError(ExportcheckError):
    """The file of expected failures cannot be read or written, or has an invalid entry."""


class EngineError(ExportcheckError):
    """An object given as an engine lacks a member that every engine has."""


class InteropError(ExportcheckError):
    """An engine, ``reader``, raised ``error`` where it loads what another one, ``saver``, saved."""

    def __init__(self, saver: str, reader: str, error: Exception) -> None:
        super().__init__(f"{reader} cannot load what {saver} saved: {type(error).__name__}: {error}")
        self.saver = saver
        self.reader = reader
        self.error = error


class SerializationError(ExportcheckError, RuntimeError):
    """A program cannot be written or read. Also a ``RuntimeError``, the class that torch raises in this case."""


class ArchiveError(SerializationError):
    """A file is not a PT2 archive, or is damaged."""


class SchemaError(SerializationError):
    """The JSON of a program does not follow the schema, or a structure of the schema is built wrongly."""


class ExpressionError(SerializationError):
    """A text of a file is not a symbolic expression, or exceeds the limits for one."""


class SchemaWarning(UserWarning):
    """A file has a newer minor version of the schema than this reader knows."""


class SerializationWarning(UserWarning):
    """A part of a program is left out of a file, or a part of a file is left out of a program."""


class UnsupportedError(SerializationError):
    """A program holds something that the format cannot, or a file names something that does not exist here."""


class PayloadError(SerializationError):
    """A tensor that an archive cannot hold, one that this machine cannot have, or one that needs trust to be read."""


class ReportError(ExportcheckError):
    """A report (``--exportcheck-json``) cannot be written or read, or reports cannot be merged."""


class BundleError(ExportcheckError):
    """A bundle (``--exportcheck-repro-dir``) cannot be written, read or replayed."""


class GoldenError(ExportcheckError):
    """A golden program (``--exportcheck-golden``) cannot be written or read, or does not fit its case."""


class UnknownNameError(ExportcheckError):
    """``exportcheck explain`` got a name that is neither a known defect's nor a check's."""


class Unsupported(ExportcheckError):
    """An engine does not offer something for one model: the item is skipped with this reason."""


def internal_error_text(error: BaseException) -> str:
    """Return the text for an internal error of the plugin: where it happened, without pytest's and pluggy's frames."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/_pytest/" not in frame.filename and "/pluggy/" not in frame.filename
    ]
    trace = "".join(traceback.format_list(frames) + traceback.format_exception_only(error))
    return f"internal error of pytest-exportcheck; please report it with this text:\n{trace}"


def with_message(error: _Error, message: str) -> _Error:
    """Give an error another message, such as one with a place; its class, its attributes and its cause stay."""
    error.args = (message, *error.args[1:])
    return error.with_traceback(None)


#: The option that limits the time of a runtime, as messages name it.
TIME_OPTION = "--exportcheck-runtime-timeout"


class RuntimeFailure(ExportcheckError):
    """A package that could not be loaded or called."""


class RuntimeRaised(RuntimeFailure):
    """An error of a runtime, in its own words: ``kind`` is the class of the error, and ``hint`` what to do."""

    def __init__(self, runtime: str, doing: str, kind: str, text: str, hint: str = "") -> None:
        super().__init__(f"{runtime} raised at the {doing} of its package: {kind}: {text}")
        self.place = f"the {doing} of the package of {runtime}"
        self.kind = kind
        self.text = text
        self.hint = hint


class RuntimeCrashed(RuntimeFailure):
    """The end of the process in which a package was loaded or called."""

    def __init__(self, runtime: str, doing: str, how: str, said: str) -> None:
        super().__init__(f"{runtime} ended its process at the {doing} of its package ({how})." + _printed(said))


class RuntimeHung(RuntimeFailure):
    """A package that gave no answer in time; ``limit`` names the option that sets the time."""

    def __init__(self, runtime: str, doing: str, seconds: float, said: str, limit: str = TIME_OPTION) -> None:
        super().__init__(
            f"{runtime} did not end the {doing} of its package within {seconds:g} s ({limit})." + _printed(said)
        )


class CompilerFailed(RuntimeFailure):
    """A C++ compiler that ended with an error. ``at_fault`` says whether it compiles an empty program."""

    def __init__(self, runtime: str, command: str, at_fault: str, said: str) -> None:
        super().__init__(f"{runtime}: the C++ compiler {command} failed; {at_fault}." + _printed(said))


def _printed(said: str) -> str:
    return f" It printed last:\n{said}" if said else ""
