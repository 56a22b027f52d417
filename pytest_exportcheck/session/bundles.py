"""Bundles of a session: a folder for every failing item, where ``--exportcheck-repro-dir`` asks for them."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pytest_exportcheck.bundles.failure import Failure
from pytest_exportcheck.bundles.write import write_bundle
from pytest_exportcheck.errors import BundleError, internal_error_text
from pytest_exportcheck.options import Options
from pytest_exportcheck.records import BundleEnvironment, Outcome
from pytest_exportcheck.reports.bundles import written_text
from pytest_exportcheck.reports.encoding import printable
from pytest_exportcheck.session.relative_paths import RelativePaths
from pytest_exportcheck.session.run_settings import run_settings


class BundleWriter:
    """The writer of the bundles of a process. Nothing is written, and no folder is made, where nothing fails."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self._start = config.invocation_params.dir
        self._folder = self._start / options.repro_dir
        self._options = options
        self._paths = RelativePaths(config.rootpath)

    def written(self, failure: Failure, outcome: Outcome, *, test: str = "") -> str:
        """Write the folder of a failing item, and return the line that says what is in it, or why there is none.
        ``test`` is the name of the test that used the fixture.
        """
        name, outcome = f"{test}-{outcome.case}" if test else "", self._paths.of_outcome(outcome)
        try:
            written = write_bundle(self._folder, failure, outcome, self._environment(), name=name)
        except BundleError as error:
            return printable(self._paths.of(str(error)))
        except Exception as error:  # a bundle must not change what the item reports
            return printable(self._paths.of(f"no bundle is written for {outcome.nodeid}: {internal_error_text(error)}"))
        return written_text(written.record, self._shown(written.folder))

    def _shown(self, folder: Path) -> str:
        """Return the path of a folder from where pytest was called."""
        shown = folder.relative_to(self._start) if folder.is_relative_to(self._start) else folder
        return printable(str(shown)).replace(os.sep, "/")

    def _environment(self) -> BundleEnvironment:
        settings = run_settings(self._options)
        return BundleEnvironment(
            settings=settings,
            machine=platform.machine(),
            cpu_capability=torch.backends.cpu.get_cpu_capability(),
            options=tuple(printable(self._paths.of(each)) for each in self._options.arguments),
        )


def with_identity(outcome: Outcome, nodeid: str) -> Outcome:
    """Return an outcome of the fixture under the id of the test that used it."""
    return replace(outcome, nodeid=outcome.nodeid or nodeid)
