"""The options of the command line and the ini file, as one frozen ``Options``; ``declared`` is what pytest reads of
them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pytest_exportcheck.options.declared import (
    ALSO,
    CACHE_SIZE,
    DEFAULT_FILES,
    EXAMPLES,
    LARGEST_CACHE,
    MEGABYTE,
    MOST_EXAMPLES,
    MOST_SECONDS,
    MOST_THREADS,
    NO_CACHE,
    NO_NUMBER,
    PROFILES,
    RUNTIME_SECONDS,
    add_options,
)
from pytest_exportcheck.records import LARGEST_SEED

__all__ = [
    "ALSO",
    "EXAMPLES",
    "MOST_EXAMPLES",
    "Fuzzing",
    "Options",
    "RuntimeCache",
    "add_options",
    "read_options",
    "settings",
]

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@dataclass(frozen=True, kw_only=True)
class Fuzzing:
    """The number of examples that an item draws, and what they vary besides sizes. ``seconds``: the time that all items
    of the run have together, in each of ``processes`` processes; None for as long as the examples take.
    """

    examples: int = EXAMPLES
    also: frozenset[str] = frozenset()
    seconds: float | None = None
    processes: int = 1

    @property
    def at_first(self) -> int:
        """Return the number of examples for which the sizes to begin with are chosen."""
        return EXAMPLES if self.examples == MOST_EXAMPLES else self.examples


@dataclass(frozen=True, kw_only=True)
class RuntimeCache:
    """The place where packages are kept: ``folder``, or pytest's cache if that is empty. ``size`` is in bytes."""

    folder: str = ""
    size: int = CACHE_SIZE * MEGABYTE


@dataclass(frozen=True, kw_only=True)
class Options:
    """The settings of a session. ``modes`` and ``engines`` are names and globs, not yet resolved; ``named`` are ids of
    cases that are in no file, from the command line; ``root`` is pytest's rootdir.
    """

    active: bool = False
    modes: tuple[str, ...] = ("default",)
    engines: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    runtime_timeout: float = RUNTIME_SECONDS
    runtime_cache: RuntimeCache | None = None
    required: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    only_sources: bool = False
    named: tuple[str, ...] = ()
    profile: Literal["ship", "conformance"] = "ship"
    seed: int = 0
    threads: int | None = None
    files: tuple[str, ...] = DEFAULT_FILES
    imports: tuple[str, ...] = ()
    expectations: str = ""
    expectations_given: bool = False
    update_expectations: bool = False
    allow: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    json: str = ""
    repro_dir: str = ""
    html: str = ""
    golden: str = ""
    golden_given: str = ""
    update_golden: bool = False
    fuzz: Fuzzing | None = None
    root: Path | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the options that an item needs to run again with the same result, as on the command line."""
        words = ["--exportcheck"]
        words += [f"--exportcheck-modes={','.join(self.modes)}"] if self.modes != ("default",) else []
        words += [f"--exportcheck-engines={','.join(self.engines)}"] if self.engines else []
        words += [f"--exportcheck-runtime={','.join(self.runtimes)}"] if self.runtimes else []
        if self.runtime_timeout != RUNTIME_SECONDS:
            words.append(f"--exportcheck-runtime-timeout={self.runtime_timeout:g}")
        words += [f"--exportcheck-profile={self.profile}"] if self.profile != "ship" else []
        words += [f"--exportcheck-expectations={self.expectations}"] if self.expectations_given else []
        words += [f"--exportcheck-golden={self.golden_given}"] if self.golden_given else []
        words += [f"--exportcheck-seed={self.seed}"] if self.seed else []
        words += [f"--exportcheck-threads={self.threads}"] if self.threads else []
        if self.fuzz is not None:
            words.append(f"--exportcheck-fuzz={self.fuzz.examples}")
            if self.fuzz.seconds is not None:
                words[-1:] = [
                    words[-1].removesuffix(f"={MOST_EXAMPLES}"),
                    f"--exportcheck-fuzz-time={self.fuzz.seconds:g}",
                ]
            words += [f"--exportcheck-fuzz-also={','.join(sorted(self.fuzz.also))}"] if self.fuzz.also else []
        return tuple(words)


def read_options(config: pytest.Config) -> Options:
    """Return the session's options: the command line first, then the ini file.

    Raises
    ------
    pytest.UsageError
        For an ini value that is not among the choices.
    """
    if not config.getoption("exportcheck"):
        return Options()
    options = settings(config)
    return replace(options, fuzz=_timed(config, options.fuzz))


def settings(
    config: pytest.Config,
    *,
    modes: Sequence[str] | None = None,
    engines: Sequence[str] | None = None,
    fuzz: int | None = None,
) -> Options:
    """Return the options as they are when the checks are requested, with these modes, engines and examples where given.

    Raises
    ------
    pytest.UsageError
        As :func:`read_options`.
    """
    threads, seed = config.getoption("exportcheck_threads"), config.getoption("exportcheck_seed")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise _usage_error(f"--exportcheck-threads takes a number of threads from 1 to {MOST_THREADS}, got {threads}.")
    if not 0 <= seed <= LARGEST_SEED:
        raise _usage_error(f"--exportcheck-seed takes an integer from 0 to {LARGEST_SEED}, got {seed}.")
    return Options(
        active=True,
        modes=tuple(modes or ()) or _words(config, "exportcheck_modes") or ("default",),
        engines=tuple(engines or ()) or _words(config, "exportcheck_engines"),
        runtimes=_runtimes(config),
        runtime_timeout=_seconds(config, "runtime_timeout", "120") or RUNTIME_SECONDS,
        runtime_cache=_runtime_cache(config),
        required=_words(config, "exportcheck_require"),
        sources=tuple(config.getoption("exportcheck_source") or config.getini("exportcheck_sources")),
        only_sources=config.getoption("exportcheck_only_sources"),
        profile=_profile(config.getoption("exportcheck_profile") or config.getini("exportcheck_profile")),
        expectations=_expectations(config),
        expectations_given=bool(config.getoption("exportcheck_expectations")),
        update_expectations=config.getoption("exportcheck_update_expectations"),
        seed=seed,
        threads=threads,
        root=config.rootpath,
        files=tuple(config.getini("exportcheck_files")),
        imports=tuple(config.getini("exportcheck_import")),
        allow=tuple(config.getini("exportcheck_allow")),
        forbid=tuple(config.getini("exportcheck_forbid")),
        json=_output_path(config, "json"),
        html=_output_path(config, "html"),
        repro_dir=_repro_dir(config),
        golden=_golden(config),
        golden_given=config.getoption("exportcheck_golden") or "",
        update_golden=config.getoption("exportcheck_update_golden"),
        fuzz=_fuzzing(config) if fuzz is None else Fuzzing(examples=fuzz, also=_also(config)),
    )


def _fuzzing(config: pytest.Config) -> Fuzzing | None:
    given = config.getoption("exportcheck_fuzz")
    if given is None:
        for name in ("also", "time"):
            if config.getoption(f"exportcheck_fuzz_{name}"):
                raise _usage_error(f"--exportcheck-fuzz-{name} needs --exportcheck-fuzz. Add it.")
        return None
    if given == NO_NUMBER:
        return Fuzzing(also=_also(config))
    if not given.isdecimal() or int(given) < 1:
        raise _usage_error(
            f"--exportcheck-fuzz takes a number of examples, at least 1, got {given!r}. Before a path, write the number: "
            f"--exportcheck-fuzz={EXAMPLES}."
        )
    return Fuzzing(examples=int(given), also=_also(config))


def _timed(config: pytest.Config, fuzzing: Fuzzing | None) -> Fuzzing | None:
    """Return the fuzzing with the time of the run. Without a number of examples only the time ends it."""
    seconds = _seconds(config, "fuzz_time", "600") if fuzzing else None
    if fuzzing is None or seconds is None:
        return fuzzing
    unlimited = config.getoption("exportcheck_fuzz") == NO_NUMBER
    return replace(fuzzing, seconds=seconds, examples=MOST_EXAMPLES if unlimited else fuzzing.examples)


def _seconds(config: pytest.Config, kind: str, example: str) -> float | None:
    """Return a time of the command line or the ini file; None where neither has one."""
    given, ini = config.getoption(f"exportcheck_{kind}"), str(config.getini(f"exportcheck_{kind}"))
    if given is None and not ini:
        return None
    option = f"--exportcheck-{kind.replace('_', '-')}"
    text, name = (ini, f"exportcheck_{kind}") if given is None else (given, option)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MOST_SECONDS:
        raise _usage_error(
            f"{name} takes a number of seconds, more than 0 and at most {MOST_SECONDS}, got {text!r}. Write {name}={example}, for "
            "example."
        )
    return seconds


def _runtime_cache(config: pytest.Config) -> RuntimeCache | None:
    """Return where packages are kept: that of the ini file is relative to the ini file's folder. None for nowhere."""
    given, ini = config.getoption("exportcheck_runtime_cache"), str(config.getini("exportcheck_runtime_cache"))
    size = str(config.getini("exportcheck_runtime_cache_size"))
    if not size.isdecimal() or not 1 <= int(size) <= LARGEST_CACHE:
        raise _usage_error(
            f"exportcheck_runtime_cache_size takes a number of megabytes from 1 to {LARGEST_CACHE}, got {size!r}. Write "
            f"exportcheck_runtime_cache_size={CACHE_SIZE}, for example."
        )
    if given == "":
        raise _usage_error(f"--exportcheck-runtime-cache takes the path of a folder or {NO_CACHE!r}, got an empty one.")
    if NO_CACHE in (given, None if given else ini):
        return None
    folder = config.invocation_params.dir / given if given else _from_ini(config, ini) if ini else None
    if folder is not None and folder.exists() and not folder.is_dir():
        name = "--exportcheck-runtime-cache" if given else "exportcheck_runtime_cache"
        raise _usage_error(f"{name} takes the path of a folder, got {given or ini!r}, which is not one. Name another.")
    return RuntimeCache(folder=str(folder or ""), size=int(size) * MEGABYTE)


def _also(config: pytest.Config) -> frozenset[str]:
    words = (config.getoption("exportcheck_fuzz_also") or "").split(",")
    also = frozenset(word.strip() for word in words if word.strip())
    unknown = sorted(also - set(ALSO))
    if unknown:
        raise _usage_error(f"--exportcheck-fuzz-also takes {', '.join(ALSO)}, got {', '.join(unknown)}.")
    return also


def _profile(value: str) -> Literal["ship", "conformance"]:
    if value == "ship":
        return "ship"
    if value == "conformance":
        return "conformance"
    raise _usage_error(f"exportcheck_profile must be one of {', '.join(PROFILES)}, got {value!r}.")


def _output_path(config: pytest.Config, kind: str) -> str:
    """Return the path of a file to write. That of the command line is relative to where pytest was called, that of the
    ini file to the ini file's folder.
    """
    given, ini = config.getoption(f"exportcheck_{kind}"), str(config.getini(f"exportcheck_{kind}"))
    if given == "":
        raise _usage_error(f"--exportcheck-{kind} takes the path of a file to write, got an empty one.")
    return str(given or (_from_ini(config, ini) if ini else ""))


def _from_ini(config: pytest.Config, path: str) -> Path:
    """Return a path of the ini file, which is relative to the folder of that file."""
    return (config.inipath.parent if config.inipath else config.rootpath) / path


def _repro_dir(config: pytest.Config) -> str:
    """Return the folder for bundles: that of the ini file is relative to the ini file's folder."""
    given, ini = config.getoption("exportcheck_repro_dir"), str(config.getini("exportcheck_repro_dir"))
    if given == "":
        raise _usage_error("--exportcheck-repro-dir takes the path of a folder, got an empty one.")
    if given is None and ini:
        return str(_from_ini(config, ini))
    return str(given or "")


def _golden(config: pytest.Config) -> str:
    """Return the folder of golden programs: that of the ini file is relative to the ini file's folder."""
    given, ini = config.getoption("exportcheck_golden"), str(config.getini("exportcheck_golden"))
    if given == "":
        raise _usage_error("--exportcheck-golden takes the path of a folder, got an empty one.")
    if given:
        return str(config.invocation_params.dir / given)
    if ini:
        return str(_from_ini(config, ini))
    if config.getoption("exportcheck_update_golden"):
        raise _usage_error(
            "--exportcheck-update-golden needs the folder to write to: --exportcheck-golden=DIR, or exportcheck_golden in the ini "
            "file."
        )
    return ""


def _expectations(config: pytest.Config) -> str:
    """Return the path of the file. That of the command line is relative to where pytest was called, that of the ini
    file to the ini file's folder.
    """
    given, ini = config.getoption("exportcheck_expectations"), str(config.getini("exportcheck_expectations"))
    if given == "":
        raise _usage_error("--exportcheck-expectations takes the path of a TOML file, got an empty one.")
    if given:
        return str(given)
    if ini:
        return str(_from_ini(config, ini))
    if config.getoption("exportcheck_update_expectations"):
        raise _usage_error(
            "--exportcheck-update-expectations needs the file to write: --exportcheck-expectations=PATH, "
            "or exportcheck_expectations in the ini file."
        )
    return ""


def _runtimes(config: pytest.Config) -> tuple[str, ...]:
    """Return the names of runtimes. An empty option is refused: it may be a variable of the shell that is not set."""
    if config.getoption("exportcheck_runtime") == "":
        raise _usage_error("--exportcheck-runtime takes the names of runtimes, got none.")
    return _words(config, "exportcheck_runtime")


def _words(config: pytest.Config, name: str) -> tuple[str, ...]:
    given = config.getoption(name)
    words = given.split(",") if given is not None else config.getini(name)
    return tuple(word.strip(",") for word in words if word.strip(","))


def _usage_error(message: str) -> Exception:
    import pytest

    return pytest.UsageError(f"exportcheck: {message}")
