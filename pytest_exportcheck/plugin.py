"""The pytest hooks of the plugin. Nothing heavy is imported before ``--exportcheck`` starts a session."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

from pytest_exportcheck.modes import CAPTURES, ItemId
from pytest_exportcheck.options import add_options, read_options

if TYPE_CHECKING:
    from pytest_exportcheck.session.fixture import Exportcheck

MARKER = (
    "exportcheck(engine, capture, edge): an export round-trip item; select with -m \"exportcheck(capture='strict')\"."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    add_options(parser)


@pytest.fixture
def exportcheck(request: pytest.FixtureRequest) -> Exportcheck:
    """Check one model inside a test: ``exportcheck(module, args, dynamic_shapes=...)``. Needs no ``--exportcheck``."""
    from pytest_exportcheck.session.fixture import Exportcheck

    return Exportcheck(request)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Name the missing option ``--exportcheck`` if pytest found nothing for the id of an item."""
    items = [argument for argument in config.args if _names_an_item(argument)]
    if items and exitstatus == pytest.ExitCode.USAGE_ERROR and not config.getoption("exportcheck"):
        terminalreporter.write_line(f"exportcheck: {items[0]} is an item of pytest-exportcheck: add --exportcheck.")


def _names_an_item(argument: str) -> bool:
    found = ItemId.parse(argument)
    return found is not None and found.mode.capture in CAPTURES


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and with ``--exportcheck`` the plugins of the session."""
    config.addinivalue_line("markers", MARKER)
    options = read_options(config)
    if options.active:
        with warnings.catch_warnings():  # torch warns while it is imported, which ends the session under -W error
            warnings.simplefilter("ignore")
            from pytest_exportcheck.session.registration import register_plugins

        register_plugins(config, options)
