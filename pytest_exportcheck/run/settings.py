"""Settings of a run that all its cases share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.policy import NO_OVERRIDES, Overrides
from pytest_exportcheck.records import Case, Check
from pytest_exportcheck.run.fuzz_time import FuzzTime
from pytest_exportcheck.run.journal import Entry

Progress: TypeAlias = Callable[[str], AbstractContextManager[Any]]
#: A context that is entered with the case, and with the engine and the mode if a stage is run.
Watch: TypeAlias = Callable[..., AbstractContextManager[Any]]


def unwatched(*_: object) -> AbstractContextManager[Any]:
    """Watch nothing."""
    return nullcontext()


#: A function that returns the interrupted stage that a mode of an engine is or builds on.
Interrupted: TypeAlias = Callable[[Case, str, Mode], Entry | None]


#: A function that returns the names of the engines whose captures of a case are compared.
Compared: TypeAlias = Callable[[Case, Mode], Sequence[str]]


def nothing_interrupted(*_: object) -> Entry | None:
    """Return None: a run without a journal has no record of interrupted stages."""
    return None


def nothing_compared(*_: object) -> Sequence[str]:
    """Compare no engines."""
    return ()


@dataclass(frozen=True, kw_only=True)
class GoldenSettings:
    """The folder of golden programs, and whether they are written instead of judged. ``given`` is the folder as
    the command line names it, if it does.
    """

    root: Path
    update: bool = False
    given: str = ""

    @property
    def command(self) -> str:
        """Return the command that writes golden programs."""
        folder = f" --exportcheck-golden={self.given}" if self.given else ""
        return f"pytest --exportcheck{folder} --exportcheck-update-golden"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings. ``threads`` is torch's number for all runs, ``checks`` are those that hooks add, ``engines`` those
    of the session by name, of which the first one judges second opinions; ``watch`` is entered around the set-up of a
    case and around each of its stages, ``interrupted`` is called before; ``compared`` names the engines to compare;
    ``golden`` says where golden programs are.
    """

    seed: int
    threads: int
    progress: Progress = nullcontext
    overrides: Overrides = NO_OVERRIDES
    checks: Mapping[str, Check] = field(default_factory=dict)
    watch: Watch = unwatched
    interrupted: Interrupted = nothing_interrupted
    engines: Mapping[str, Engine] = field(default_factory=dict)
    compared: Compared = nothing_compared
    golden: GoldenSettings | None = None
    fuzz: Fuzzing = field(default_factory=Fuzzing)
    fuzz_time: FuzzTime = field(default_factory=lambda: FuzzTime(Fuzzing()))
