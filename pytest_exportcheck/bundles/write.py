"""The writer of bundles: a folder of a failing item, written whole or not at all."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import torch
from torch.export import ExportedProgram

from pytest_exportcheck.bundles.draft import add_report
from pytest_exportcheck.bundles.failure import Failure
from pytest_exportcheck.bundles.folder import (
    ENVIRONMENT,
    EXPECTED,
    FINDING,
    INPUTS,
    README,
    SCRIPT,
    folder_name,
    write_folder,
)
from pytest_exportcheck.bundles.inputs import Calls, saved_calls
from pytest_exportcheck.bundles.modules import SOURCE, name_of, saved_module
from pytest_exportcheck.bundles.programs import CAPTURED, PROGRAM, lost_by_saving, saved_program
from pytest_exportcheck.bundles.script import script_of
from pytest_exportcheck.bundles.shapes import stored_shapes
from pytest_exportcheck.engines.protocol import ProgramArtifact
from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.records import (
    BundleEnvironment,
    BundleRecord,
    Outcome,
    Start,
    StoredCase,
    StoredModule,
    StoredRejection,
    StoredShapes,
)
from pytest_exportcheck.reports.bundles import readme_text
from pytest_exportcheck.reports.encoding import simple_types


@dataclass(frozen=True)
class Written:
    """A bundle that was written."""

    folder: Path
    record: BundleRecord


@dataclass(frozen=True, kw_only=True)
class _Begin:
    """The beginning of a replay: the content of files, the files to copy, and what is left out."""

    start: Start
    content: Mapping[str, bytes] = field(default_factory=dict)
    copied: Mapping[str, Path] = field(default_factory=dict)
    module: StoredModule | None = None
    left_out: tuple[str, ...] = ()


def write_bundle(
    parent: Path, failure: Failure, outcome: Outcome, environment: BundleEnvironment, *, name: str = ""
) -> Written:
    """Write a folder for a failing item. ``outcome`` is the item as it is reported, with ``nodeid``.

    Raises
    ------
    BundleError
        When nothing can be written, in a line.
    """
    begin = _begin(failure)
    inputs, remark = saved_calls(_calls(failure))
    stored, left_out = _case(failure, begin)
    weights = (each for each in failure.prepared.pristine.values() if isinstance(each, torch.Tensor))
    record = BundleRecord(
        outcome=msgspec.convert(simple_types(outcome), Outcome),
        mode=str(failure.mode),
        stage=failure.mode.last,
        level=failure.level,
        start=begin.start,
        case=stored,
        module=begin.module,
        call=failure.inputs.label,
        weight_bytes=sum(each.numel() * each.element_size() for each in weights),
        left_out=tuple(filter(None, (*begin.left_out, *left_out, remark))),
    )
    environment = replace(environment, packages=_versions(begin.module.needs if begin.module else ()))
    content = {
        **begin.content,
        INPUTS: inputs,
        FINDING: _json(record),
        ENVIRONMENT: _json(environment),
        README: readme_text(record).encode(),
        SCRIPT: script_of(record, environment, failure.program_before, failure.program_after).encode(),
    }

    def fill(folder: Path) -> None:
        for file, data in content.items():
            (folder / file).write_bytes(data)
        for file, source in begin.copied.items():
            target = folder / SOURCE / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        if begin.module is not None and failure.mode.parent is None and failure.finding.change == "raised":
            add_report(folder)

    parts = name or outcome.case, outcome.engine, outcome.mode
    return Written(write_folder(parent, folder_name(*parts), outcome.nodeid, fill), record)


def _begin(failure: Failure) -> _Begin:
    """Return the beginning of a replay: the program before the stage if it survives being saved, or the module."""
    left_out: list[str] = []
    program, made = failure.program_before, failure.before.made if failure.before else None
    content: dict[str, bytes] = {}
    if isinstance(made, ProgramArtifact) and isinstance(program, ExportedProgram) and failure.shown_by:
        try:
            content[PROGRAM] = saved_program(program)
            problem = lost_by_saving(content[PROGRAM], failure.shown_by)
        except BundleError as error:
            problem = str(error)
        if not problem:
            return _Begin(start="program", content=content)
        left_out.append(f"a replay from program.pt2: {problem}")
    try:
        stored_shapes(failure.prepared.dynamic_shapes)
        module = saved_module(failure.case, failure.prepared)
    except BundleError as error:
        left_out.append(f"the module: {error}")
        return _without_start(failure, content, left_out)
    return _Begin(
        start="module",
        content={**content, **module.content},
        copied=module.files,
        module=module.stored,
        left_out=tuple(left_out),
    )


def _without_start(failure: Failure, content: Mapping[str, bytes], left_out: Sequence[str]) -> _Begin:
    """Keep what can be looked at: the program after the stage, and what eager gave."""
    kept, missing = dict(content), list(left_out)
    if isinstance(failure.program_after, ExportedProgram):
        try:
            kept[CAPTURED] = saved_program(failure.program_after)
        except BundleError as error:
            missing.append(f"the program after the stage: {error}")
    try:
        kept[EXPECTED] = _expected(failure)
    except Exception as error:  # a tensor subclass in its own words
        missing.append(f"the values of eager ({type(error).__name__})")
    return _Begin(start="nothing", content=kept, left_out=tuple(missing))


def _expected(failure: Failure) -> bytes:
    buffer = io.BytesIO()
    values = [{leaf.place: leaf.value for leaf in each.outputs} for each in failure.expected]
    torch.save(values, buffer)
    return buffer.getvalue()


def _calls(failure: Failure) -> Calls:
    rejected = [call for _, call in failure.prepared.rejected]
    return Calls(example=failure.prepared.example, series=failure.calls, rejected=rejected)


def _case(failure: Failure, begin: _Begin) -> tuple[StoredCase, list[str]]:
    """Return the parts of the case that verdicts depend on, and what could not be stored."""
    case, left_out = failure.case, []
    shapes = failure.prepared.dynamic_shapes
    request = failure.before.request if failure.before else None
    try:
        stored = stored_shapes(shapes)
        specs = tuple(map(stored_shapes, request.specs)) if request and request.specs is not None else None
    except BundleError as error:
        left_out.append(f"dynamic shapes: {error}")
        stored, specs = StoredShapes(kind="none"), None
    context = name_of(case.context) if case.context else ""
    if case.context and not context:
        left_out.append("the context of the case: its factory has no name that can be imported")
    calls = {id(rejection): number for number, (rejection, _) in enumerate(failure.prepared.rejected)}
    rejects = [
        StoredRejection(at=each.at, kind=each.kind, error=each.error, call=calls.get(id(each))) for each in case.rejects
    ]
    return (
        StoredCase(
            name=case.name,
            seed=case.seed,
            train=case.train if begin.start == "module" else None,
            device=case.device,
            random=case.random,
            tolerance=case.tolerance,
            agreement=case.agreement_of(failure.mode.unfuzzed.last),
            context=context,
            dynamic_shapes=stored,
            specs=specs,
            rejects=tuple(rejects),
        ),
        left_out,
    )


def _json(record: BundleRecord | BundleEnvironment) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # its distribution has another name
            continue
    return found
