"""The fixture ``exportcheck``: one model checked inside any test, with or without ``--exportcheck``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch

from pytest_exportcheck.bundles.failure import Failure
from pytest_exportcheck.declare import case_of, globs
from pytest_exportcheck.errors import DeclarationError, ExportcheckError
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.options import Options, settings
from pytest_exportcheck.records import Agreement, Case, Expectation, Origin, Outcome, Rejection, Tolerance
from pytest_exportcheck.reports.failure import failure_text
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.registry import registry_of
from pytest_exportcheck.run.runner import Runner
from pytest_exportcheck.session.bundles import BundleWriter, with_identity
from pytest_exportcheck.session.packages import package_cache
from pytest_exportcheck.session.prompt import announce, stop_with
from pytest_exportcheck.session.reproduce import command, id_from_here


@dataclass(frozen=True, eq=False)
class _Judged:
    """The outcome of one mode, the line about its bundle, and its live objects where pdb will show them."""

    outcome: Outcome
    bundle: str = ""
    failure: Failure | None = None


class Exportcheck:
    """The value of the fixture: call it with a model and its example inputs."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._config = request.config
        self._item = request.node

    def __call__(
        self,
        module: torch.nn.Module,
        args: object = None,
        kwargs: object = None,
        *,
        dynamic_shapes: object = None,
        modes: Sequence[str] | None = None,
        engines: Sequence[str] | None = None,
        tolerance: float | tuple[float, float] | Tolerance | None = None,
        agreement: Agreement | Mapping[str, Agreement] | None = None,
        seed: int = 0,
        context: Callable[[], AbstractContextManager[Any]] | None = None,
        train: bool | None = None,
        random: bool = False,
        expect: Sequence[Expectation] = (),
        rejects: Sequence[Rejection] = (),
        inputs: Callable[..., Any] | None = None,
        sizes: Sequence[Mapping[str, int]] = (),
        samples: Mapping[str, object] | None = None,
        fuzz: int | None = None,
    ) -> list[Outcome]:
        """Run the model in all selected modes, with every engine, and return the outcome of each.

        The parameters are those of :func:`pytest_exportcheck.export_case`, and ``modes`` and ``engines`` are names and
        globs as on the command line (default: those of the ini file). ``fuzz`` is the number of sizes to draw for every
        mode. ``train=None`` leaves the module in its current mode. The module itself is not modified.

        Raises
        ------
        AssertionError
            With every finding, when an outcome is one that would fail an item.
        ExportcheckError
            When the case is declared wrongly, or a mode or an engine does not exist.
        """
        __tracebackhide__ = True
        if not isinstance(module, torch.nn.Module):
            raise DeclarationError(f"exportcheck takes an nn.Module and its example inputs, got {module!r}.")
        caller = sys._getframe(1)
        origin = Origin(caller.f_globals.get("__name__", "?"), caller.f_code.co_filename, caller.f_lineno)
        declared = partial(
            case_of,
            lambda: module,
            origin,
            name=re.sub(r"[^\w.+-]", "_", type(module).__name__),
            args=args,
            kwargs=kwargs,
            dynamic_shapes=dynamic_shapes,
            tolerance=tolerance,
            agreement=agreement,
            seed=seed,
            context=context,
            train=train,
            random=random,
            expect=expect,
            rejects=rejects,
            inputs=inputs,
            sizes=sizes,
            samples=samples,
        )
        try:
            if fuzz is not None and fuzz < 1:
                raise DeclarationError(f"fuzz takes a number of examples, at least 1, got {fuzz!r}.")
            chosen = {"modes": globs("modes", modes or (), origin), "engines": globs("engines", engines or (), origin)}
            options = settings(self._config, **chosen, fuzz=fuzz)
            with _same_mode(module):
                judged = self._judged(declared(), options)
        except ExportcheckError as error:  # a reader needs the message, not the place in the plugin that raised it
            raise error.with_traceback(None) from None
        outcomes = [each.outcome for each in judged]
        failing = [each for each in judged if each.outcome.status.fails]
        if failing:
            failed = AssertionError(self._text(failing, len(outcomes), settings(self._config)))
            first = next((each.failure for each in failing if each.failure), None)
            del judged, failing  # live objects stay only at the prompt of pdb
            stop_with(failed, first)
        return outcomes

    def _judged(self, case: Case, options: Options) -> list[_Judged]:
        hooks = Hooks()
        for plugin in self._config.pluginmanager.get_plugins():
            hooks.adopt(plugin)
        registry = registry_of(options, hooks, package_cache(self._config, options))
        if registry.problems:
            raise ExportcheckError("\n".join(registry.problems))
        wrong = registry.wrong_names(case)
        if wrong:
            raise DeclarationError(wrong)
        planned = [(case, engine.name, mode) for engine, mode in registry.plan(case)]
        if not planned:
            names = ", ".join(engine.name for engine in registry.engines)
            raise DeclarationError(f"no engine of {names} runs any mode of {', '.join(options.modes)}.")
        runner = registry.runner(options)
        runner.select(planned)
        bundles = BundleWriter(self._config, options) if options.repro_dir else None
        return [self._one(runner, each, bundles) for each in planned]

    def _one(self, runner: Runner, item: tuple[Case, str, Mode], bundles: BundleWriter | None) -> _Judged:
        """Run one mode; keep its live objects for pdb only."""
        failures: list[Failure] = []
        at_prompt = announce(self._config)
        outcome = runner.judge(*item, failures.append if bundles or at_prompt else None).outcome
        line = ""
        if bundles and failures:
            line = bundles.written(failures[0], with_identity(outcome, self._item.nodeid), test=self._item.name)
        return _Judged(outcome, line, failures[0] if failures and at_prompt else None)

    def _text(self, failing: Sequence[_Judged], number: int, options: Options) -> str:
        reproduce = command(self._config, options.arguments[1:], id_from_here(self._item))  # without --exportcheck
        parts = [f"{len(failing)} of {number} modes failed"]
        among = [each.outcome for each in failing]
        for outcome, each in zip(among, failing, strict=True):
            parts += [
                "",
                f"{outcome.case}[{outcome.engine}-{outcome.mode}]",
                failure_text(outcome, reproduce=reproduce, among=among),
                *([each.bundle] if each.bundle else []),
            ]
        return "\n".join(parts)


@contextmanager
def _same_mode(module: torch.nn.Module) -> Iterator[None]:
    """Restore the training mode of every submodule."""
    before = {each: each.training for each in module.modules()}
    try:
        yield
    finally:
        for each, training in before.items():
            each.training = training
