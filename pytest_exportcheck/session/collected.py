"""Reports about collection: cases that the session did not collect, and entries of the expectations file that match no
case.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from pytest_exportcheck.declare import cases_in
from pytest_exportcheck.expectations.file import Entry
from pytest_exportcheck.expectations.store import ExpectationStore
from pytest_exportcheck.options import Options
from pytest_exportcheck.session.items import BrokenItem, CaseItem, EntryItem, is_collected

NEVER_CASE_FILES = ("conftest.py", "__init__.py")


def whole_files(config: pytest.Config, items: Iterable[pytest.Item]) -> set[str]:
    """Return the case files of which every case was collected, in a run of some files too."""
    if config.getoption("lf", False):
        return set()
    kinds: tuple[type[pytest.Item], ...] = (CaseItem, BrokenItem)
    every = list(items)
    found, broken = ({each.nodeid.partition("::")[0] for each in every if isinstance(each, kind)} for kind in kinds)
    paths = [config.invocation_params.dir / each.partition("::")[0] for each in config.args if "::" in each]
    return found - broken - {os.path.relpath(path, config.rootpath).replace(os.sep, "/") for path in paths}


def entry_item(session: pytest.Session, expectations: ExpectationStore, entry: Entry) -> pytest.Item:
    """Return the failing item for an entry that matches no case."""
    near = expectations.nearest(entry)
    message = (
        f"{entry.expectation.origin}: no case is called {entry.case!r}{f'; did you mean {near!r}?' if near else '.'} "
        "Correct or delete the entry; --exportcheck-update-expectations deletes it."
    )
    item: pytest.Item = EntryItem.from_parent(
        session, name=f"expectations-line-{entry.line}", message=message, line=entry.line
    )
    return item


def never_collected(config: pytest.Config, options: Options, is_case_file: Callable[[Path], bool]) -> Iterator[str]:
    """Yield a text with the remedy for each imported file of the repo that declares cases which a pytest run never
    collects.
    """
    asked = {*options.imports, *(source.split(":")[1] for source in options.sources if ":" in source)}
    for name, module in list(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "")
        if name in asked or not path.is_relative_to(config.rootpath) or "site-packages" in path.parts:
            continue
        cases = [case for case in cases_in(module) if not is_collected(config, case)]
        another_run = path.name not in NEVER_CASE_FILES and (is_case_file(path) or _is_test_file(config, path))
        if cases and not another_run:
            yield (
                f"{', '.join(f'case {case.name!r} ({case.origin})' for case in cases)} is not checked: pytest does not "
                "collect this file. Move it to a test module or a file that matches exportcheck_files "
                f"({' '.join(options.files)}), name the module in exportcheck_import, or return its cases from the hook "
                "exportcheck_cases."
            )


def _is_test_file(config: pytest.Config, path: Path) -> bool:
    return any(path.match(pattern) for pattern in config.getini("python_files"))
