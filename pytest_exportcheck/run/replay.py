"""The replay of a bundle: its stage is run again, by the engine of that name, and judged by the same checks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.bundles.inputs import Calls
from pytest_exportcheck.bundles.modules import factory_of, importable, named
from pytest_exportcheck.bundles.read import Bundle
from pytest_exportcheck.bundles.shapes import shapes_of
from pytest_exportcheck.engines.protocol import Engine, ProgramArtifact, Request, StageArtifact
from pytest_exportcheck.errors import BundleError, CaseError
from pytest_exportcheck.harness.setup import sample_name
from pytest_exportcheck.modes import AGREE
from pytest_exportcheck.options import Options
from pytest_exportcheck.policy import Overrides
from pytest_exportcheck.records import (
    Case,
    Finding,
    Inputs,
    Origin,
    Outcome,
    Rejection,
    RunSettings,
    StoredCase,
    StoredRejection,
)
from pytest_exportcheck.run.case_runner import CaseRunner
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.registry import Registry, registry_of
from pytest_exportcheck.run.settings import Settings
from pytest_exportcheck.run.verdicts import ItemContext, judgement_of

#: Checks of what a program does.
_OF_VALUES = ("outputs", "effects", "gradients", "aliasing", "stage", "rejects")

Verdict: TypeAlias = Literal["fixed", "still fails", "fails differently"]


@dataclass(frozen=True)
class Replayed:
    """The result of a replay. ``outcome`` is the item as it is now; ``finding`` the one that decides: the recorded one
    where it is still there, another one where the item fails differently. ``made`` is what the stage made.
    """

    verdict: Verdict
    outcome: Outcome
    finding: Finding | None = None
    made: StageArtifact | None = None


def registry_for(hooks: Hooks) -> Registry:
    """Return the engines and checks for replays.

    Raises
    ------
    BundleError
        When a hook raises.
    """
    registry = registry_of(Options(active=True), hooks)
    if registry.problems:
        raise BundleError("\n".join(registry.problems))
    return registry


def replay(
    bundle: Bundle, registry: Registry, *, program: ExportedProgram | None = None, calls: Calls | None = None
) -> Replayed:
    """Run the stage of a bundle again and judge it; ``program`` and ``calls`` are used in place of those in the bundle.

    Raises
    ------
    BundleError
        When the bundle cannot be replayed here: what is missing, and what to do.
    """
    record, mode, calls = bundle.record, bundle.mode, calls or bundle.calls()
    if record.start == "nothing":
        raise BundleError(
            f"{bundle.folder} cannot be replayed: it has no module ({'; '.join(record.left_out)}). Run repro.py, which compares "
            "the recorded values with the recorded program."
        )
    engine = engine_of(bundle, registry)
    given = program or (bundle.program() if record.start == "program" else None)
    with importable(bundle.folder):
        case, run = _runner(bundle, registry, calls, given)
        if record.start == "program" and mode.parent:
            run.give(engine, mode.parent, _artifact(bundle, calls, given))
        if record.engine == AGREE:
            stage = run.agreement(mode)
        elif mode.is_fuzz and calls.series[0].sizes:
            stage = run.at_call(engine, mode, calls.series[0], record.finding)
        else:
            stage = run.stage(engine, mode)
    item = ItemContext(
        case=case,
        engine=record.engine,
        mode=mode,
        profile=bundle.environment.settings.profile,
        torch_version=torch.__version__,
        selected=frozenset({mode}),
        notes=run.notes,
    )
    return replace(_compared(bundle, judgement_of(item, stage).outcome), made=stage.artifact)


def program_before(bundle: Bundle, registry: Registry) -> ExportedProgram | None:
    """Make the program before the last stage of a bundle again, from its module; None where the stages make none.

    Raises
    ------
    BundleError
        When the bundle cannot be replayed here.
    """
    mode = bundle.mode.parent
    if mode is None:
        return None
    with importable(bundle.folder):
        _, run = _runner(bundle, registry, bundle.calls(), None)
        artifact = run.stage(engine_of(bundle, registry), mode).artifact
    program = artifact.program if artifact else None
    return program if isinstance(program, ExportedProgram) else None


def _runner(
    bundle: Bundle, registry: Registry, calls: Calls, program: ExportedProgram | None
) -> tuple[Case, CaseRunner]:
    case = _case(bundle, calls, program)
    try:
        return case, CaseRunner(case, _settings(bundle, registry))
    except CaseError as error:
        raise BundleError(f"{bundle.folder} cannot be replayed: {error}") from error


def _compared(bundle: Bundle, outcome: Outcome) -> Replayed:
    """Compare what a stage shows now with what it showed."""
    recorded = bundle.record.finding
    for finding in outcome.findings:
        if finding.verdict != "tolerated" and _is_same(recorded, finding):
            return Replayed("still fails", outcome, finding)
    raised = next((each for each in outcome.findings if (each.check, each.change) == ("stage", "raised")), None)
    if raised is not None:  # a known defect, maybe: there is nothing to compare
        return Replayed("fails differently", outcome, raised)
    others = [each for each in outcome.failing_findings if _counts(each, bundle)]
    if others or not outcome.status.judged:
        return Replayed("fails differently", outcome, others[0] if others else None)
    return Replayed("fixed", outcome)


def _counts(finding: Finding, bundle: Bundle) -> bool:
    """Return True if a finding fails the replay. With a program in place of the module, the checks that compare with the
    module see more than the item did; those that failed, and those of values, see the same.
    """
    failed = {each.check for each in bundle.record.outcome.failing_findings}
    return bundle.record.start != "program" or finding.check in (*_OF_VALUES, *failed)


def _is_same(recorded: Finding, finding: Finding) -> bool:
    types = [each.error.type if each.error else "" for each in (recorded, finding)]
    return recorded.identity == finding.identity and types[0] == types[1]


def engine_of(bundle: Bundle, registry: Registry) -> Engine:
    """Return the engine that a bundle is of.

    Raises
    ------
    BundleError
        When no plugin here adds it, or it lacks a stage.
    """
    name, mode = bundle.record.engine, bundle.mode
    if name == AGREE:
        return registry.every_engine[bundle.record.finding.between[0]]
    engine = registry.every_engine.get(name)
    if engine is None:
        raise BundleError(
            f"{bundle.folder} is of the engine {name!r}, which no plugin here adds. Engines: {', '.join(registry.every_engine)}. "
            "Name the plugin that adds it: exportcheck replay -p PLUGIN FOLDER."
        )
    missing = [each for each in mode.unfuzzed.stages if each not in (*engine.captures, *engine.edges)]
    if missing:
        raise BundleError(
            f"{bundle.folder} is of the stage {missing[0]!r}, which the engine {name!r} does not have here. Name the plugin that "
            "adds it: exportcheck replay -p PLUGIN FOLDER."
        )
    return engine


def _settings(bundle: Bundle, registry: Registry) -> Settings:
    given: RunSettings = bundle.environment.settings
    between = bundle.record.finding.between
    return Settings(
        seed=given.seed,
        threads=given.threads,
        overrides=Overrides.of(given.allow, given.forbid),
        checks=registry.checks,
        engines=registry.every_engine,
        compared=lambda *_: between,
    )


def _case(bundle: Bundle, calls: Calls, program: ExportedProgram | None) -> Case:
    """Return the case of a bundle. Its inputs are those of the bundle, call by call."""
    stored = bundle.record.case
    samples = {
        sample_name(call.label): (call.args, dict(call.kwargs)) for call in calls.series[1:] if sample_name(call.label)
    }
    series = [call for call in calls.series if not sample_name(call.label)]
    series = series if len(series) > 1 else [calls.example, calls.example]
    shapes = shapes_of(stored.dynamic_shapes)
    if program is not None:
        module = program.module()
        shapes = _shapes_of_program(stored, calls.example, module)
        build: Callable[[], object] = partial(_value, module)
    elif bundle.record.module is None:
        raise BundleError(f"{bundle.folder} is damaged: it does not say how to build the module. Write it again.")
    else:
        build = factory_of(bundle.folder, bundle.record.module)
    return Case(
        name=stored.name,
        build=build,
        origin=Origin(
            bundle.record.outcome.path, bundle.record.outcome.file or str(bundle.folder), bundle.record.outcome.line
        ),
        args=_Series(tuple(call.args for call in series)),
        kwargs=_Series(tuple(dict(call.kwargs) for call in series)),
        dynamic_shapes=shapes,
        tolerance=stored.tolerance,
        agreement={"*": stored.agreement} if stored.agreement else {},
        samples=samples,
        seed=stored.seed,
        context=named(stored.context) if stored.context else None,
        train=stored.train,
        device=stored.device,
        random=stored.random,
        rejects=tuple(_rejection(each, calls) for each in stored.rejects),
    )


def _value(value: Any) -> Any:
    return value


class _Series:
    """A callable that returns the arguments of one call after the other, and then those of the last call."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values
        self._next = 0

    def __call__(self) -> Any:
        value = self._values[min(self._next, len(self._values) - 1)]
        self._next += 1
        return value


def _rejection(stored: StoredRejection, calls: Calls) -> Rejection:
    call = calls.rejected[stored.call] if stored.call is not None else Inputs("", (), {})
    args, kwargs = call.args, dict(call.kwargs)
    origin = Origin("", "the bundle", 0)
    return Rejection(at=stored.at, origin=origin, kind=stored.kind, error=stored.error, args=args, kwargs=kwargs)


def _artifact(bundle: Bundle, calls: Calls, program: Any) -> StageArtifact:
    """Return a program as the artifact of the stage before the last one."""
    stored, mode, example = bundle.record.case, bundle.mode, calls.example
    dims: dict[str, Any] = {}
    request = Request(
        args=example.args,
        kwargs=example.kwargs,
        dynamic_shapes=shapes_of(stored.dynamic_shapes, dims),
        specs=None if stored.specs is None else tuple(shapes_of(each, dims) for each in stored.specs),
        strict=not mode.is_nonstrict,
        pre_dispatch=not mode.capture.endswith("_postdispatch"),
    )
    return StageArtifact(ProgramArtifact(program, request), program=program, request=request)


def _shapes_of_program(stored: StoredCase, example: Inputs, module: Any) -> Any:
    """Return the dynamic shapes by the names of the parameters of a program's module; None where they do not fit."""
    dims: dict[str, Any] = {}
    if stored.specs is None:
        return None
    specs = [shapes_of(each, dims) for each in stored.specs]
    try:
        names = inspect.signature(module.forward).bind(*example.args, **example.kwargs).arguments
    except (TypeError, ValueError):
        return None
    kept: Mapping[str, Any] = dict(zip(names, specs, strict=False))
    return kept if len(names) == len(specs) else None
