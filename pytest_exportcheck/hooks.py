"""The plugin's own hooks. pytest calls only functions named ``pytest_*``; these are plain ``exportcheck_*`` functions in
a ``conftest.py`` or a plugin, called through a pluggy manager of our own."""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pluggy
import pytest

from pytest_exportcheck import hookspecs
from pytest_exportcheck.errors import DeclarationError

PREFIX = "exportcheck_"
#: What a function may raise that costs only what it would have added. ``pytest.exit`` ends the run as ever.
_RAISED = (Exception, pytest.skip.Exception, pytest.fail.Exception)


class Hooks(pluggy.PluginManager):
    """Calls ``exportcheck_*`` functions of every plugin that it is given; no marker is needed."""

    def __init__(self) -> None:
        super().__init__("exportcheck")
        self.add_hookspecs(hookspecs)

    def adopt(self, plugin: object) -> None:
        """Take the hook functions of a pytest plugin, such as a ``conftest`` module.

        Raises
        ------
        DeclarationError
            For a function with the prefix that is none of the hooks, or takes other arguments.
        """
        known = [name for name in vars(hookspecs) if name.startswith(PREFIX)]
        for name in vars(plugin) if inspect.ismodule(plugin) else ():
            if name.startswith(PREFIX) and inspect.isfunction(getattr(plugin, name)) and name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f". Hooks: {', '.join(known)}."
                raise DeclarationError(f"{_where(plugin)} defines {name}, which is no hook{hint}")
        if any(inspect.isroutine(getattr(plugin, name, None)) for name in known):
            try:
                self.register(plugin)
            except pluggy.PluginValidationError as error:
                raise DeclarationError(f"{_where(plugin)}: {str(error).splitlines()[-1]}") from None

    def gather(self, name: str, **arguments: Any) -> tuple[list[Any], list[str]]:
        """What the functions of this hook return, and of those that raise, what: one broken function ends no session."""
        returned, problems = self._returned(name, arguments)
        return [result for _, result in returned], problems

    def gather_lists(self, name: str, **arguments: Any) -> tuple[list[Any], list[str]]:
        """The members of what the functions of this hook return, generators too, and in words what went wrong."""
        returned, problems = self._returned(name, arguments)
        members: list[Any] = []
        for plugin, result in returned:
            if isinstance(result, Iterable) and not isinstance(result, (str, bytes, Mapping)):
                members += result
            else:
                problems.append(f"{name} of {_where(plugin)} returned {result!r}; it returns a list.")
        return members, problems

    def _returned(self, name: str, arguments: Mapping[str, Any]) -> tuple[list[tuple[object, Any]], list[str]]:
        """Each function's plugin and what it returned, unless that is nothing; what raised, in words."""
        returned: list[tuple[object, Any]] = []
        problems: list[str] = []
        for function in reversed(getattr(self.hook, name).get_hookimpls()):
            try:
                given = {key: value for key, value in arguments.items() if key in function.argnames}
                result = function.function(**given)
                if isinstance(result, Iterator):
                    result = list(result)
            except _RAISED as error:
                problems.append(f"{name} of {_where(function.plugin)} raised {_raised_at(error)}")
                continue
            if result is not None:
                returned.append((function.plugin, result))
        return returned, problems

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """An ``exportcheck_*`` function counts without a marker."""
        if not name.startswith(PREFIX) or not inspect.isroutine(getattr(plugin, name, None)):
            return None
        flags = ("wrapper", "hookwrapper", "optionalhook", "tryfirst", "trylast")
        return {**dict.fromkeys(flags, False), "specname": None}


def _raised_at(error: BaseException) -> str:
    """The exception in a line, and where."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error}\n(raised at {frame.filename}:{frame.lineno}: {frame.line})"


def _where(plugin: object) -> str:
    return str(getattr(plugin, "__file__", None) or plugin)
