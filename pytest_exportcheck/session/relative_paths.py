"""Paths in texts that are written into the user's repo: relative, so that they are the same on every machine."""

from __future__ import annotations

import os
import re
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_exportcheck.records import DifferenceOrigin, Finding, Judgement, OriginNode, Outcome, Raised


@dataclass(frozen=True)
class RelativePaths:
    """The cutter of this machine's folders in paths: pytest's root folder, the folders of installed packages, and
    Python's own. The home folder is written ``~``.
    """

    root: Path

    def of(self, text: str) -> str:
        """Return the text with its paths cut."""
        if os.sep not in text:
            return text
        for folder, short in self._folders():
            text = re.sub(rf"(?<![\w.~-]){re.escape(folder)}", short.replace("\\", r"\\"), text)
        return text

    def of_outcome(self, outcome: Outcome) -> Outcome:
        """Return the outcome with every text cut that may name a file."""
        return replace(
            outcome,
            file=self.of(outcome.file),
            reason=self.of(outcome.reason),
            notes=tuple(map(self.of, outcome.notes)),
            findings=tuple(map(self._of_finding, outcome.findings)),
        )

    def of_judgement(self, judgement: Judgement) -> Judgement:
        """Return the judgement with every text cut, also in the findings that are compared with expected failures."""
        found = judgement.reckoning
        if found is not None:
            found = replace(
                found,
                unexcused=tuple(map(self._of_finding, found.unexcused)),
                excused=tuple((entry, self._of_finding(finding)) for entry, finding in found.excused),
            )
        return replace(judgement, outcome=self.of_outcome(judgement.outcome), reckoning=found)

    def _of_finding(self, finding: Finding) -> Finding:
        return replace(
            finding,
            place=self.of(finding.place),
            expected=self.of(finding.expected),
            actual=self.of(finding.actual),
            detail=self.of(finding.detail),
            line=self.of(finding.line),
            error=finding.error and self._of_raised(finding.error),
            origin=finding.origin and self._of_origin(finding.origin),
        )

    def _of_origin(self, origin: DifferenceOrigin) -> DifferenceOrigin:
        return replace(
            origin,
            after=origin.after and self._of_node(origin.after),
            before=origin.before and self._of_node(origin.before),
            rows=tuple(replace(row, node=self._of_node(row.node)) for row in origin.rows),
        )

    def _of_node(self, node: OriginNode) -> OriginNode:
        return replace(node, line=self.of(node.line))

    def _of_raised(self, error: Raised) -> Raised:
        return replace(
            error, message=self.of(error.message), where=self.of(error.where), logged=tuple(map(self.of, error.logged))
        )

    def _folders(self) -> list[tuple[str, str]]:
        """Return folders and their replacements, the longest first: one may be inside another."""
        cut = [self.root, *(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib"))]
        folders = {f"{folder}{os.sep}": "" for folder in cut if folder != Path(folder.anchor)}
        folders.setdefault(f"{Path.home()}{os.sep}", f"~{os.sep}")
        return sorted(folders.items(), key=lambda each: len(each[0]), reverse=True)
