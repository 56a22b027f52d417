"""pytest-exportcheck: export round-trip conformance testing for PyTorch models.

Importing this package imports neither torch nor pytest: the public names are loaded when first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_exportcheck.declare import cases_of as cases_of
    from pytest_exportcheck.declare import expect_failure as expect_failure
    from pytest_exportcheck.declare import export_case as export_case
    from pytest_exportcheck.declare import rejection as rejection
    from pytest_exportcheck.engines.custom import ProgramEdge as ProgramEdge
    from pytest_exportcheck.errors import ExportcheckError as ExportcheckError
    from pytest_exportcheck.errors import Unsupported as Unsupported
    from pytest_exportcheck.records import Agreement as Agreement
    from pytest_exportcheck.records import Case as Case
    from pytest_exportcheck.records import Evidence as Evidence
    from pytest_exportcheck.records import Expectation as Expectation
    from pytest_exportcheck.records import Finding as Finding
    from pytest_exportcheck.records import Outcome as Outcome
    from pytest_exportcheck.records import Rejection as Rejection
    from pytest_exportcheck.records import Tolerance as Tolerance

__version__ = "0.1.0"

_HOME = {
    "cases_of": "declare",
    "export_case": "declare",
    "expect_failure": "declare",
    "rejection": "declare",
    "ExportcheckError": "errors",
    "Unsupported": "errors",
    "ProgramEdge": "engines.custom",
    "Agreement": "records",
    "Case": "records",
    "Evidence": "records",
    "Expectation": "records",
    "Finding": "records",
    "Outcome": "records",
    "Rejection": "records",
    "Tolerance": "records",
}

__all__ = [
    "Agreement",
    "Case",
    "Evidence",
    "Expectation",
    "ExportcheckError",
    "Finding",
    "Outcome",
    "ProgramEdge",
    "Rejection",
    "Tolerance",
    "Unsupported",
    "cases_of",
    "expect_failure",
    "export_case",
    "rejection",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
