"""pytest hooks only. Nothing heavy is imported before a session is asked for with ``--exportcheck``."""

from __future__ import annotations

import warnings

import pytest

from pytest_exportcheck.options import add_options, read_options

MARKER = (
    "exportcheck(engine, capture, edge): an export round-trip item; select with -m \"exportcheck(capture='strict')\"."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    options = read_options(config)
    if options.active:
        with warnings.catch_warnings():  # torch warns while it is imported, which ends the session under -W error
            warnings.simplefilter("ignore")
            from pytest_exportcheck.outputs import register
            from pytest_exportcheck.session import ActivePlugin

        config.pluginmanager.register(ActivePlugin(config, options), "exportcheck-active")
        register(config, options)
