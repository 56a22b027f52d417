"""Messages: the data that the process that ran an item sends to the process that reports it, attached to pytest's
reports.

pytest-xdist and pytest-forked carry the attributes of a report from process to process if they are of simple types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from pytest_exportcheck.expectations.baseline import ExpectationDelta
from pytest_exportcheck.records import Outcome
from pytest_exportcheck.reports.encoding import simple_types

_ATTRIBUTE = "exportcheck"
#: Attribute that holds what a pytest-xdist worker sends at its end: of the worker's config, and of the controller's
#: node.
_OUTPUT = "workeroutput"


@dataclass(frozen=True, kw_only=True)
class Message:
    """The content that one report carries in addition to pytest's own fields: the ``outcome`` of the item that ended,
    its changes to the file of expected failures (``delta``), and why an item without a case failed (``error``).
    ``reproduce`` is the command that runs a failed item again, ``bundle`` the line about its bundle. ``selected`` are the items of this run as they are
    before they run; the first report of each process that collects has them.
    """

    outcome: Outcome | None = None
    delta: ExpectationDelta | None = None
    error: str = ""
    reproduce: str = ""
    bundle: str = ""
    selected: tuple[Outcome, ...] = ()


_EMPTY = Message()


def attach(report: pytest.TestReport, message: Message) -> None:
    """Attach a message to a report, unless the message is empty."""
    if message != _EMPTY:
        setattr(report, _ATTRIBUTE, simple_types(message))


def message_of(report: pytest.TestReport) -> Message:
    """Return the message of a report; an empty one if none is attached."""
    attached = getattr(report, _ATTRIBUTE, None)
    return _EMPTY if attached is None else msgspec.convert(attached, Message)


def outbox(config: pytest.Config) -> dict[str, Any] | None:
    """Return the mapping that a worker of pytest-xdist sends to its controller at its end; None in any other
    process.
    """
    box: dict[str, Any] | None = getattr(config, _OUTPUT, None)
    return box


def inbox(node: object) -> Mapping[str, Any]:
    """Return the mapping that a worker of pytest-xdist sent; empty for a worker that crashed."""
    box: Mapping[str, Any] = getattr(node, _OUTPUT, {})
    return box
