"""One error tree. Every message says what, where, expected, got, and what to do."""

from __future__ import annotations


class ExportcheckError(Exception):
    """Base of every error that the plugin itself raises."""


class DeclarationError(ExportcheckError):
    """A case is declared in a way that cannot be checked (raised where it is declared or collected)."""


class CaseError(ExportcheckError):
    """A case cannot be set up: its factory, its inputs or its dynamic shapes are at fault."""


class SelectionError(ExportcheckError):
    """The command line or the ini file names a mode, an engine or a source that does not exist."""


class EngineError(ExportcheckError):
    """An object given as an engine lacks what every engine has."""


class ArchiveError(ExportcheckError):
    """A file is no PT2 archive, or a damaged one."""


class Unsupported(ExportcheckError):
    """Raised by an engine for what it does not offer for one model: the item is skipped with this reason."""
