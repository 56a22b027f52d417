"""The journal of a run: the stages in progress, in files that outlive their process.

A stage that ends its process (a crash, ``os._exit``) or that is stopped (a timeout) would do so again for every mode
that builds on it. So each stage is written down before it starts and removed when it is over. A stage that is still
written down when its process is gone, and a stage that was stopped, is interrupted: modes that build on it are blocked.

A stage may run another one. The pages of a process are a stack, and the innermost page is about the stage at fault.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from pytest_exportcheck.modes import Mode, stage_name
from pytest_exportcheck.records import Case

#: Exceptions that end a stage from outside and are not its fault: Ctrl-C, pytest.exit and skips.
_NO_INTERRUPTION: tuple[type[BaseException], ...] = (
    KeyboardInterrupt,
    GeneratorExit,
    pytest.exit.Exception,
    pytest.skip.Exception,
    pytest.xfail.Exception,
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A stage of a case; without ``mode`` and ``engine`` while the case is set up. ``how`` says how the stage was
    interrupted, empty while it runs.
    """

    case: str
    origin: str
    engine: str = ""
    mode: Mode | None = None
    how: str = ""

    @property
    def doing(self) -> str:
        """Describe the stage, or the setup of the case."""
        return f"running {self}" if self.mode else str(self)

    def __str__(self) -> str:
        return f"{stage_name(self.engine, self.mode)} of {self.case}" if self.mode else f"setting up {self.case}"

    def is_behind(self, other: Entry) -> bool:
        """Return True if this stage is the other one, or builds on it. Every stage builds on setting the case up."""
        if (self.case, self.origin) != (other.case, other.origin):
            return False
        if other.mode is None or self.mode is None:
            return other.mode is None
        return self.engine == other.engine and other.mode.is_prefix_of(self.mode)


class Journal:
    """The journal of one run, in a folder that all processes of the run share. ``name`` is this process's own."""

    def __init__(self, folder: Path, name: str = "main") -> None:
        folder.mkdir(parents=True, exist_ok=True)  # a worker on another machine has a separate folder
        self._folder = folder
        self._name = name

    @contextmanager
    def running(self, case: Case, engine: str = "", mode: Mode | None = None) -> Iterator[None]:
        """Note a stage while it runs, inside the one that this process runs already, and note if it was interrupted."""
        page = self._folder / f"{self._name}.{len(self._pages(self._name))}.running"
        entry = _entry(case, engine, mode)
        self._write(page, entry)
        try:
            yield
        except BaseException as error:
            if _interrupts(error) and page.exists():
                self._interrupt(self._name, replace(entry, how=f"was interrupted in this run ({_first_line(error)})"))
            raise
        finally:
            page.unlink(missing_ok=True)

    def end(self, how: str, name: str = "") -> Entry | None:
        """Note that the stages that this process, or the one of another name, was running are interrupted, and how.

        Return the innermost one, which is at fault; None if the process ran nothing. A child that was forked for one
        item has the name of its parent.
        """
        name = name or self._name
        ended: list[Entry] = []
        for page in reversed(self._pages(name)):
            ended.append(replace(_read(page), how=f"ran {ended[-1]}, which {how}" if ended else how))
            self._interrupt(name, ended[-1])
            page.unlink()
            how = ended[-1].how
        return ended[0] if ended else None

    def blocker(self, case: Case, engine: str, mode: Mode) -> Entry | None:
        """Return the interrupted stage that a mode is or builds on, the one at fault first; None if there is none."""
        wanted = _entry(case, engine, mode)
        return next((each for each in self._interrupted() if wanted.is_behind(each)), None)

    def _interrupted(self) -> Iterator[Entry]:
        return (_read(page) for page in sorted(self._folder.glob("*.interrupted")))

    def _interrupt(self, name: str, entry: Entry) -> None:
        earlier = len(list(self._folder.glob(f"{glob.escape(name)}.*.interrupted")))
        self._write(self._folder / f"{name}.{earlier:06}.interrupted", entry)

    def _write(self, page: Path, entry: Entry) -> None:
        """Write all of the page or nothing, even if the process ends during the write."""
        draft = page.with_suffix(".draft")
        draft.write_text(json.dumps({**asdict(entry), "mode": entry.mode and str(entry.mode)}), encoding="utf-8")
        draft.replace(page)

    def _pages(self, name: str) -> list[Path]:
        """Return the pages of a process, the outermost stage first."""
        pages = self._folder.glob(f"{glob.escape(name)}.*.running")
        return sorted(pages, key=lambda page: int(page.suffixes[-2][1:]))


def _entry(case: Case, engine: str, mode: Mode | None) -> Entry:
    return Entry(case=case.name, origin=str(case.origin), engine=engine, mode=mode)


def _read(page: Path) -> Entry:
    fields = json.loads(page.read_text(encoding="utf-8"))
    return Entry(**{**fields, "mode": fields["mode"] and Mode.parse(fields["mode"])})


def _interrupts(error: BaseException) -> bool:
    """Return whether an error interrupts the stage: an ordinary exception is a result; others do, such as
    ``pytest.fail`` as pytest-timeout calls it.
    """
    return not isinstance(error, (Exception, SystemExit, *_NO_INTERRUPTION))


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
