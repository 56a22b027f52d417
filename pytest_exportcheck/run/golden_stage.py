"""The items of golden programs: written from today's capture, or loaded by both readers and compared with what is stored
and with today's capture.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.checks import run_checks
from pytest_exportcheck.describe import program_of
from pytest_exportcheck.difference.files import ProgramFile
from pytest_exportcheck.errors import ExportcheckError, GoldenError, SerializationError, UnsupportedError
from pytest_exportcheck.golden import folder as files
from pytest_exportcheck.golden.calls import GoldenCalls, calls_bytes, plain, read_calls
from pytest_exportcheck.golden.judge import (
    accepted,
    guard_findings,
    interface_findings,
    nodes_that_differ,
    of_nodes,
    refused_by,
    unreadable,
    weights_that_differ,
)
from pytest_exportcheck.golden.programs import (
    interface_of,
    loaded_by_reference,
    loaded_by_torch,
    read_as_data,
    saved,
)
from pytest_exportcheck.harness.isolation import raised_from
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.modes import CAPTURES, GOLDEN, Mode
from pytest_exportcheck.records import Case, Evidence, Finding, Inputs, Observation, ProgramRecord, Record
from pytest_exportcheck.records.golden import GoldenChange, GoldenFacts
from pytest_exportcheck.records.levels import all_at
from pytest_exportcheck.reports.golden import missing_text, node_notes, update_hint, weights_note
from pytest_exportcheck.run.observed_case import ObservedCase
from pytest_exportcheck.run.observer import pinned_threads
from pytest_exportcheck.run.recheck import Recheck
from pytest_exportcheck.run.samples import Samples
from pytest_exportcheck.run.settings import GoldenSettings
from pytest_exportcheck.run.stage import StageResult

#: Threads of all calls of golden programs: stored outputs must not depend on the cores of a machine.
THREADS = 1

#: The fact of an outcome that says what an update did.
CHANGE = "golden"


def capture_of(case: Case) -> Mode:
    """Return the capture that the golden program of a case is made by: the first one that its modes allow."""
    for capture in CAPTURES:
        if not case.modes or any(fnmatchcase(capture, Mode.parse(glob).capture) for glob in case.modes):
            return Mode((capture,))
    return Mode((CAPTURES[0],))


@dataclass(frozen=True, eq=False, kw_only=True)
class GoldenStage:
    """The maker and judge of the golden programs of one case. ``today`` returns today's capture by torch."""

    observed: ObservedCase
    samples: Samples
    settings: GoldenSettings
    today: Callable[[Mode], StageResult]

    @property
    def root(self) -> Path:
        """Return the folder of golden programs."""
        return self.settings.root

    def judged(self, mode: Mode) -> StageResult:
        """Judge the golden program of a version of torch."""
        name = self.observed.case.name
        folder = self.root / name / mode.capture
        if not folder.exists():
            return StageResult(mode, findings=[unreadable(mode.capture, missing_text(name, self.settings.command))])
        try:
            golden = files.read_golden(folder, name)
            data = read_as_data(golden.program, str(folder / files.PROGRAM))
            calls = read_calls(golden.calls, str(folder / files.CALLS))
        except (GoldenError, SerializationError) as error:
            return StageResult(mode, findings=[unreadable(mode.capture, str(error))])
        stage = StageResult(mode)
        with pinned_threads(THREADS):
            findings = [*self._as_stored(golden, data, calls), *self._as_today(golden, data, calls, stage)]
        stage.findings = list(dict.fromkeys(findings))
        return stage

    def written(self, mode: Mode) -> StageResult:
        """Write the golden program of this version of torch, and delete those that are not of the model any more."""
        case = self.observed.case
        stage = StageResult(mode)
        try:
            written = self._write(mode, capture_of(case))
            changes = [(written, mode.capture), *(self._outdated(mode) if written == "changed" else ())]
        except ExportcheckError as error:
            stage.findings = [unreadable(mode.capture, str(error))]
            return stage
        stage.facts = {f"{CHANGE} {version}": change for change, version in changes}
        return stage

    # --- writing ----------------------------------------------------------------------------

    def _write(self, mode: Mode, capture: Mode) -> GoldenChange:
        case = self.observed.case
        made = self.today(capture)
        program = made.artifact.program if made.artifact else None
        if not isinstance(program, torch.export.ExportedProgram):
            why = made.unsupported or next((each.actual for each in made.findings), "it made no program")
            raise GoldenError(f"no golden program of {case.name} is written: {capture} failed: {_line(why)}")
        content = saved(program)
        with pinned_threads(THREADS):
            calls = self._calls(loaded_by_torch(content).module())
        contents = {files.PROGRAM: content, files.CALLS: calls_bytes(calls)}
        folder = self.root / case.name / mode.capture
        facts = GoldenFacts(
            case=case.name,
            torch=str(torch.__version__),
            exportcheck=__version__,
            capture=str(capture),
            machine=platform.machine(),
            cpu_capability=torch.backends.cpu.get_cpu_capability(),
            threads=THREADS,
            interface=interface_of(_program(read_as_data(content, files.PROGRAM))),
            calls=tuple(each.label for each in calls.calls),
            refused=tuple(each.label for each in calls.refused),
            files={name: files.digest(data) for name, data in contents.items()},
        )
        before = self._facts_before(folder)
        if before is not None and _same(before, facts):
            return "unchanged"
        there = folder.exists()
        files.write_golden(folder, facts, contents)
        return "changed" if there else "new"

    def _facts_before(self, folder: Path) -> GoldenFacts | None:
        """Return the facts of a golden program that is whole; None where it must be written again."""
        try:
            return files.read_golden(folder, self.observed.case.name).facts
        except GoldenError:
            return None

    def _outdated(self, mode: Mode) -> Iterator[tuple[GoldenChange, str]]:
        """Remove the golden programs of other versions that are of another model than today's, where the one of this version
        was too. Otherwise the difference may be that of the versions of torch. One that no longer loads stays.
        """
        case = self.observed.case
        for version in files.stored_versions(self.root, case.name):
            if version == mode.capture:
                continue
            other = Mode((version,))
            if any(each.place.startswith(_TODAY) for each in self.judged(other).findings):
                files.remove_golden(self.root / case.name / version)
                yield "removed", version

    def _calls(self, module: torch.nn.Module) -> GoldenCalls:
        """Make the calls to store: the example, fresh inputs, declared sizes, and sizes that the program refuses."""
        observed, sampled = self.observed, self.samples.calls
        series = [*observed.calls, *(each.inputs for each in sampled if each.declared is not False)]
        found, left_out = self._observe(module, series), list[Inputs]()
        while found and found[-1].raised:  # the series ends where a call raises
            left_out.append(series.pop(len(found) - 1))
            found = self._observe(module, series)
        if not found or any(call is observed.calls[0] for call in left_out):
            raise GoldenError("the program refuses the example inputs. Correct the case first.")
        tried = [
            *(call for _, call in observed.prepared.rejected),
            *left_out,
            *(each.inputs for each in sampled if each.declared is False),
        ]
        refused = [call for call in tried if self._refuses(module, call)]
        return GoldenCalls(calls=series, observed=found, refused=refused)

    # --- judging ----------------------------------------------------------------------------

    def _as_stored(self, golden: files.GoldenFiles, data: ProgramFile, calls: GoldenCalls) -> Iterator[Finding]:
        """Judge the file: both readers load it, with the interface and the values that it was written with."""
        version, facts = golden.folder.name, golden.facts
        yield from interface_findings(f"{files.PROGRAM} of {version}", facts.interface, interface_of(_program(data)))
        try:
            loaded = loaded_by_torch(golden.program)
            module = loaded.module()
            yield from interface_findings("as torch loads it", facts.interface, interface_of(program_of(loaded)))
        except Exception as error:  # torch in its own words
            yield refused_by(f"torch {torch.__version__}", f"{files.PROGRAM} of {version}", raised_from(error))
            return
        yield from self._compared("as torch loads it", golden, calls, self._observe(module, calls.calls))
        for call in calls.refused:
            if not self._refuses(module, call):
                yield accepted(f"as torch loads it: {call.label}", call.label)
        try:
            other = loaded_by_reference(golden.program).module()
        except UnsupportedError:
            return  # a part that only torch reads, which is not a fault of the file
        except Exception as error:  # in its own words
            found = refused_by("the reference reader", f"{files.PROGRAM} of {version}", raised_from(error))
            own = isinstance(error, SerializationError)
            yield found if own else replace(found, verdict="engine_error", fault_of="reference")
            return
        yield from self._compared("as the reference reader loads it", golden, calls, self._observe(other, calls.calls))

    def _as_today(
        self, golden: files.GoldenFiles, data: ProgramFile, calls: GoldenCalls, stage: StageResult
    ) -> Iterator[Finding]:
        """Judge today's model by the file: its interface, what it refuses and, with the same weights, its values."""
        made = self.today(Mode.parse(golden.facts.capture))
        program = made.artifact.program if made.artifact else None
        if not isinstance(program, torch.export.ExportedProgram):
            why = made.unsupported or next((each.actual for each in made.findings), "it made no program")
            yield _today_raised(_line(why))
            return
        today = read_as_data(saved(program, lines=True), "today's capture")
        same_torch = files.version_name(str(torch.__version__)) == golden.folder.name
        found = list(
            interface_findings(_TODAY, golden.facts.interface, interface_of(_program(today)), guards=same_torch)
        )
        if not same_torch:
            stored, now = (_program(each).constraints.accepts for each in (data, today))
            found += guard_findings(_TODAY, stored, now)
        differing = nodes_that_differ(data, today)
        weights = weights_that_differ(differing)
        stage.notes = (
            *([weights_note(weights)] if weights else []),
            *node_notes(of_nodes(differing), len(differing.following)),
        )
        if not weights and not any(each.key == "signature" for each in found):
            with self.observed.observer.weights_intact():
                eager = self.observed.observer.observe(self.observed.prepared.fresh_module(), calls.calls)
                module = program.module()
                found += self._compared(f"{_TODAY}, eager", golden, calls, eager, level="close")
                found += self._compared(_TODAY, golden, calls, self._observe(module, calls.calls), level="close")
                found += [
                    accepted(f"{_TODAY}: {call.label}", call.label)
                    for call in calls.refused
                    if not self._refuses(module, call)
                ]
        yield from (
            replace(each, detail="\n".join(filter(None, [each.detail, update_hint(stage.mode.capture)])))
            for each in found
        )

    def _compared(
        self, place: str, golden: files.GoldenFiles, calls: GoldenCalls, found: Sequence[Observation], level: str = ""
    ) -> list[Finding]:
        """Compare calls with the stored ones: by bits where nothing that affects rounding differs, else closely."""
        how = "close" if level or not _same_machine(golden.facts) else "bits"
        observed, again = self.observed, self.observed.oracles.with_grad.again
        checks = ("outputs", "effects")
        before = Record(observations=tuple(calls.observed))
        evidence = Evidence(
            case=observed.case.name,
            engine=GOLDEN,
            mode=golden.folder.name,
            stage=GOLDEN,
            before=before,
            after=Record(observations=tuple(plain(each) for each in found)),
            contract=all_at(checks, "close") if how == "close" else all_at(checks, "bits"),
            tolerance=observed.case.tolerance,
            random=observed.case.random,
        )
        judged = Recheck(again, before, calls.calls).checked(run_checks, evidence).findings
        return [replace(each, place=f"{place}: {each.place}") for each in judged if each.key != "stride"]

    def _observe(self, module: Any, calls: Sequence[Inputs]) -> tuple[Observation, ...]:
        observer = self.observed.observer
        return observe(
            module,
            calls,
            snapshot=ModuleSnapshot(module),
            seed=observer.seed,
            context=observer.context,
            gradients=False,
            watched=(observer.around,),
        )

    def _refuses(self, module: Any, call: Inputs) -> bool:
        return bool(self._observe(module, (call,))[0].raised)


#: The beginning of the places of findings about today's model.
_TODAY = "today's capture"


def _today_raised(why: str) -> Finding:
    return Finding.of("golden").at(_TODAY, "raised", "", "a program, as when the golden program was written", why)


def _same(before: GoldenFacts, facts: GoldenFacts) -> bool:
    """Return True if a golden program need not be written: its files are the same, wherever they were made."""
    return (before.files, before.interface, before.version) == (facts.files, facts.interface, facts.version)


def _same_machine(facts: GoldenFacts) -> bool:
    now = (str(torch.__version__), platform.machine(), torch.backends.cpu.get_cpu_capability(), THREADS)
    return now == (facts.torch, facts.machine, facts.cpu_capability, facts.threads)


def _program(file: ProgramFile) -> ProgramRecord:
    if file.record.program is None:
        raise GoldenError(f"{file.saved.file} has no program. Write it again with --exportcheck-update-golden.")
    return file.record.program


def _line(text: str) -> str:
    return text.strip().partition("\n")[0]
