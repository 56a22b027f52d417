"""A run in several processes: pytest-xdist's workers, or a child for every item.

The controller divides the threads among the workers, keeps a case's items on one of them, and reports for a process
that ended. Everything here has no effect where there is one process only.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from pytest_exportcheck.modes import AGREE, GOLDEN, ItemId
from pytest_exportcheck.options import Fuzzing, Options
from pytest_exportcheck.records import Outcome, Status
from pytest_exportcheck.run.journal import Entry, Journal
from pytest_exportcheck.session.items import SESSION, CaseItem, reason_of
from pytest_exportcheck.session.messages import Message, attach, message_of
from pytest_exportcheck.session.timeouts import set_timer

#: The settings of a worker, among what pytest-xdist gives it.
_KEY = "exportcheck"
#: The phase of a report about a process that ended, as pytest-xdist and pytest-forked write it.
_GONE = "???"


class ParallelPlugin:
    """The plugin for runs in several processes. ``options`` are the session's, with the number of threads of each
    process; ``workers`` is how many processes share the machine (0: only this one); all of them share ``journal``;
    ``in_part``: some files are left out of the collection, which a worker cannot derive from its own arguments.
    """

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self._config = config
        self._failed = 0
        self._process = os.getpid()
        self._restore: Callable[[], object] = lambda: None
        self._own: Path | None
        self._ended: dict[str, Entry | None] = {}
        self._folder: TemporaryDirectory[str] | None = None
        given = getattr(config, "workerinput", {})
        if _KEY in given:
            self.workers: int = given[_KEY]["workers"]
            self.options = replace(
                options, threads=given[_KEY]["threads"], fuzz=_in_processes(options.fuzz, self.workers)
            )
            folder = Path(given[_KEY]["journal"])
            self._own = None if folder.exists() else folder  # of a worker on another machine
            self.journal = Journal(folder, given["workerid"])
            self.in_part: bool = given[_KEY]["in_part"]
        else:
            self._folder = TemporaryDirectory(prefix="exportcheck-", ignore_cleanup_errors=True)
            self._own = Path(self._folder.name)
            self._restore = _cleaned_up_at_termination(self._clean_up)
            self.workers = _workers(config)
            self.options = replace(options, threads=options.threads or _share(self.workers))
            self.journal = Journal(Path(self._folder.name))
            self.in_part = options.only_sources or _collects_in_part(config)

    def pytest_unconfigure(self) -> None:
        self._clean_up()
        self._restore()

    def _clean_up(self) -> None:
        """Remove the journal's folder in the process that made it, not in a child that was forked for an item."""
        if self._folder is not None and os.getpid() == self._process:
            self._folder.cleanup()
        elif self._own is not None and os.getpid() == self._process:
            rmtree(self._own, ignore_errors=True)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool | None:
        """Show the user's lines instead of the stacks of all threads, which are thousands of lines of torch's."""
        return (isinstance(item, CaseItem) and set_timer(item, settings, self._clean_up)) or None

    # --- the order of items -----------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep a case's items together, prefixes before the modes that build on them, after any plugin that shuffles.
        The runner keeps the captures of one case, and a capture that fails is reported by the mode that makes it.
        """
        together: dict[int, list[pytest.Item]] = {}
        for item in items:
            together.setdefault(id(item.case) if isinstance(item, CaseItem) else id(item), []).append(item)
        items[:] = [item for group in together.values() for item in self._in_order(group)]

    def _in_order(self, group: list[pytest.Item]) -> list[pytest.Item]:
        ours = [item for item in group if isinstance(item, CaseItem)]
        if not ours:
            return group
        plan = [(engine.name, mode) for engine, mode in self._config.stash[SESSION].registry.plan(ours[0].case)]
        plan += [(item.engine, item.mode) for item in ours if item.engine == GOLDEN]
        ours.sort(key=lambda item: plan.index((item.engine, item.mode)))
        return [*ours]

    # --- workers of pytest-xdist ------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self._folder is not None:
            node.workerinput[_KEY] = {
                "workers": self.workers,
                "threads": self.options.threads,
                "journal": self._folder.name,
                "in_part": self.in_part,
            }

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        from pytest_exportcheck.session.xdist_scheduling import scheduler

        return scheduler(config, log, self._case_of)

    # --- processes that are gone ------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Mark the stage that a lost worker was running as interrupted, before another worker gets the rest of the
        case.
        """
        if error:
            name = node.gateway.id
            self._ended[name] = self.journal.end(f"ended worker {name} (crashed) in this run", name)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, sched: Any) -> None:
        """Stop the run at ``--maxfail`` or ``-x``: xdist does not count a lost worker for them."""
        maxfail = self._config.getvalue("maxfail")
        if maxfail and self._failed + 1 >= maxfail and hasattr(sched, "stop"):
            sched.stop()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Attach the outcome of an item whose process ended, which the item cannot do any more."""
        self._failed += report.failed
        item = self._item(report.nodeid) if report.when == _GONE else None
        if item is None or message_of(report).outcome is not None:
            return
        if hasattr(report, "node"):
            ended = self._ended.get(report.node.gateway.id)
        else:
            ended = self.journal.end("ended its process (crashed) in this run")
        report.location = (item.path, None, item.name)
        if ended is not None:
            report.longrepr = (
                f"{report.longrepr}\nIt was {ended.doing}. Modes that depend on it are blocked in this run."
            )
        outcome = Outcome(
            nodeid=report.nodeid,
            path=item.path,
            case=item.case,
            engine=item.engine,
            mode=str(item.mode),
            status=Status.INTERRUPTED,
            reason=reason_of(report),
        )
        attach(report, Message(outcome=outcome))

    def _case_of(self, nodeid: str) -> str:
        item = self._item(nodeid)
        return item.scope if item else ""

    def _item(self, nodeid: str) -> ItemId | None:
        """Return the parts of an item's id; None if the item is not of this plugin. A controller has no items to
        ask.
        """
        item = ItemId.parse(nodeid)
        engines = {AGREE, GOLDEN, *(engine.name for engine in self._config.stash[SESSION].registry.engines)}
        return item if item and item.engine in engines else None


def _cleaned_up_at_termination(clean_up: Callable[[], None]) -> Callable[[], object]:
    """Clean up before SIGTERM ends this process, as it does without pytest's knowledge. Return the function that undoes
    this.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        return lambda: None

    def end(*_: object) -> None:
        clean_up()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    return lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _collects_in_part(config: pytest.Config) -> bool:
    """Return whether some files are left out of the collection: named on the command line, outside of the folder in which
    pytest was called, ignored, or without a failure in the last run.
    """
    source, sources = config.args_source, pytest.Config.ArgsSource
    below = source is sources.INVOCATION_DIR and config.invocation_params.dir != config.rootpath
    by_hand = source is sources.ARGS or below
    options = (config.getoption(name, None) for name in ("lf", "ignore", "ignore_glob"))
    return by_hand or any(options)


def _workers(config: pytest.Config) -> int:
    """Return how many workers of pytest-xdist this process is going to start."""
    if getattr(config.option, "dist", "no") == "no" or config.option.collectonly:
        return 0
    from xdist.workermanage import parse_tx_spec_config

    return len(parse_tx_spec_config(config))


def _in_processes(fuzzing: Fuzzing | None, workers: int) -> Fuzzing | None:
    return replace(fuzzing, processes=max(1, workers)) if fuzzing else None


def _share(workers: int) -> int | None:
    """Return the threads of each process; None leaves the choice to torch."""
    return max(1, torch.get_num_threads() // workers) if workers else None
