"""The reduction of a bundle: candidates are judged as a replay judges, and the smallest becomes a bundle and a script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.bundles.inputs import Calls
from pytest_exportcheck.bundles.modules import factory_of, importable
from pytest_exportcheck.bundles.read import Bundle
from pytest_exportcheck.bundles.reduction.draft import Candidate, is_flat
from pytest_exportcheck.bundles.reduction.search import Budget
from pytest_exportcheck.bundles.reduction.shapes_text import dynamic_shapes_of
from pytest_exportcheck.bundles.reduction.spelling import Unspeakable
from pytest_exportcheck.bundles.reduction.steps import STARTS, Reduction, reduce_candidate, starts_failing
from pytest_exportcheck.bundles.shapes import shapes_of, stored_shapes
from pytest_exportcheck.engines.protocol import StageArtifact
from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.harness.setup import EXAMPLE, sample_name
from pytest_exportcheck.modes import AGREE
from pytest_exportcheck.records import DifferenceOrigin, Finding, Inputs, Outcome, StoredCase, StoredShapes
from pytest_exportcheck.reports.reduction import capture_text, gone_text
from pytest_exportcheck.run.registry import Registry
from pytest_exportcheck.run.replay import program_before, replay

#: Kinds of origins that a cut may turn into each other: a node before it has no partner any more.
_OF_A_NODE = ("changed", "inserted")


@dataclass(frozen=True, eq=False)
class Judged:
    """The finding that a candidate shows, the item as it was judged, and the program or module that the stage made."""

    finding: Finding
    outcome: Outcome
    made: Any


@dataclass(frozen=True, eq=False)
class Showing:
    """The predicate of a reduction: a candidate shows the same finding, of the same check, with the same kind of origin."""

    bundle: Bundle
    registry: Registry
    wanted: Finding

    def __call__(self, program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        return self.judged(Candidate(program, calls)) is not None

    def judged(self, candidate: Candidate) -> Judged | None:
        """Return the finding, None where the candidate does not show it."""
        bundle = as_bundle(self.bundle, candidate)
        result = replay(bundle, self.registry, program=candidate.program, calls=calls_of(candidate))
        for finding in result.outcome.findings:
            if _is_alike(self.wanted, finding) and _shows_in_time(finding, candidate):
                return Judged(finding, result.outcome, _made(result.made))
        return None


def _made(artifact: StageArtifact | None) -> Any:
    if artifact is None:
        return None
    return artifact.callable() if artifact.program is None else artifact.program


def as_bundle(bundle: Bundle, candidate: Candidate) -> Bundle:
    """Return the bundle of a candidate: what a replay needs to know of its case."""
    record = bundle.record
    case = replace(record.case, rejects=(), train=None)
    if is_flat(candidate.program):
        case = _with_shapes(case, candidate)
    return Bundle(bundle.folder, replace(record, start="program", module=None, case=case), bundle.environment)


def _with_shapes(case: StoredCase, candidate: Candidate) -> StoredCase:
    static = replace(case, dynamic_shapes=StoredShapes(kind="none"), specs=None)
    try:
        shapes = dynamic_shapes_of(candidate).value()
    except Unspeakable:
        return static
    if shapes is None:
        return static
    return replace(case, dynamic_shapes=stored_shapes(shapes), specs=tuple(map(stored_shapes, shapes)))


def calls_of(candidate: Candidate) -> Calls:
    """Return the calls of a candidate as a bundle keeps them."""
    return Calls(example=candidate.calls[0], series=candidate.calls)


def _is_alike(wanted: Finding, finding: Finding) -> bool:
    types = [each.error.type if each.error else "" for each in (wanted, finding)]
    return (
        finding.verdict != "tolerated"
        and wanted.sort == finding.sort
        and types[0] == types[1]
        and (wanted.origin is None or _is_same_origin(wanted.origin, finding.origin))
    )


def _is_same_origin(wanted: DifferenceOrigin, origin: DifferenceOrigin | None) -> bool:
    if origin is None:
        return False
    kinds = wanted.kind == origin.kind or {wanted.kind, origin.kind} <= set(_OF_A_NODE)
    operators = [each.after.operator if each.after else "" for each in (wanted, origin)]
    return kinds and operators[0] == operators[1]


def _shows_in_time(finding: Finding, candidate: Candidate) -> bool:
    """Return True unless only a second call shows the finding of a candidate that is for one call."""
    labels = [site.label for site in finding.on]
    label = candidate.calls[0].label
    return len(candidate.calls) > 1 or not labels or (EXAMPLE if sample_name(label) else label) in labels


def reduced(
    bundle: Bundle, registry: Registry, budget: Budget, write: Callable[[str], object]
) -> tuple[Reduction, Showing]:
    """Make the program of a bundle smaller.

    Raises
    ------
    BundleError
        When there is no program to reduce, or its finding does not show each time.
    """
    candidate = _start(bundle, registry)
    showing = Showing(bundle, registry, bundle.record.finding)
    shown = starts_failing(candidate, showing)
    if shown < STARTS:
        if not bundle.mode.parent and not shown:
            raise BundleError(f"{bundle.folder}: {capture_text(possible=False)}")
        raise BundleError(gone_text(str(bundle.folder), shown, STARTS))
    if not bundle.mode.parent:
        write(capture_text(possible=True))
    origin = bundle.record.finding.origin
    before = (origin.before or origin.after) if origin else None
    made = reduce_candidate(
        candidate, showing, origin=before.name if before else "", budget=budget, report=lambda line: write(f"  {line}")
    )
    return made, showing


def _start(bundle: Bundle, registry: Registry) -> Candidate:
    """Return the candidate that a search begins with: the program before the stage, or that of the module."""
    record, folder = bundle.record, bundle.folder
    if record.engine == AGREE:
        raise BundleError(f"{folder} compares engines: no single program shows the finding, so it cannot be reduced.")
    if bundle.mode.is_fuzz:
        raise BundleError(
            f"{folder} is about sizes that were drawn: it cannot be reduced. Declare a case of these sizes, and reduce its "
            "bundle."
        )
    if record.start == "nothing":
        raise BundleError(f"{folder} has no module and no program to reduce ({'; '.join(record.left_out)}).")
    calls = tuple(bundle.calls().series)
    if record.start == "program":
        return Candidate(bundle.program(), calls)
    if not bundle.mode.parent:
        return Candidate(_captured(bundle), calls)
    program = program_before(bundle, registry)
    if program is None:
        raise BundleError(
            f"{folder} has no program before {record.stage} to reduce ({'; '.join(record.left_out)}). Shorten forward() "
            "by hand, and run exportcheck replay after each change."
        )
    return Candidate(program, calls)


def _captured(bundle: Bundle) -> ExportedProgram:
    """Return what torch captures of the module of a bundle, above autograd."""
    record, example = bundle.record, bundle.calls().example
    if record.module is None:
        raise BundleError(f"{bundle.folder} is damaged: it does not say how to build the module. Write it again.")
    shapes: Any = shapes_of(record.case.dynamic_shapes)
    try:
        with importable(bundle.folder), preserved_globals(), quiet():
            module = factory_of(bundle.folder, record.module)()
            if record.case.train is not None:
                module.train(record.case.train)
            return torch.export.export(module, example.args, dict(example.kwargs), dynamic_shapes=shapes)
    except Exception as error:
        raise BundleError(
            f"{bundle.folder}: {capture_text(possible=False)} (torch.export.export raises {type(error).__name__})"
        ) from error


def place_for(bundle: Bundle, out: Path | None) -> Path:
    """Return the folder of the result: next to the bundle, unless another one is named.

    Raises
    ------
    BundleError
        When it is the bundle itself.
    """
    folder = bundle.folder.resolve()
    place = out.resolve() if out is not None else folder.with_name(f"{folder.name}-reduced")
    if place == folder:
        raise BundleError(f"--out {out} is the bundle itself, which is never changed. Name another folder.")
    return place
