"""``exportcheck reduce FOLDER``: a bundle becomes a smaller one, with a script of a few lines."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.bundles.folder import ENVIRONMENT, FINDING, INPUTS, README, SCRIPT, write_folder
from pytest_exportcheck.bundles.inputs import saved_calls
from pytest_exportcheck.bundles.modules import SOURCE, STATE
from pytest_exportcheck.bundles.programs import PROGRAM, saved_program
from pytest_exportcheck.bundles.read import Bundle, read_bundle
from pytest_exportcheck.bundles.reduction.draft import Candidate
from pytest_exportcheck.bundles.reduction.search import Budget
from pytest_exportcheck.bundles.script import script_of
from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.records import BundleEnvironment, BundleRecord, Outcome, Start, StoredModule
from pytest_exportcheck.reports.bundles import readme_text
from pytest_exportcheck.reports.encoding import simple_types
from pytest_exportcheck.reports.reduction import loaded_script_text, script_text, total_text
from pytest_exportcheck.run.reduced_script import Script, script_for
from pytest_exportcheck.run.reducing import Judged, Showing, as_bundle, calls_of, place_for, reduced
from pytest_exportcheck.run.registry import Registry
from pytest_exportcheck.run.replay import engine_of, registry_for
from pytest_exportcheck.run.replay_command import hooks_of

#: The name of the module that has the source of the reduced program.
_MODULE = "reduced"


def reduce_folder(
    folder: Path, out: Path | None, plugins: Sequence[str], budget: Budget, write: Callable[[str], object]
) -> Path:
    """Make a bundle smaller, write progress, and return the folder of the smaller one.

    Raises
    ------
    BundleError
        When it cannot be read or reduced, or the finding does not show each time.
    """
    bundle = read_bundle(folder)
    place = place_for(bundle, out)
    _check_free(place, bundle.record.outcome.nodeid)
    written = reduce_bundle(bundle, place, registry_for(hooks_of(plugins)), budget, write)
    write(f"written: {out or folder.with_name(written.name)}")
    return written


def reduce_bundle(
    bundle: Bundle, place: Path, registry: Registry, budget: Budget, write: Callable[[str], object]
) -> Path:
    """Make a bundle smaller with these engines, and return the folder of the smaller one.

    Raises
    ------
    BundleError
        When it cannot be reduced, or the finding does not show each time.
    """
    made, showing = reduced(bundle, registry, budget, write)
    write(total_text(made.nodes_before, made.nodes, made.tries, made.seconds, complete=made.complete))
    judged = showing.judged(made.candidate)
    if judged is None:
        raise BundleError(f"{bundle.folder}: the finding is flaky: the smallest program shows it no longer.")
    script = script_for(made.candidate, showing, engine_of(bundle, registry))
    written = _written(place, showing, made.candidate, judged, script)
    lines = len(script.text.splitlines())
    write(script_text(lines, script.engine) if script.text else loaded_script_text(script.reason))
    return written


@dataclass(frozen=True)
class _Begin:
    """The start of a replay of the reduced bundle, and the files for it."""

    start: Start
    content: Mapping[str, bytes]
    module: StoredModule | None = None
    left_out: tuple[str, ...] = ()


def _begin(candidate: Candidate, showing: Showing, script: Script) -> _Begin:
    """Find what a replay begins with: the program where it survives being saved, else the module of the script."""
    try:
        content = {PROGRAM: saved_program(candidate.program)}
        again = Candidate(torch.export.load(io.BytesIO(content[PROGRAM])), candidate.calls)
        if showing.judged(again) is not None:
            return _Begin("program", content)
        problem = "the finding is not there with a program that was saved and loaded"
    except Exception as error:  # torch in its own words
        content, problem = {}, f"the program cannot be saved ({type(error).__name__})"
    if not script.text:
        return _Begin("nothing", content, left_out=(f"a replay: {problem}",))
    empty = io.BytesIO()
    torch.save({}, empty)
    source = f"import torch\n\n\n{script.module}\n".encode()
    files = {STATE: empty.getvalue(), f"{SOURCE}/{_MODULE}.py": source}
    return _Begin("module", files, StoredModule(factory=f"{_MODULE}:M", files=(f"{_MODULE}.py",)))


def _written(place: Path, showing: Showing, candidate: Candidate, judged: Judged, script: Script) -> Path:
    """Write the reduced bundle, in place of one of the same item."""
    bundle, begin = showing.bundle, _begin(candidate, showing, script)
    inputs, remark = saved_calls(calls_of(candidate))
    record = _record(as_bundle(bundle, candidate).record, candidate, judged, script)
    left_out = tuple(filter(None, (*record.left_out, *begin.left_out, remark)))
    record = replace(record, start=begin.start, module=begin.module, left_out=left_out)
    environment = _environment(bundle.environment)
    content = {
        **begin.content,
        INPUTS: inputs,
        FINDING: _json(record),
        ENVIRONMENT: _json(environment),
        README: readme_text(record).encode(),
        SCRIPT: (script.text or script_of(record, environment, candidate.program, judged.made)).encode(),
    }

    def fill(folder: Path) -> None:
        for file, data in content.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(data)

    return write_folder(place.parent, place.name, record.outcome.nodeid, fill)


def _record(record: BundleRecord, candidate: Candidate, judged: Judged, script: Script) -> BundleRecord:
    held = [*candidate.program.state_dict.values(), *candidate.program.constants.values()]
    weights = [each for each in held if isinstance(each, torch.Tensor)]
    outcome = replace(record.outcome, findings=(judged.finding,))
    return replace(
        record,
        outcome=msgspec.convert(simple_types(outcome), Outcome),
        call=candidate.calls[0].label,
        weight_bytes=sum(each.numel() * each.element_size() for each in weights),
        left_out=(f"a script of plain source: {script.reason}",) if script.reason else (),
    )


def _environment(environment: BundleEnvironment) -> BundleEnvironment:
    """Return the environment in which the reduced finding was seen."""
    now = replace(environment.settings, torch=str(torch.__version__), exportcheck=__version__)
    return replace(environment, settings=now)


def _check_free(place: Path, nodeid: str) -> None:
    """Refuse to replace anything but a bundle of the same item."""
    if not place.exists():
        return
    try:
        found = json.loads((place / FINDING).read_bytes())["outcome"]["nodeid"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found != nodeid:
        raise BundleError(
            f"{place} exists and is not a bundle of {nodeid}. Delete it, or name another folder with --out."
        )


def _json(record: BundleRecord | BundleEnvironment) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
