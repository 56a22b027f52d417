"""``exportcheck reduce FOLDER``: a bundle becomes a smaller one, with a script of a few lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.bundles.folder import ENVIRONMENT, FINDING, INPUTS, README, SCRIPT, write_folder
from pytest_exportcheck.bundles.inputs import saved_calls
from pytest_exportcheck.bundles.programs import PROGRAM, saved_program
from pytest_exportcheck.bundles.read import Bundle, read_bundle
from pytest_exportcheck.bundles.reduction.draft import Candidate
from pytest_exportcheck.bundles.reduction.search import Budget
from pytest_exportcheck.bundles.script import script_of
from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.records import BundleEnvironment, BundleRecord, Outcome
from pytest_exportcheck.reports.bundles import readme_text
from pytest_exportcheck.reports.encoding import simple_types
from pytest_exportcheck.reports.reduction import loaded_script_text, script_text, total_text
from pytest_exportcheck.run.reduced_script import Script, script_for
from pytest_exportcheck.run.reducing import Judged, as_bundle, calls_of, place_for, reduced
from pytest_exportcheck.run.registry import Registry
from pytest_exportcheck.run.replay import engine_of, registry_for
from pytest_exportcheck.run.replay_command import hooks_of


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
    written = _written(place, bundle, made.candidate, judged, script)
    lines = len(script.text.splitlines())
    write(script_text(lines, script.engine) if script.text else loaded_script_text(script.reason))
    return written


def _written(place: Path, bundle: Bundle, candidate: Candidate, judged: Judged, script: Script) -> Path:
    """Write the reduced bundle, in place of one of the same item."""
    record = _record(as_bundle(bundle, candidate).record, candidate, judged, script)
    inputs, remark = saved_calls(calls_of(candidate))
    content = {
        PROGRAM: saved_program(candidate.program),
        INPUTS: inputs,
        FINDING: _json(replace(record, left_out=tuple(filter(None, (*record.left_out, remark))))),
        ENVIRONMENT: _json(_environment(bundle.environment)),
        README: readme_text(record).encode(),
        SCRIPT: (script.text or script_of(record, bundle.environment, judged.made)).encode(),
    }

    def fill(folder: Path) -> None:
        for file, data in content.items():
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
