"""Arguments of the command line that name items which are in no file: ``timm::test_vit[torch-nonstrict]``.

pytest knows paths only. Such arguments are removed before it collects, and select among the cases of sources, imported
modules and hooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from pytest_exportcheck.options import Options
from pytest_exportcheck.sources import SOURCES
from pytest_exportcheck.sources.spec import parse

HOOK = "exportcheck_cases"
_ID = re.compile(r"(?P<label>[\w.]+)::(?P<case>[\w.+-]+)(\[[\w.!-]+\])?")


def selected(config: pytest.Config, options: Options) -> Options:
    """Return the options with the ids of sources that the command line names; pytest gets the other arguments, and none
    at all with ``--exportcheck-only-sources``.

    Raises
    ------
    pytest.UsageError
        Where that option and an item of a file are given.
    """
    ids = [argument for argument in config.args if _is_of_source(config, argument, options)]
    of_files = [argument for argument in config.args if "::" in argument and argument not in ids]
    if options.only_sources and of_files:
        raise pytest.UsageError(
            f"exportcheck: --exportcheck-only-sources collects no file, got {of_files[0]!r}. Leave out one of the two."
        )
    if options.only_sources or ids:
        config.args = [] if options.only_sources else [each for each in config.args if each not in ids]
    labels = {_label(source) for source in options.sources}
    more = [source for source in map(_source_of, ids) if source and _label(source) not in labels]
    return replace(options, named=tuple(ids), sources=tuple(dict.fromkeys([*options.sources, *more])))


def unmatched(named: Iterable[str], ids: Iterable[str]) -> list[str]:
    """Return the named ids that no collected item has."""
    every = list(ids)
    return [name for name in named if not any(named_by(nodeid, name) for nodeid in every)]


def named_by(nodeid: str, argument: str) -> bool:
    """Return True if an argument of the command line names an item: by its id, or by that of its case."""
    return nodeid == argument or nodeid.startswith(f"{argument}[")


def _is_of_source(config: pytest.Config, argument: str, options: Options) -> bool:
    match = _ID.fullmatch(argument)
    if match is None or (config.invocation_params.dir / match["label"]).exists():
        return False
    return match["label"] in {*_labels(options), *SOURCES}


def _labels(options: Options) -> Iterator[str]:
    yield HOOK
    yield from options.imports
    yield from map(_label, options.sources)


def _label(source: str) -> str:
    """Return the first part of the ids of a source: its name, or the module that it imports."""
    head, _, name = source.partition(",")[0].partition(":")
    return name.partition(":")[0] if head == "import" else head


def _source_of(nodeid: str) -> str:
    """Return the argument of ``--exportcheck-source`` for the model of an id; empty if the source needs more than the
    id has.
    """
    match = _ID.fullmatch(nodeid)
    if match is None or match["label"] not in SOURCES:
        return ""
    name, *options = match["case"].split("+")
    return str(parse(",".join([f"{match['label']}:{name}", *(each.replace("-", "=", 1) for each in options)])))
