"""One case in progress: its subject, the eager oracle, and every shared stage made once."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from hypothesis.errors import DeadlineExceeded
from torch.export import ExportedProgram

from pytest_exportcheck.checks import (
    align,
    changes_of,
    deduplicated,
    explained,
    judged_refusal,
    ledger_of,
    run_checks,
)
from pytest_exportcheck.containers import contents_of
from pytest_exportcheck.describe import (
    call_spec_of,
    call_spec_of_call,
    check_inputs,
    claimed_types_of,
    declared_dims,
    module_types_of,
    node_runs,
    program_of,
    run_digest,
    state_of,
    untraced_of,
)
from pytest_exportcheck.engines.protocol import Artifact, Engine
from pytest_exportcheck.errors import CaseError, Unsupported
from pytest_exportcheck.fingerprint import edited, fingerprint
from pytest_exportcheck.fuzz.boundaries import code_constants
from pytest_exportcheck.fuzz.captured import Captured
from pytest_exportcheck.fuzz.ground import Ground, ground_of
from pytest_exportcheck.fuzz.trial import Subject as FuzzSubject
from pytest_exportcheck.fuzz.trial import fuzz
from pytest_exportcheck.internal import EDITS, LEDGER, Attempts, call_foreign, internal_finding, is_own, leaves_a_gap
from pytest_exportcheck.modes import FUZZ, Mode
from pytest_exportcheck.observe import observe
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.outside import Watched, attributes_of, nothing, surroundings_of
from pytest_exportcheck.policy import (
    ALIGNMENT,
    BLOCKING,
    NO_OVERRIDES,
    Overrides,
    column_of,
    contract_for,
    fields_for,
    is_known_layout,
    judge,
    loosest,
    tolerated,
    without_grad,
)
from pytest_exportcheck.raised import last_line_of_model, log_of_torch, quiet, raised_from
from pytest_exportcheck.recheck import EagerAgain, Recheck, Rechecked
from pytest_exportcheck.records import (
    Alignment,
    Case,
    Check,
    Evidence,
    Fallback,
    Finding,
    Gradients,
    Inputs,
    NodeRun,
    Observation,
    ProgramRecord,
    Raised,
    Record,
    Refusal,
)
from pytest_exportcheck.refusals import is_of_kind
from pytest_exportcheck.second_opinion import FIRST, attributed, can_judge, judging_modes, suspects
from pytest_exportcheck.snapshot import (
    ModuleSnapshot,
    changed_globals,
    global_modes,
    preserved_globals,
    seed_everything,
    slots_of,
    write_back,
)
from pytest_exportcheck.stage import (
    OBJECTION,
    Stage,
    edited_flag,
    edited_global,
    edited_module,
    edited_program,
    raised_finding,
    unjudged,
    without_grad_only,
)
from pytest_exportcheck.subject import set_up
from pytest_exportcheck.tensors import copy_tree, input_leaves, leaf_of

Progress = Callable[[str], AbstractContextManager[Any]]
Watch = Callable[..., AbstractContextManager[Any]]


def unwatched(*_: object) -> AbstractContextManager[Any]:
    """A ``Watch`` that looks away."""
    return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that all cases of a session share: ``threads`` is torch's number for all runs, ``checks`` are those that hooks add, ``engines``
    those of the session by name, of which the first one judges second opinions,
    ``watch(case[, engine, mode])`` is entered around setting a case up and around each of its stages."""

    seed: int
    threads: int
    progress: Progress = nullcontext
    overrides: Overrides = NO_OVERRIDES
    checks: Mapping[str, Check] = field(default_factory=dict)
    watch: Watch = unwatched
    engines: Mapping[str, Engine] = field(default_factory=dict)
    fuzz: Fuzzing = field(default_factory=Fuzzing)


class CaseRun:
    """One case in progress.

    Raises
    ------
    CaseError
        When the case cannot be set up, or the module itself raises on its example inputs.
    """

    def __init__(self, case: Case, settings: Settings) -> None:
        self._case = case
        self._settings = settings
        self._seed = settings.seed + case.seed
        self._stages: dict[tuple[str, Mode], Stage] = {}
        self._ground: Ground | Stage | None = None
        self._runs: dict[tuple[str, bool] | None, tuple[NodeRun, ...]] = {}
        self.seconds: dict[str, float] = {}
        self._attempts = Attempts()
        with _pinned_threads(settings.threads), settings.progress(f"setting up {case.name}"):
            self._subject = set_up(case, self._seed)
            self._weights = sum(each.numel() * each.element_size() for each in self._subject.pristine.values())
            self._guard = ModuleSnapshot(self._subject.module, self._subject.pristine)
            self._calls: Sequence[Inputs] = (self._subject.example, self._subject.fresh)
            example, shapes = self._subject.example, self._subject.dynamic_shapes
            refused = case.rejected_at("capture")
            if not refused:  # the engine is to refuse them
                check_inputs(case, self._subject.module, example, self._subject.fresh, shapes)
            self._declared = () if refused else declared_dims(self._subject.module, example, shapes)
            self._given = tuple(
                leaf_of(place, value, clone=False) for place, value in input_leaves(example.args, example.kwargs)
            )
            at = self._attempts.at
            self._around = at("values outside the module", lambda: surroundings_of(self._subject.module), nothing())
            self._oracle = self._eager()
            self._around.keep(changes_of(self._oracle))
            again = self._eager_again()
            carries = at("the second call of eager", lambda: self._carries(self._oracle, again), None)
            self._oracle = replace(self._oracle, carries=carries)
        self._unstable: tuple[str, ...] = ()
        self._as_with_grad: set[tuple[str, str]] = set()
        self._others: dict[Fallback, CaseRun | None] = {}
        self._instead: dict[tuple[str, Mode | None], CaseRun] = {}
        self.notes = tuple(self._judge_eager(self._oracle, again))
        self._again = EagerAgain(self._subject, case.context, self._seed, self._around)
        self._unseen = self._attempts.failed()

    def _judge_eager(self, first: Record, second: Record) -> Iterator[str]:
        """What is to be said of the oracle itself."""
        raised = first.observations[0].raised
        if raised and self._case.rejected_at("capture"):
            return
        if raised:
            raise CaseError(
                f"case {self._case.name!r} ({self._case.origin}): the module itself raises on its example inputs, "
                f"before anything is exported: {raised}"
            )
        refused = first.observations[-1].raised
        if refused:
            self._calls = (self._subject.example,)
            yield f"fresh inputs were unusable: eager itself refuses them ({refused.type})"
        self._unstable = () if self._case.random else _unstable(first, second)
        if self._unstable:
            what = " and ".join(self._unstable)
            yield f"eager is not bit-stable from run to run: {what} are compared with a tolerance"

    def stage(self, engine: Engine, mode: Mode) -> Stage:
        """The stage at the end of a mode, with everything before it, made when it is not there yet."""
        key = (engine.name, mode)
        if key not in self._stages:
            parent = self.stage(engine, mode.parent) if mode.parent else None
            instead = self._instead.get((engine.name, mode.parent))
            if instead is not None:
                self._stages[key] = self._made_by(instead, engine, mode)
            elif parent is not None and parent.blocks:
                self._stages[key] = Stage(mode, blocker=parent.blocker or parent)
            else:
                with self._settings.watch(self._case, engine.name, mode), _pinned_threads(self._settings.threads):
                    self._stages[key] = self._made(engine, mode, parent)
                at = self._attempts.at
                if _refuses_sizes(self._stages[key]):
                    at("the dims that fall back", lambda: self._fall_back(engine, mode), None)
                at("the engine at fault", lambda: self._attribute(engine, self._stages[key]), None)
                stage = self._stages[key]
                stage.findings = list(dict.fromkeys([*stage.findings, *self._attempts.failed()]))
        return self._stages[key]

    def _made(self, engine: Engine, mode: Mode, parent: Stage | None) -> Stage:
        """Make a stage. What the plugin could not look at before, in the case or in the stages that this one builds on, it
        cannot compare here either: the stage says so again."""
        if parent is None or mode.edge != FUZZ:
            stage = self._make(engine, mode, parent)
        else:
            try:
                stage = self._fuzz(engine, mode, parent)
            except Exception as error:
                if not is_own(error) or type(error).__module__.startswith("hypothesis"):
                    raise
                stage = Stage(mode, findings=[internal_finding(f"fuzzing {parent.mode}", error)])
        before = self._unseen if parent is None else [each for each in parent.findings if leaves_a_gap(each)]
        stage.findings = [*stage.findings, *before]
        return stage

    def _attribute(self, engine: Engine, stage: Stage) -> None:
        """Findings that only an engine with a second opinion has are gaps in it. The first engine's stage is made only for that."""
        first = self._settings.engines.get(FIRST)
        at_fault = suspects(engine, stage, self._settings.engines) if first else []
        if first is None or not any(at_fault):
            return
        for mode in judging_modes(stage.mode, first):
            judging = self.stage(first, mode)
            judging = judging.blocker or judging
            if can_judge(judging):
                same = len(judging.mode.stages) == len(stage.mode.stages)
                stage.findings = attributed(stage.findings, at_fault, judging, same_mode=same)
                return

    def release(self, needed: Callable[[str, Mode], bool]) -> None:
        """Drop the stages that nobody needs any more, with their artifacts and observations."""
        before = len(self._stages)
        self._stages = {key: stage for key, stage in self._stages.items() if needed(*key)}
        for other in filter(None, self._others.values()):
            other.release(needed)
        if len(self._stages) < before and self._weights > _LARGE:
            gc.collect()  # programs are cycles, and a loaded one has weights of its own

    # --- dims that a source gave by default -------------------------------------------------

    def _fall_back(self, engine: Engine, mode: Mode) -> None:
        """Use the first fallback of the case that this stage accepts, for it and for all that comes after it. The choice
        depends on the mode alone: what other modes accept, and what ran before, does not matter."""
        for fallback in self._case.fallbacks:
            other = self._other(fallback)
            if other is None:
                continue
            stage = self._made_by(other, engine, mode)
            if stage.record is not None:
                note = f"{mode}: {mode.stages[-1]} refuses the default dynamic dims of this source; checked with {fallback.note}"
                self._stages[engine.name, mode] = replace(stage, notes=(note, *stage.notes))
                return

    def _other(self, fallback: Fallback) -> CaseRun | None:
        """The case in progress with this fallback; None where it cannot be set up."""
        if fallback not in self._others:
            try:
                self._others[fallback] = CaseRun(fallback.case, self._settings)
            except CaseError:
                self._others[fallback] = None
        return self._others[fallback]

    def _made_by(self, other: CaseRun, engine: Engine, mode: Mode) -> Stage:
        stage = other.stage(engine, mode)
        self.seconds.update(other.seconds)
        if stage.record is not None or mode.edge == FUZZ:
            self._instead[engine.name, mode] = other
        return stage

    def _make(self, engine: Engine, mode: Mode, parent: Stage | None) -> Stage:
        stage = Stage(mode)
        logged: list[str] = []
        try:
            with log_of_torch(logged):
                stage.artifact, findings = self._artifact_of(engine, mode, parent)
            stage.reader = getattr(stage.artifact, "reader", "")
            stage.record = self._record(engine, stage.artifact, mode)
        except Unsupported as error:
            stage.unsupported = str(error) or "the engine gives no reason"
        except (Exception, SystemExit) as error:
            if is_own(error):  # says nothing of the model, nor that a stage refuses it
                stage.findings = [internal_finding(f"the stage {mode.stages[-1]}", error)]
                return stage
            what = "a program that can be called" if stage.artifact is not None else "a program"
            operators = _operators(parent.record.program if parent and parent.record else None)
            found = self._refused(mode, raised_from(error))
            stage.refused = found == []
            stage.reader = stage.reader or getattr(error, "reader", "")
            if found is None:
                line = self._last_line(engine, mode, error) if stage.artifact is None and parent is None else ""
                objects = isinstance(error, getattr(engine, "objections", ()))
                raised = raised_finding(mode.stages[-1], what, error, logged, line)
                found = [replace(raised, key=OBJECTION if objects else "")]
                if mode.parent is None:
                    found = [explained(each, self._oracle) for each in found]
            stage.findings = self._judged(engine, mode, found, operators)
            if _is_gap(engine, mode, error):
                stage.findings = [
                    replace(each, verdict="engine_error", fault_of=engine.name) if each.verdict == "broken" else each
                    for each in stage.findings
                ]
        else:
            accepted = self._refused(mode, None)
            if accepted:
                stage.findings, stage.record = accepted, None
                return stage
            self._attempts.at(
                "the record of the stage", lambda: self._judge(engine, mode, parent, stage, findings), None
            )
        return stage

    def _judge(
        self, engine: Engine, mode: Mode, parent: Stage | None, stage: Stage, findings: Sequence[Finding]
    ) -> None:
        """Judge the record of a stage: its findings, its ledger and its notes."""
        if stage.record is None:
            return
        evidence = self._evidence(engine, mode, parent, stage.record)
        operators = _operators(evidence.before.program or evidence.after.program)
        checked = self._attempts.at(
            "values that differ", lambda: self._recheck_of(engine, mode).checked(self._checks, evidence), None
        ) or Rechecked(self._checks(evidence))
        if self._is_as_with_grad(mode, stage.record, checked.findings):
            evidence, checked = self._held_against_grad(engine, mode, stage.record, checked)
        stage.findings = self._judged(engine, mode, [*findings, *checked.findings], operators)
        stage.findings += self._by_others(engine, mode, parent, stage)
        stage.ledger = self._attempts.at(LEDGER, lambda: ledger_of(evidence, stage.findings), ())
        stage.notes = (
            *checked.notes,
            *unjudged(mode, stage.record),
            *without_grad_only(mode, stage.findings),
        )

    def _checks(self, evidence: Evidence) -> list[Finding]:
        return run_checks(evidence, self._settings.checks)

    def _by_others(self, engine: Engine, mode: Mode, parent: Stage | None, stage: Stage) -> list[Finding]:
        """What is wrong with what further engines made of the same file, where the first has not shown it."""
        told = {(*each.identity, each.actual) for each in stage.findings}
        found = []
        for reader, other in getattr(stage.artifact, "also", {}).items():
            operators: Collection[str] = ()
            try:
                evidence = self._evidence(engine, mode, parent, self._record(engine, other, mode))
                operators = _operators(evidence.before.program or evidence.after.program)
                raw = self._recheck_of(engine, mode).checked(self._checks, evidence).findings
            except (Exception, SystemExit) as error:
                raw = [_raised(mode.stages[-1], "a program that can be called", error, [])]
            judged = self._judged(engine, mode, raw, operators, maker=reader)
            found += [
                replace(each, place=f"{reader}: {each.place}")
                for each in judged
                if (*each.identity, each.actual) not in told
            ]
        return found

    # --- fuzzing ----------------------------------------------------------------------------

    def _fuzz(self, engine: Engine, mode: Mode, parent: Stage) -> Stage:
        """Sizes drawn for the program at the end of a mode; what the case says wrongly of sizes is told once."""
        try:
            ground = self._sizes()
        except CaseError as error:
            self._ground = Stage(mode, findings=[_unsound_sizes(error)])
            return self._ground
        if isinstance(ground, Stage):
            return Stage(mode, blocker=ground)
        before = self.stage(engine, parent.mode.parent.fuzzed) if parent.mode.parent else None
        if before and (before.blocker or any(_is_wrong(each) for each in before.findings)):
            return Stage(mode, blocker=before.blocker or before)  # every program behind it does the same
        started = time.perf_counter()
        try:
            progress = self._settings.progress(f"fuzzing {engine.name}-{parent.mode}")
            with preserved_globals(), quiet(), progress, self._weights_intact():
                return self._fuzzed(engine, mode, parent, ground, before.captured if before else None)
        except CaseError as error:  # the case's own way to make inputs
            return Stage(mode, findings=[_unsound_sizes(error)])
        finally:
            self.seconds[f"{engine.name}-{mode}"] = time.perf_counter() - started

    def _fuzzed(self, engine: Engine, mode: Mode, parent: Stage, ground: Ground, captured: Captured | None) -> Stage:
        """``captured`` is what the program before the last edge says of sizes, for an edge that yields no program."""
        try:
            artifact = self._revived(engine, parent)
            run = call_foreign(artifact.callable)
        except (Exception, SystemExit) as error:
            found = [_raised(FUZZ, "a program that can be called", error, [])]
            return Stage(mode, findings=self._judged(engine, mode, found, ()))
        program = getattr(artifact, "program", None)
        if isinstance(program, ExportedProgram):
            captured = Captured.of(program)
        notes: dict[str, None] = {}
        subject = FuzzSubject(
            eager=self._caller(
                self._subject.fresh_module(), mode if self._oracle_of(engine, mode) is not self._oracle else None
            ),
            run=self._caller(run, mode),
            compare=partial(self._compared, engine, mode, parent, notes),
            judge=lambda findings: self._judged(engine, mode, findings, ()),
            captured=captured,
        )
        try:
            result = fuzz(ground, subject, key=self._key(engine, mode), options=self._settings.fuzz)
        except DeadlineExceeded as error:
            found = [raised_finding(FUZZ, "examples within the deadline of hypothesis's profile", error, [])]
            return Stage(mode, findings=self._judged(engine, mode, found, ()))
        return Stage(
            mode,
            findings=list(result.findings),
            ledger=result.ledger,
            notes=(*result.notes, *(*notes,)[:1]),
            statistics=result.statistics,
            captured=captured,
        )

    def _sizes(self) -> Ground | Stage:
        """What fuzzing stands on; the stage that told what is wrong with it, once it was told."""
        if self._ground is None:
            self._ground = ground_of(
                self._case,
                self._declared,
                self._subject.example,
                redraw=self._subject.redraw,
                made=self._subject.made,
                constants=code_constants(self._subject.module),
                seed=self._seed,
            )
        return self._ground

    def _key(self, engine: Engine, mode: Mode) -> str:
        return f"{self._case.origin.module}::{self._case.name}[{engine.name}-{mode}]"

    def _caller(self, run: Callable[..., Any], mode: Mode | None) -> Callable[[Inputs], Observation]:
        """What calls it many times, one call at a time, each as if it were the first."""
        snapshot = None
        if isinstance(run, torch.nn.Module):
            snapshot = ModuleSnapshot(run, self._subject.pristine, by_version=True)

        def call(inputs: Inputs) -> Observation:
            (observed,) = observe(
                run,
                (inputs,),
                snapshot=snapshot,
                seed=self._seed,
                context=partial(self._context, mode),
                gradients=False,
                watched=(self._around,),
            )
            return observed

        return call

    def _compared(
        self,
        engine: Engine,
        mode: Mode,
        parent: Stage,
        notes: dict[str, None],
        call: Inputs,
        before: Observation,
        after: Observation,
    ) -> Sequence[Finding]:
        """What differs between eager and the program, as strictly as the loosest stage on the way allows."""
        oracle = self._oracle_of(engine, mode)
        record = parent.record or oracle
        eager = replace(oracle, observations=(before,))
        evidence = Evidence(
            case=self._case.name,
            engine=engine.name,
            mode=str(mode),
            stage=FUZZ,
            before=eager,
            after=replace(record, observations=(after,)),
            contract=loosest((*map(partial(_like, engine), parent.mode.stages),), BLOCKING, unstable=self._unstable),
            module=eager,
            tolerance=self._case.tolerance,
            random=self._case.random,
        )
        operators = _operators(record.program)
        again = self._again if oracle is self._oracle else self._again_without_grad
        checked = Recheck(again, eager, (call,)).checked(run_checks, evidence)
        notes.update(dict.fromkeys(checked.notes))
        return self._judged(engine, mode, checked.findings, operators)

    # --- the parts of a stage ---------------------------------------------------------------

    def _refused(self, mode: Mode, raised: Raised | None) -> list[Finding] | None:
        """What is wrong with a stage that the case says must refuse it; None where the case says nothing of it."""
        stage = mode.stages[-1]
        rejections = self._case.rejected_at(stage if mode.parent else "capture")
        found = [judged_refusal(each, stage, raised) for each in rejections]
        return [finding for finding in found if finding is not None] if rejections else None

    def _evidence(self, engine: Engine, mode: Mode, parent: Stage | None, record: Record) -> Evidence:
        edge, like = mode.stages[-1], _judged_as(engine, mode)
        oracle = self._oracle_of(engine, mode)
        before = parent.record if parent and parent.record else oracle
        return Evidence(
            case=self._case.name,
            engine=engine.name,
            mode=str(mode),
            stage=edge,
            before=before,
            after=record,
            contract=contract_for(like, unstable=self._unstable, path=mode.stages, added=like != edge),
            fields=fields_for(like, self._settings.overrides),
            alignment=self._attempts.at(
                "the pairing of nodes",
                lambda: _alignment(like, before.program, record.program, added=like != edge),
                None,
            ),
            module=oracle,
            declared=self._declared,
            given=self._given,
            tolerance=self._case.tolerance,
            random=self._case.random,
        )

    def _judged(
        self, engine: Engine, mode: Mode, findings: Iterable[Finding], operators: Collection[str], maker: str = ""
    ) -> list[Finding]:
        """What is tolerated first: a known defect explains only what would be broken."""
        like, overrides = _judged_as(engine, mode), self._settings.overrides
        told = tolerated(deduplicated(findings), like, overrides, path=mode.stages)
        maker = maker or getattr(engine, "made_by", {}).get(mode.stages[-1], engine.name)
        return judge(told, engine=maker, stages=mode.stages, torch_version=torch.__version__, operators=operators)

    def _artifact_of(self, engine: Engine, mode: Mode, parent: Stage | None) -> tuple[Artifact, list[Finding]]:
        """Run one stage under watch: global modes, the module and the input program are as before, or it is said."""
        what = f"running {engine.name}-{mode} of {self._case.name}"
        with preserved_globals(), quiet(), self._settings.progress(what):
            before_modes = global_modes()
            started = time.perf_counter()
            seed_everything(self._seed)
            # what is made of an inference program is made without grad: its retrace calls it
            try:
                with self._weights_intact(), self._context(mode if parent else None):
                    artifact, findings = self._edge(engine, mode, parent) if parent else self._capture(engine, mode)
            finally:
                self.seconds[f"{engine.name}-{mode}"] = time.perf_counter() - started
            leaked = changed_globals(before_modes)
        return artifact, [*findings, *(edited_global(name, was, now) for name, (was, now) in leaked.items())]

    def _capture(self, engine: Engine, mode: Mode) -> tuple[Artifact, list[Finding]]:
        subject = self._subject
        module = subject.fresh_module()
        snapshot, held = ModuleSnapshot(module, subject.pristine), self._attributes(module)
        args, kwargs = copy_tree((subject.example.args, dict(subject.example.kwargs)))
        try:
            artifact = call_foreign(engine.captures[mode.capture], module, args, kwargs, subject.dynamic_shapes)
            kinds = snapshot.kinds()
            edits = [edited_module(name, tensor, kinds[name]) for name, tensor in snapshot.changed().items()]
            for name, (was, now) in snapshot.changed_flags().items():
                edits.append(edited_flag(name, was, now))
        finally:
            snapshot.restore()
            held.restore()
        return artifact, edits

    def _last_line(self, engine: Engine, mode: Mode, error: BaseException) -> str:
        """The last line of the model that a failing capture ran, by a second try, where the error does not lead to one."""
        seconds = self.seconds.get(f"{engine.name}-{mode}", 0.0)
        if raised_from(error).where or not mode.capture.startswith("nonstrict") or seconds > _LONG:
            return ""  # Dynamo names the line itself
        return last_line_of_model(lambda: self._artifact_of(engine, mode, None))

    def _edge(self, engine: Engine, mode: Mode, parent: Stage) -> tuple[Artifact, list[Finding]]:
        edge = mode.stages[-1]
        given = self._revived(engine, parent)
        program = getattr(given, "program", None)
        before = self._fingerprint(program)
        try:
            with _normal_tensors():
                artifact = call_foreign(engine.edges[edge], given)
        finally:
            parts = edited(before, self._fingerprint(program))
            if parts:
                parent.artifact = None  # spoiled: whoever needs it gets a new one
        if edge in getattr(engine, "edits_input", ()):
            return artifact, []
        return artifact, [edited_program(part, edge) for part in parts]

    def _fingerprint(self, program: Any) -> Mapping[str, str]:
        if not isinstance(program, ExportedProgram):
            return {}
        return self._attempts.at(EDITS, lambda: fingerprint(program), {})

    def _revived(self, engine: Engine, stage: Stage) -> Artifact:
        """The stage's artifact, made again where it was spoiled."""
        if stage.artifact is None:
            parent = self._stages[engine.name, stage.mode.parent] if stage.mode.parent else None
            stage.artifact, _ = self._artifact_of(engine, stage.mode, parent)
        artifact: Artifact = stage.artifact
        return artifact

    def _record(self, engine: Engine, artifact: Artifact, mode: Mode) -> Record:
        with preserved_globals(), quiet():
            program = getattr(artifact, "program", None)
            exported = program if isinstance(program, ExportedProgram) else None
            seed_everything(self._seed)
            run = call_foreign(artifact.callable)
            record = replace(
                self._described(engine, mode, run, exported),
                saved=getattr(artifact, "saved", {}),
                resaved=call_foreign(_resaved, artifact, mode),
            )
        return replace(
            record,
            observations=self._attempts.at("the calls", lambda: self._observed(run, mode), ()),
            refusals=tuple(
                Refusal(rejection=rejection, raised=self._observe(run, (call,), mode=mode)[0].raised)
                for rejection, call in self._subject.rejected
            ),
        )

    def _described(self, engine: Engine, mode: Mode, run: Any, program: ExportedProgram | None) -> Record:
        """Describe the artifact of a stage; a part that the plugin fails to look at is missing, and reported."""
        at, record = self._attempts.at, Record(observations=())
        if isinstance(run, torch.nn.Module):
            record = replace(record, state=at("the state of the module", lambda: state_of(run), None))
        if program is not None:
            described = at("the program", lambda: self._program(program, engine, mode), None)
            return replace(
                record, call_spec=at("the call spec", lambda: call_spec_of(program), None), program=described
            )
        if isinstance(run, torch.nn.Module):
            return replace(record, modules=at("the submodules", lambda: module_types_of(run), {}))
        return record

    def _program(self, program: ExportedProgram, engine: Engine, mode: Mode) -> ProgramRecord:
        """A program as data, with a run of its nodes where the contract asks for one."""
        runs: tuple[NodeRun, ...] = ()
        if contract_for(_judged_as(engine, mode)).get("val") == "run":
            seed_everything(self._seed)
            runs = self._attempts.at("a run of the nodes", lambda: self._node_runs(program, mode), ())
            self._around.restore()
        return program_of(program, declared=self._declared, runs=runs)

    def _node_runs(self, program: ExportedProgram, mode: Mode) -> tuple[NodeRun, ...]:
        """Run the nodes of a program one by one; programs of the same content are run once."""
        digest = run_digest(program)
        key = None if digest is None else (digest, without_grad(mode.stages))
        if key in self._runs:
            return self._runs[key]
        with self._context(mode):
            runs = node_runs(program, self._subject.example, self._declared)
        if key is not None:
            self._runs[key] = runs
        return runs

    def _observed(self, run: Callable[..., Any], mode: Mode) -> tuple[Observation, ...]:
        """The calls as this mode is judged by them. Without grad, a call with it is made too, for its gradients alone."""
        like = self._oracle.observations[0]
        if not without_grad(mode.stages):
            return self._observe(run, self._calls, like=like)
        first, *rest = self._observe(run, self._calls, mode=mode)
        (graded,) = self._observe(run, self._calls[:1], like=like)
        raised = Gradients({}, graded.raised, "the call") if graded.raised else graded.gradients
        return (replace(first, gradients=raised), *rest)

    def _oracle_of(self, engine: Engine, mode: Mode) -> Record:
        """Return the record that a mode is compared with: eager, without grad if the mode is judged without."""
        if not without_grad(mode.stages) or (engine.name, mode.capture) in self._as_with_grad:
            return self._oracle
        return self._oracle_without_grad

    @cached_property
    def _oracle_without_grad(self) -> Record:
        """Eager under ``torch.no_grad()``, with the gradients of eager; eager itself where it needs grad to run at all."""
        module = self._subject.fresh_module()
        first, *rest = self._observe(module, self._calls, mode=_INFERENCE, watched=(self._attributes(module),))
        if any(each.raised for each in (first, *rest)):
            return self._oracle
        observations = (replace(first, gradients=self._oracle.observations[0].gradients), *rest)
        return replace(self._oracle, observations=observations)

    @cached_property
    def _again_without_grad(self) -> EagerAgain:
        return self._again.under(partial(self._context, _INFERENCE))

    def _recheck_of(self, engine: Engine, mode: Mode) -> Recheck:
        """Look again at what differs from the oracle of a mode, under the oracle's own circumstances."""
        return self._recheck if self._oracle_of(engine, mode) is self._oracle else self._recheck_without_grad

    @cached_property
    def _recheck(self) -> Recheck:
        return Recheck(self._again, self._oracle, self._calls)

    @cached_property
    def _recheck_without_grad(self) -> Recheck:
        return Recheck(self._again_without_grad, self._oracle_without_grad, self._calls)

    def _is_as_with_grad(self, mode: Mode, record: Record, findings: Iterable[Finding]) -> bool:
        """Return True if an inference program does what eager does with grad, and not what eager does without: some captures run
        ``forward`` with grad, some without."""
        if mode.parent or not without_grad(mode.stages) or not any(map(_is_of_values, findings)):
            return False
        return self._oracle_without_grad is not self._oracle and not self._otherwise(
            self._recheck, self._oracle, record
        )

    def _held_against_grad(
        self, engine: Engine, mode: Mode, record: Record, checked: Rechecked
    ) -> tuple[Evidence, Rechecked]:
        """The comparison with eager with grad, where eager with grad and without differ only by rounding; else the findings of
        the comparison without, with what the capture did."""
        if self._otherwise(self._recheck_without_grad, self._oracle_without_grad, self._oracle):
            findings = [_captured_with_grad(each) if _is_of_values(each) else each for each in checked.findings]
            return self._evidence(engine, mode, None, record), replace(checked, findings=findings)
        self._as_with_grad.add((engine.name, mode.capture))
        evidence = self._evidence(engine, mode, None, record)
        checked = self._recheck_of(engine, mode).checked(self._checks, evidence)
        note = f"{mode}: compared with eager with grad, whose kernels the program has: under torch.no_grad() eager differs by rounding"
        return evidence, replace(checked, notes=(*checked.notes, note))

    def _otherwise(self, recheck: Recheck, one: Record, other: Record) -> bool:
        """Return True if they differ in more than rounding and the strides, which go by the kernel."""
        contract = dict.fromkeys(BLOCKING, "close")
        evidence = Evidence(
            case="",
            engine="",
            mode="",
            stage="",
            before=one,
            after=other,
            contract=contract,
            tolerance=self._case.tolerance,
            random=self._case.random,
        )
        return any(map(_is_of_values, recheck.checked(run_checks, evidence).findings))

    def _eager(self) -> Record:
        module, example = self._subject.fresh_module(), self._subject.example
        observations = self._observe(module, self._calls, watched=(self._attributes(module),))
        structure, at = observations[0].structure, self._attempts.at
        return Record(
            observations=observations,
            state=at("the state of the module", lambda: state_of(module), None),
            call_spec=at(
                "the call spec", lambda: call_spec_of_call(module, example.args, example.kwargs, structure), None
            ),
            modules=at("the submodules", lambda: module_types_of(module), {}),
            claimed=at("the classes of graph modules", lambda: claimed_types_of(module), {}),
            untraced=at(
                "the functions without lines",
                lambda: untraced_of(module, holds_objects=bool(contents_of(example.args, example.kwargs).contexts)),
                Record(observations=()).untraced,
            ),
        )

    def _eager_again(self) -> Record:
        """Run eager a second time. If it differs until flags and tables outside the module are put back too, they are put back
        from now on."""
        again = self._eager()
        if not self._around.leaves_changes() or not _unstable(self._oracle, again):
            return again
        later = self._around.as_it_is()
        self._around.everything = True
        self._around.restore()
        if not _unstable(self._oracle, third := self._eager()):
            return third
        self._around.everything = False
        later.restore()
        return again

    def _carries(self, first: Record, again: Record) -> bool | None:
        """Return True if the second call of a random case gives other outputs if nothing but the buffers comes from the first call.
        None where that is not known: for other cases, or where eager draws other numbers each time."""
        changed = changes_of(first) or any(each.rebound for each in first.observations)
        if not (self._case.random and changed) or any(each.raised for each in first.observations):
            return None
        if len(first.observations) < 2:
            return False
        if "outputs" in _unstable(first, again):
            return None
        one, two = first.observations
        with self._weights_intact():
            module = self._subject.fresh_module()
            for slot in slots_of(module):
                if slot.kind != "attribute" and slot.name in one.state:
                    write_back(slot.tensor, one.state[slot.name])
            snapshot, context = ModuleSnapshot(module), partial(self._context, None)
            alone = observe(
                module,
                self._calls[1:],
                snapshot=snapshot,
                seed=self._seed + 1,
                context=context,
                gradients=False,
                watched=(self._around,),
            )
        return "outputs" in _unstable(replace(first, observations=(two,)), replace(first, observations=alone))

    def _attributes(self, module: torch.nn.Module) -> Watched:
        return self._attempts.at("the attributes of the module", lambda: attributes_of(module), nothing())

    def _observe(
        self,
        run: Callable[..., Any],
        calls: Sequence[Inputs],
        like: Observation | None = None,
        mode: Mode | None = None,
        watched: Sequence[Watched] = (),
    ) -> tuple[Observation, ...]:
        """``mode``: the calls are made as that mode is judged; without one, as the user makes them."""
        snapshot = ModuleSnapshot(run, self._subject.pristine) if isinstance(run, torch.nn.Module) else None
        watched, context = (*watched, self._around), partial(self._context, mode)
        return observe(run, calls, snapshot=snapshot, seed=self._seed, context=context, like=like, watched=watched)

    @contextmanager
    def _weights_intact(self) -> Iterator[None]:
        """Programs share the subject's weights: a stage that edits them must not spoil what is run after it."""
        try:
            yield
        finally:
            self._guard.restore()
            self._around.restore()

    @contextmanager
    def _context(self, mode: Mode | None = None) -> Iterator[None]:
        """The case's own context; within it no grad, where this mode is judged without."""
        given = call_foreign(self._case.context) if self._case.context else nullcontext()
        with given, torch.no_grad() if mode and without_grad(mode.stages) else nullcontext():
            yield


def _is_of_values(finding: Finding) -> bool:
    """Return True if a finding is about what a program computes, and not about strides alone."""
    return finding.check in BLOCKING and finding.key != "stride"


def _captured_with_grad(finding: Finding) -> Finding:
    return replace(finding, detail="\n".join(filter(None, [finding.detail, _WITH_GRAD])))


_WITH_GRAD = (
    "The program computes what eager computes with grad: the capture ran forward() with grad enabled. Under torch.no_grad(), as "
    "inference programs are called, forward() computes something else. Capture under torch.no_grad() (context=torch.no_grad)."
)


@contextmanager
def _normal_tensors() -> Iterator[None]:
    """No inference mode around what makes parameters: views of inference tensors do not require grad, and matmul chooses its
    kernel by that."""
    if not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(False), torch.no_grad():
        yield


@contextmanager
def _pinned_threads(number: int) -> Iterator[None]:
    """One number of threads for all runs that are compared: it changes what models compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


#: Seconds of a failed capture that is not tried again to find the last line of the model.
_LONG = 20.0

#: Bytes of weights from which memory is given back at once; a collection takes a tenth of a second.
_LARGE = 2**26

#: Checks of values that eager itself may not repeat.
_VALUES = (*sorted(BLOCKING, reverse=True), "gradients")


#: Any mode that is judged without grad.
_INFERENCE = Mode(("nonstrict_postdispatch",))


def _unstable(first: Record, second: Record) -> tuple[str, ...]:
    """The checks by which two runs of one callable differ, bit for bit."""
    evidence = Evidence(
        case="", engine="eager", mode="", stage="", before=first, after=second, contract=dict.fromkeys(_VALUES, "bits")
    )
    found = {finding.check for finding in run_checks(evidence)}
    return tuple(check for check in _VALUES if check in found)


def _operators(program: ProgramRecord | None) -> frozenset[str]:
    return program.operators if program else frozenset()


def _judged_as(engine: Engine, mode: Mode) -> str:
    """The stage by whose contract the last stage of a mode is judged."""
    return _like(engine, mode.stages[-1])


def _like(engine: Engine, stage: str) -> str:
    """The stage by whose contract a stage is judged: itself, but for an edge that a hook added."""
    like: Mapping[str, str] = getattr(engine, "judged_as", {})
    return like.get(stage, stage)


def _raised(stage: str, what: str, error: BaseException, logged: Sequence[str]) -> Finding:
    """A stage that raised, or a failure of the plugin itself."""
    return (
        internal_finding(f"the stage {stage}", error) if is_own(error) else raised_finding(stage, what, error, logged)
    )


def _is_gap(engine: Engine, mode: Mode, error: BaseException) -> bool:
    """Return True if an engine failed at its own work, with an error that is not one of its refusals."""
    refusals = getattr(engine, "refusals", ())
    own = mode.stages[-1] not in getattr(engine, "made_by", {})
    return bool(refusals) and own and not isinstance(error, refusals)


def _is_wrong(finding: Finding) -> bool:
    """Whether a finding of fuzzing stands for all programs behind: known defects of other kinds are told once more."""
    known = finding.verdict == "known" and finding.check in BLOCKING
    return finding.verdict in ("broken", "engine_error") or (known and not is_known_layout(finding))


def _refuses_sizes(stage: Stage) -> bool:
    """Return True if a stage raised, or refused the case, because of its dynamic dims."""
    texts = [each.actual for each in stage.findings if (each.check, each.change) == ("stage", "raised")]
    return (
        stage.record is None
        and stage.mode.edge != FUZZ
        and any(is_of_kind("constraint", text) for text in (stage.unsupported, *texts))
    )


def _unsound_sizes(error: CaseError) -> Finding:
    return Finding.of("case").at("sizes", "wrong", "sizes", "sizes to fuzz", error)


def _alignment(
    edge: str, before: ProgramRecord | None, after: ProgramRecord | None, *, added: bool
) -> Alignment | None:
    """Pair the nodes of two programs. An ``added`` edge may keep nodes that name no origin."""
    how = ALIGNMENT.get(column_of(edge))
    how = "kept" if added and how == "origin" else how
    return align(before, after, how) if how and before is not None and after is not None else None


def _resaved(artifact: Artifact, mode: Mode) -> Mapping[str, str]:
    """What saving again writes, where the mode saves for the second time."""
    resave = getattr(artifact, "resave", None)
    repeated = len(mode.stages) > 2 and mode.stages[-1] == mode.stages[-2]
    return resave() if resave is not None and repeated else {}
