"""Exceptions as text, and a surrounding in which pytest does not make torch raise any."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pytest_exportcheck.records import Raised


class _Kept:
    """A stream that a model may write to and not close: pytest reads what is captured from it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        self._stream.flush()


@contextmanager
def _kept_streams() -> Iterator[None]:
    """Whatever a model does with ``sys.stdout`` and ``sys.stderr``, they are as before."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Kept(before[0]), _Kept(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, nothing that pytest does with warnings, log records and captured output changes what torch does, and nothing
    that a model does changes what pytest does.

    Under ``-W error`` a warning would end a capture. pytest's log handlers show every record of torch's structured trace,
    and raise where a message does not fit its arguments, as one of torch's loader does (2.14.1, on inputs that the
    weights-only unpickler refuses). torch's own handler still writes to stderr.
    """
    attached = _pytest_handlers_of_torch()
    for logger, handler in attached:
        logger.removeHandler(handler)
    try:
        with warnings.catch_warnings(), _kept_streams():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, handler in attached:
            logger.addHandler(handler)


def _pytest_handlers_of_torch() -> list[tuple[logging.Logger, logging.Handler]]:
    """pytest attaches its handlers to loggers that do not propagate; torch's do not."""
    loggers = [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if name.partition(".")[0] == "torch" and isinstance(logger, logging.Logger)
    ]
    return [
        (logger, handler)
        for logger in loggers
        for handler in list(logger.handlers)
        if type(handler).__module__.startswith("_pytest.")
    ]


@contextmanager
def log_of_torch(lines: list[str]) -> Iterator[None]:
    """Collect what torch.export logs inside: the last line of each message. torch.export.load says there, and only there, why
    it failed."""
    logger, collector = logging.getLogger("torch.export"), _Collector(lines)
    logger.addHandler(collector)
    try:
        yield
    finally:
        logger.removeHandler(collector)


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = logging.Formatter().format(record)
        except (TypeError, ValueError):  # the message does not fit its arguments
            text = str(record.msg)
        said = [line.strip() for line in text.splitlines() if line.strip()]
        self._lines.extend(said[-1:])


def raised_from(error: BaseException) -> Raised:
    """An exception as text, with the last line of code that is neither torch's nor this plugin's."""
    return Raised(_type_name(type(error)), str(error).strip(), _where(error))


def _type_name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


_INFRASTRUCTURE = tuple(str(Path(file).parent) + os.sep for file in (torch.__file__, __file__))


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((*_INFRASTRUCTURE, "<"))]
    if not own:
        return ""
    return f"{own[-1].filename}:{own[-1].lineno} in {own[-1].name}: {own[-1].line}"
