"""What a run is doing, in files that outlive the process that does it.

A stage that ends its process (a crash, ``os._exit``) or that somebody stops (a timeout) would do so again for every mode
behind it. So each stage is written down before it starts and struck out when it is over. What stays behind when its
process is gone, and what was stopped, is an interrupted stage: whatever builds on it is blocked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from pytest_exportcheck.records import Case

#: What ends a stage from outside without saying anything against it: the user's own hand, and a case that bows out.
_NO_INTERRUPTION: tuple[type[BaseException], ...] = (
    KeyboardInterrupt,
    GeneratorExit,
    pytest.exit.Exception,
    pytest.skip.Exception,
    pytest.xfail.Exception,
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A stage of a case; ``mode`` and ``engine`` are empty while the case is set up. ``how`` says what became of it,
    empty while it runs."""

    case: str
    origin: str
    engine: str = ""
    mode: str = ""
    how: str = ""

    @property
    def doing(self) -> str:
        return f"running {self}" if self.mode else str(self)

    def __str__(self) -> str:
        return f"{self.engine}-{self.mode} of {self.case}" if self.mode else f"setting up {self.case}"

    def is_behind(self, other: Entry) -> bool:
        """Whether this stage is the other one, or builds on it."""
        if (self.case, self.origin) != (other.case, other.origin):
            return False
        return not other.mode or (
            self.engine == other.engine and (self.mode == other.mode or self.mode.startswith(f"{other.mode}-"))
        )


class Journal:
    """The journal of one run, in a folder that all processes of the run share. ``name`` is this process's own."""

    def __init__(self, folder: Path, name: str = "main") -> None:
        folder.mkdir(parents=True, exist_ok=True)  # a worker on another machine has a folder of its own
        self._folder = folder
        self._name = name

    @contextmanager
    def running(self, case: Case, engine: str = "", mode: object = "") -> Iterator[None]:
        """Notes a stage while it runs, and that it was interrupted where it was."""
        entry = _entry(case, engine, str(mode))
        page = self._page(self._name)
        self._write(page, entry)
        try:
            yield
        except BaseException as error:
            if _interrupts(error):
                self.end(f"was interrupted in this run ({_first_line(error)})")
            raise
        finally:
            page.unlink(missing_ok=True)

    def end(self, how: str, name: str = "") -> Entry | None:
        """Say that what this process, or the one of another name, was running was interrupted, and how. None if it ran
        nothing. A child that was forked for one item goes by the name of its parent."""
        name = name or self._name
        page = self._page(name)
        if not page.exists():
            return None
        entry = replace(_read(page), how=how)
        earlier = len(list(self._folder.glob(f"{name}-*.interrupted")))
        self._write(self._folder / f"{name}-{earlier}.interrupted", entry)
        page.unlink()
        return entry

    def blocker(self, case: Case, engine: str, mode: object) -> Entry | None:
        """The interrupted stage that a mode builds on; None where there is none."""
        wanted = _entry(case, engine, str(mode))
        return next((each for each in self._interrupted() if wanted.is_behind(each)), None)

    def _interrupted(self) -> Iterator[Entry]:
        return (_read(page) for page in sorted(self._folder.glob("*.interrupted")))

    def _write(self, page: Path, entry: Entry) -> None:
        """All of it or nothing, whenever the process may end."""
        draft = page.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(entry)), encoding="utf-8")
        draft.replace(page)

    def _page(self, name: str) -> Path:
        return self._folder / f"{name}.running"


def _entry(case: Case, engine: str, mode: str) -> Entry:
    return Entry(case=case.name, origin=str(case.origin), engine=engine, mode=mode)


def _read(page: Path) -> Entry:
    return Entry(**json.loads(page.read_text(encoding="utf-8")))


def _interrupts(error: BaseException) -> bool:
    """An ordinary exception is an answer. What is none stops the stage: ``pytest.fail`` as pytest-timeout calls it."""
    return not isinstance(error, (Exception, SystemExit, *_NO_INTERRUPTION))


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
