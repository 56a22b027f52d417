"""Watched reading: the result, the time, and everything that a file must not bring about."""

from __future__ import annotations

import ast
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
import torch.fx.graph_module

from pytest_exportcheck.errors import ExportcheckError, SchemaWarning, SerializationWarning

LIMIT = 5.0  # seconds


class TooLong(BaseException):
    """Not an Exception: nothing is to catch it."""


@dataclass
class Watched:
    """Of one reading: the result or the error, the time, and everything that a file must not bring about."""

    outcome: str = ""
    error: BaseException | None = None
    seconds: float = 0.0
    misdeeds: list[str] = field(default_factory=list)


_EVENTS = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.dlopen", "webbrowser.", "urllib.", "pty.")
_watching: list[Watched] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "open":
        writes = isinstance(args[1], str) and set(args[1]) & set("wax+")
        if writes:
            _watching[-1].misdeeds.append(f"opens {args[0]} to write")
    elif event.startswith(_EVENTS) and event not in ("os.listdir", "os.scandir"):
        _watching[-1].misdeeds.append(event)


@cache
def _audited() -> None:
    sys.addaudithook(_audit)


def _checked_exec(source: str, *args: Any) -> Any:
    """What FX compiles must be one function, which calls nothing that a file said and evaluates nothing before it is called."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return _exec(source, *args)
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    misdeeds = _watching[-1].misdeeds if _watching else []
    if len(functions) != len(tree.body) or len(functions) != 1:
        misdeeds.append(f"code beside the function: {source[:200]}")
    for function in functions:
        constants = [*function.args.defaults, *filter(None, function.args.kw_defaults)]
        if function.decorator_list or not all(isinstance(ast.literal_eval(each), object) for each in constants):
            misdeeds.append(f"code in the head of the function: {source[:200]}")
    for each in ast.walk(tree):
        if isinstance(each, ast.Name) and each.id == "hostile_canary":
            misdeeds.append(f"the file's code in the function: {source[:200]}")
    return _exec(source, *args)


_exec = torch.fx.graph_module._exec_with_source


def _alarm(*_: Any) -> None:
    raise TooLong


def watched(read: Callable[[], Any]) -> Watched:
    """Read, and look."""
    _audited()
    seen = Watched()
    modules = set(sys.modules)
    torch.fx.graph_module._exec_with_source = _checked_exec  # type: ignore[assignment]  # FX passes positions only
    called = torch.export.ExportedProgram.module
    torch.export.ExportedProgram.module = lambda *_: seen.misdeeds.append("program.module() is called")  # type: ignore[assignment]  # gives nothing
    before = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    began = time.perf_counter()
    _watching.append(seen)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            result = read()
            seen.outcome = "loaded"
            if not isinstance(result, torch.export.ExportedProgram):
                seen.misdeeds.append(f"gives a {type(result).__name__}")
        except ExportcheckError as error:
            seen.outcome, seen.error = type(error).__name__, error
            if not str(error).strip():
                seen.misdeeds.append("an error without a message")
        except BaseException as error:
            seen.outcome, seen.error = type(error).__name__, error
            seen.misdeeds.append(f"{type(error).__name__}: {str(error)[:200]}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _watching.pop()
    seen.seconds = time.perf_counter() - began
    signal.signal(signal.SIGALRM, before)
    torch.fx.graph_module._exec_with_source = _exec
    torch.export.ExportedProgram.module = called
    new = {name for name in set(sys.modules) - modules if not name.startswith(("torch.", "sympy.", "mpmath."))}
    if new:
        seen.misdeeds.append(f"imports {', '.join(sorted(new))}")
    odd = {
        str(each.message)[:100] for each in said if not issubclass(each.category, (SchemaWarning, SerializationWarning))
    }
    seen.misdeeds.extend(f"warns: {text}" for text in sorted(odd) if not text.startswith(_HARMLESS))
    return seen


#: torch's own, which sound files bring about too.
_HARMLESS = (
    *("Sparse ", "ComplexHalf support", "Validating sparse tensor invariants", "Raw Sym", "Detected pickle protocol"),
    *("str indices must be", "'", '"'),  # the compiler's, of a function that is not called
)
