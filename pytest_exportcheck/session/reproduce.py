"""The command line that runs one item again, as it would be typed where pytest was called."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

#: Characters that a shell interprets within double quotes. Shells other than sh leave all other characters as they are.
_SPECIAL = frozenset('$`"\\!')

#: pytest's own options that decide what is found: name in ``config.option`` -> the words for a value, and its default.
_OPTIONS = {
    "inifilename": ("-c", None),
    "rootdir": ("--rootdir", None),
    "confcutdir": ("--confcutdir", None),
    "importmode": ("--import-mode", "prepend"),
}


def command(config: pytest.Config, arguments: Sequence[str], nodeid: str) -> str:
    """Return the command with pytest's own options that matter, these arguments, and one id."""
    return " ".join([shlex.join(["pytest", *_own_options(config), *arguments]), quoted(nodeid)])


def id_from_here(item: pytest.Item) -> str:
    """Return the id of an item of a file; its path is relative to where pytest was called, not to pytest's root
    folder.
    """
    path = os.path.relpath(item.path, config_folder(item.config))
    return f"{path}::{item.nodeid.partition('::')[2]}"


def paths_given(config: pytest.Config) -> list[str]:
    """Return the paths of the command line or of ``testpaths``: with them pytest finds the same ini file and conftest
    files.
    """
    if config.args_source is pytest.Config.ArgsSource.INVOCATION_DIR:
        return []
    paths = [argument.partition("::")[0] for argument in _given(config)]
    return list(dict.fromkeys(path for path in paths if (config_folder(config) / path).exists()))


def config_folder(config: pytest.Config) -> Path:
    """Return the folder in which pytest was called."""
    return config.invocation_params.dir


def quoted(text: str) -> str:
    """Quote an id for a shell: in double quotes, which every shell knows, where they keep it as it is."""
    return shlex.quote(text) if _SPECIAL & set(text) else f'"{text}"'


def _given(config: pytest.Config) -> Sequence[str]:
    given: Sequence[str] = config.option.file_or_dir or config.getini("testpaths")
    return given


def _own_options(config: pytest.Config) -> Iterator[str]:
    for name, (option, default) in _OPTIONS.items():
        value = getattr(config.option, name, None)
        if value not in (None, "", default):
            yield f"{option}={value}" if option.startswith("--") else option
            if not option.startswith("--"):
                yield str(value)
    if getattr(config.option, "noconftest", False):
        yield "--noconftest"
    for value in getattr(config.option, "override_ini", None) or ():
        yield from ("-o", value)
    for name in config.option.plugins or ():
        if not name.startswith("no:"):
            yield from ("-p", name)
