"""The plan of golden programs: which items a case has, one for each version of torch that wrote a program."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import torch

from pytest_exportcheck.errors import GoldenError
from pytest_exportcheck.golden.folder import stored_cases, stored_versions, version_name
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Case
from pytest_exportcheck.reports.golden import same_name_text
from pytest_exportcheck.run.second_opinion import FIRST
from pytest_exportcheck.run.settings import GoldenSettings


class GoldenPlan:
    """The golden programs of a session. Folders are named by cases only, so a name belongs to the first case that has
    it.
    """

    def __init__(self, settings: GoldenSettings) -> None:
        self._settings = settings
        self._owners: dict[str, Case] = {}

    @staticmethod
    def of(settings: GoldenSettings | None) -> GoldenPlan | None:
        """Return the plan; None in a run without golden programs."""
        return GoldenPlan(settings) if settings else None

    @property
    def update(self) -> bool:
        """Return True if golden programs are written instead of judged."""
        return self._settings.update

    @property
    def root(self) -> Path:
        """Return the folder of golden programs."""
        return self._settings.root

    def modes(self, case: Case) -> list[Mode]:
        """Return the versions of torch of the items of a case. A case without a golden program has one item, which
        fails; an update has one item for each case.
        """
        if not self._has_program(case) or self.problem(case):
            return []
        stored = [] if self.update else stored_versions(self.root, case.name)
        return [Mode((version,)) for version in stored or [version_name(str(torch.__version__))]]

    def problem(self, case: Case) -> str:
        """Return why a case cannot have golden programs; empty where it can."""
        if not self._has_program(case):
            return ""
        owner = self._owners.setdefault(case.name, case)
        if owner.origin != case.origin:
            return same_name_text(case.name, str(owner.origin), str(case.origin))
        try:
            stored_versions(self.root, case.name)
        except GoldenError as error:
            return str(error)
        return ""

    def stale(self) -> list[Path]:
        """Return the folders of which no collected case has the name.

        Raises
        ------
        GoldenError
            When the folder of golden programs cannot be read.
        """
        return [self.root / name for name in stored_cases(self.root) if name not in self._owners]

    def _has_program(self, case: Case) -> bool:
        """Return True if torch captures the case."""
        return not case.rejected_at("capture") and any(fnmatchcase(FIRST, glob) for glob in case.engines)
