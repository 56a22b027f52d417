"""The plugin's own hooks. pytest calls only functions named ``pytest_*``; these are plain ``exportcheck_*`` functions
in a ``conftest.py`` or a plugin, called through a separate pluggy manager.
"""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pluggy
import pytest

from pytest_exportcheck.errors import DeclarationError
from pytest_exportcheck.run import hookspecs

PREFIX = "exportcheck_"
#: Hooks that a session asks once, before it collects: too early for the conftest file of a subfolder.
ASKED_ONCE = (
    "exportcheck_engines",
    "exportcheck_edges",
    "exportcheck_runtimes",
    "exportcheck_checks",
    "exportcheck_cases",
)
#: Exceptions of a hook function that only drop its contribution. ``pytest.exit`` ends the run as usual.
_RAISED = (Exception, pytest.skip.Exception, pytest.fail.Exception)


class Hooks(pluggy.PluginManager):
    """The manager that calls ``exportcheck_*`` functions of every plugin that it is given; no marker is needed."""

    def __init__(self) -> None:
        super().__init__("exportcheck")
        self.add_hookspecs(hookspecs)

    def adopt(self, plugin: object) -> None:
        """Take the hook functions of a pytest plugin, such as a ``conftest`` module.

        Raises
        ------
        DeclarationError
            For a function with the prefix that is not one of the hooks, or takes other arguments.
        """
        known = [name for name in vars(hookspecs) if name.startswith(PREFIX)]
        for name in vars(plugin) if inspect.ismodule(plugin) else ():
            if name.startswith(PREFIX) and inspect.isfunction(getattr(plugin, name)) and name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f". Hooks: {', '.join(known)}."
                raise DeclarationError(f"{_where(plugin)} defines {name}, which is not a hook{hint}")
        if any(inspect.isroutine(getattr(plugin, name, None)) for name in known):
            try:
                self.register(
                    plugin, name=f"{self.get_canonical_name(plugin)}-{id(plugin)}"
                )  # conftest files share a name
            except pluggy.PluginValidationError as error:
                raise DeclarationError(f"{_where(plugin)}: {str(error).splitlines()[-1]}") from None

    def ignored(self, plugin: object) -> str:
        """Return a sentence with the hooks of a plugin that comes too late for them; empty if there are none."""
        names = [name for name in ASKED_ONCE if inspect.isroutine(getattr(plugin, name, None))]
        if not names:
            return ""
        return (
            f"{_where(plugin)} defines {' and '.join(names)}, which this run ignores: hooks are called before pytest "
            "collects this folder. Move them to the conftest.py of pytest's root folder, or name the folder on the command line."
        )

    def gather(self, name: str, path: Path | None = None, **arguments: Any) -> tuple[list[Any], list[str]]:
        """Return what the functions of this hook return, and the errors of those that raise: one broken function ends
        no session. With a ``path``, the functions of ``conftest.py`` files of other folders are left out.
        """
        returned, problems = self._returned(name, arguments, path)
        return [result for _, result in returned], problems

    def gather_lists(self, name: str, **arguments: Any) -> tuple[list[Any], list[str]]:
        """Return the members of the lists and generators that the functions of this hook return, and the problems in
        words.
        """
        returned, problems = self._returned(name, arguments)
        members: list[Any] = []
        for plugin, result in returned:
            if isinstance(result, Iterable) and not isinstance(result, (str, bytes, Mapping)):
                members += result
            else:
                problems.append(f"{name} of {_where(plugin)} returned {result!r}; it must return a list.")
        return members, problems

    def _returned(
        self, name: str, arguments: Mapping[str, Any], path: Path | None = None
    ) -> tuple[list[tuple[object, Any]], list[str]]:
        """Return each function's plugin and what it returned, unless that is None; and the errors, in words."""
        returned: list[tuple[object, Any]] = []
        problems: list[str] = []
        for function in reversed(getattr(self.hook, name).get_hookimpls()):
            if path is not None and not _is_about(function.plugin, path):
                continue
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
        """Treat an ``exportcheck_*`` function as a hook without a marker."""
        if not name.startswith(PREFIX) or not inspect.isroutine(getattr(plugin, name, None)):
            return None
        flags = ("wrapper", "hookwrapper", "optionalhook", "tryfirst", "trylast")
        return {**dict.fromkeys(flags, False), "specname": None}


def _is_about(plugin: object, path: Path) -> bool:
    """Return True if a plugin applies to a path: a ``conftest.py`` file applies to its own folder and those below
    only.
    """
    file = Path(getattr(plugin, "__file__", None) or "")
    return file.name != "conftest.py" or path.is_relative_to(file.parent)


def _raised_at(error: BaseException) -> str:
    """Return the exception in a line, with its place."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error}\n(raised at {frame.filename}:{frame.lineno}: {frame.line})"


def _where(plugin: object) -> str:
    return str(getattr(plugin, "__file__", None) or plugin)
