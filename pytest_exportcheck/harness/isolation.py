"""Exceptions as text, and a context in which pytest does not make torch raise any."""

from __future__ import annotations

import keyword
import logging
import os
import re
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from pytest_exportcheck.errors import RuntimeRaised
from pytest_exportcheck.records import Cause, Raised

_LIBRARIES = (
    "_distutils_hack",
    "sympy",
    "mpmath",
    "_pytest",
    "pluggy",
    "hypothesis",
    "xdist",
    "execnet",
    "pytest_timeout.py",
)
_MOST_LINES = 12


class _Kept:
    """A stream that a model may write to but not close: pytest reads what is captured from it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        self._stream.flush()


@contextmanager
def _kept_streams() -> Iterator[None]:
    """Restore ``sys.stdout`` and ``sys.stderr``, whatever a model does with them."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Kept(before[0]), _Kept(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def quiet() -> Iterator[None]:
    """Isolate torch from pytest: its handling of warnings, log records and captured output does not change torch's
    behaviour inside, and a model does not change pytest's.

    Under ``-W error`` a warning would end a capture. pytest's log handlers show every record of torch's structured
    trace, and raise where a message does not fit its arguments, as one of torch's loader does (2.14.1, on inputs that
    the weights-only unpickler refuses). torch's own handler still writes to stderr.
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
    """Return the handlers that pytest attaches to loggers that do not propagate; torch's do not."""
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
def without_logs() -> Iterator[None]:
    """Drop all log records, torch's own handler included: for attempts that are expected to fail."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def log_of_torch(lines: list[str]) -> Iterator[None]:
    """Collect the messages that torch.export logs inside: the last line of each. torch.export.load gives the reason of
    a failure there only.
    """
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
    """Return an exception as text, with the last line of code that is neither torch's nor this plugin's, and torch's
    that raised. An error of a runtime has been raised in another process.
    """
    if isinstance(error, RuntimeRaised):
        return Raised(error.kind, error.text.strip(), error.place)
    where, after = _last_line(error)
    inside = [frame for frame in after if frame.filename.startswith(_TORCH)]
    last = inside[-1] if inside else None
    texts = (_in_torch(last), last.name) if last else ("", "")
    return Raised(type_name(type(error)), str(error).strip(), where, *texts)


def causes_of(error: BaseException) -> tuple[Cause, ...]:
    """Name the causes of an error of torch that does not name them itself; empty for all others."""
    if isinstance(error, SyntaxError) and str(error.filename).startswith("<eval_with_key>"):
        paths = re.findall(r"self((?:\.\w+)+)", error.text or "")
        wrong = [path[1:] for path in paths if any(map(keyword.iskeyword, path.split(".")))]
        return tuple(Cause("keyword_in_path", path) for path in wrong[:1])
    taken = re.fullmatch(r"attribute '(\w+)' already exists", str(error.args[0])) if _is_taken(error) else None
    if taken and hasattr(torch.fx.GraphModule, taken[1]):
        return (Cause("graph_module_attribute", taken[1]),)
    return ()


def _is_taken(error: BaseException) -> bool:
    """Return True if a module refused a name that it has."""
    return isinstance(error, KeyError) and bool(error.args)


def line_of_node(error: BaseException) -> str:
    """Return the user's line of the node that torch was running when it raised; empty where it ran none, or where the
    node has no line.
    """
    node = node_that_raised(error)
    return _line_of_trace(str(node.meta.get("stack_trace") or "")) if node is not None else ""


def node_that_raised(error: BaseException) -> torch.fx.Node | None:
    """Return the node of a graph that torch was running when it raised, None where it ran none."""
    seen: list[BaseException] = []
    pending: BaseException | None = error
    while pending is not None and pending not in seen:
        seen.append(pending)
        for frame, _ in reversed([*traceback.walk_tb(pending.__traceback__)]):
            node = frame.f_locals.get("n") if frame.f_code.co_name == "run_node" else None
            if isinstance(node, torch.fx.Node):
                return node
        pending = pending.__cause__ or pending.__context__
    return None


_FRAME = re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')


def _line_of_trace(trace: str) -> str:
    """Return the innermost line of the user's in the text of a stack trace."""
    lines = trace.splitlines()
    for number in range(len(lines) - 1, -1, -1):
        frame = _FRAME.match(lines[number])
        if frame and is_users_file(frame["file"]):
            below = lines[number + 1].strip() if number + 1 < len(lines) else ""
            return f"{frame['file']}:{frame['line']} in {frame['function']}: {below}"
    return ""


def stopped_text(frames: Sequence[traceback.FrameSummary]) -> str:
    """Name the lines that a thread was running when it was stopped: the user's, innermost last, then torch's that the
    last of them called.
    """
    inside = [number for number, frame in enumerate(frames) if frame.filename.startswith(_OTHERS[0])]
    ours = frames[inside[0] :] if inside else frames
    users = [number for number, frame in enumerate(ours) if is_users_file(frame.filename)]
    after = [frame for frame in ours[users[-1] if users else 0 :] if frame.filename.startswith(_TORCH)]
    lines = [f"  {_frame_text(ours[number])}" for number in users[-_MOST_LINES:]]
    lines = [f"  ... {len(users) - _MOST_LINES} lines left out ..."] * (len(users) > _MOST_LINES) + lines
    head = ["Your code was at (innermost last):", *lines] if users else ["None of your code was running."]
    return "\n".join([*head, *([f"torch was at {_in_torch(after[-1])}"] if after else [])])


def last_line_of_model(run: Callable[[], object]) -> str:
    """Return the last line of the user's code that called something while ``run`` ran, whether it raised or not."""
    last: list[tuple[str, int, str]] = []

    def profile(frame: FrameType, event: str, _: object) -> None:
        caller = frame if event == "c_call" else frame.f_back if event == "call" else None
        if caller is not None and is_users_file(caller.f_code.co_filename):
            last[:] = [(caller.f_code.co_filename, caller.f_lineno, caller.f_code.co_name)]

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        run()
    except (Exception, SystemExit):  # the error is known: only the line is needed
        return _frame_text(traceback.FrameSummary(*last[0])) if last else ""
    finally:
        sys.setprofile(before)
    return ""


def type_name(kind: type[BaseException]) -> str:
    """Return the name of a class of errors as messages have it."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


_TORCH = str(Path(torch.__file__).parent) + os.sep
_SITE = str(Path(torch.__file__).parent.parent) + os.sep
_STANDARD = sysconfig.get_path("stdlib") + os.sep
#: Code that runs between a user's line and torch's, or around both.
_OTHERS = (str(Path(__file__).parents[1]) + os.sep, *(f"{_SITE}{name}" for name in _LIBRARIES), "<")


@cache
def is_users_file(file: str) -> bool:
    """Return True if a file is neither torch's, this plugin's, Python's nor of a library that these two call."""
    return not file.startswith((_TORCH, *_OTHERS)) and (not file.startswith(_STANDARD) or "site-packages" in file)


def _last_line(error: BaseException) -> tuple[str, list[traceback.FrameSummary]]:
    """Return the last line outside torch and this plugin, and the frames that follow it: all of them where there is
    none.
    """
    frames = [*traceback.extract_tb(error.__traceback__)]
    own = [number for number, frame in enumerate(frames) if is_users_file(frame.filename)]
    if not own:
        return "", frames
    return _frame_text(frames[own[-1]]), frames[own[-1] + 1 :]


def _frame_text(frame: traceback.FrameSummary) -> str:
    return f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"


def _in_torch(frame: traceback.FrameSummary) -> str:
    file = Path("torch", frame.filename.removeprefix(_TORCH)).as_posix()
    return f"{file}:{frame.lineno} in {frame.name}: {frame.line}"
