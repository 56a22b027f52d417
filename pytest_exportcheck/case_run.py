"""One case in progress: its subject, the eager oracle, and every shared stage made once."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from hypothesis.errors import DeadlineExceeded
from torch.export import ExportedProgram

from pytest_exportcheck.checks import align, deduplicated, judged_refusal, ledger_of, run_checks
from pytest_exportcheck.describe import (
    call_spec_of,
    call_spec_of_call,
    claimed_types_of,
    declared_dims,
    module_types_of,
    node_runs,
    program_of,
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
from pytest_exportcheck.modes import FUZZ, Mode
from pytest_exportcheck.observe import observe
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.policy import (
    ALIGNMENT,
    BLOCKING,
    NO_OVERRIDES,
    Overrides,
    column_of,
    contract_for,
    fields_for,
    judge,
    loosest,
    tolerated,
)
from pytest_exportcheck.raised import log_of_torch, quiet, raised_from
from pytest_exportcheck.records import (
    Alignment,
    Case,
    Check,
    Evidence,
    Finding,
    Inputs,
    NodeRun,
    Observation,
    ProgramRecord,
    Raised,
    Record,
    Refusal,
)
from pytest_exportcheck.snapshot import (
    ModuleSnapshot,
    changed_globals,
    global_modes,
    preserved_globals,
    seed_everything,
)
from pytest_exportcheck.stage import Stage, edited_finding, raised_finding, unjudged
from pytest_exportcheck.subject import set_up
from pytest_exportcheck.tensors import copy_tree, input_leaves, leaf_of

Progress = Callable[[str], AbstractContextManager[Any]]
Watch = Callable[..., AbstractContextManager[Any]]


def unwatched(*_: object) -> AbstractContextManager[Any]:
    """A ``Watch`` that looks away."""
    return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all cases of a session share: ``threads`` is torch's number for all runs, ``checks`` are those that hooks add,
    ``watch(case[, engine, mode])`` is entered around setting a case up and around each of its stages."""

    seed: int
    threads: int
    progress: Progress = nullcontext
    overrides: Overrides = NO_OVERRIDES
    checks: Mapping[str, Check] = field(default_factory=dict)
    watch: Watch = unwatched
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
        self.seconds: dict[str, float] = {}
        with _pinned_threads(settings.threads), settings.progress(f"setting up {case.name}"):
            self._subject = set_up(case, self._seed)
            self._weights = sum(each.numel() * each.element_size() for each in self._subject.pristine.values())
            self._guard = ModuleSnapshot(self._subject.module, self._subject.pristine)
            self._calls: Sequence[Inputs] = (self._subject.example, self._subject.fresh)
            example, shapes = self._subject.example, self._subject.dynamic_shapes
            refused = case.rejected_at("capture")
            self._declared = () if refused else declared_dims(self._subject.module, example, shapes)
            self._given = tuple(
                leaf_of(place, value, clone=False) for place, value in input_leaves(example.args, example.kwargs)
            )
            self._oracle, again = self._eager(), self._eager()
        self._unstable: tuple[str, ...] = ()
        self.notes = tuple(self._judge_eager(self._oracle, again))

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
            if parent is not None and parent.blocks:
                self._stages[key] = Stage(mode, blocker=parent.blocker or parent)
            else:
                with self._settings.watch(self._case, engine.name, mode), _pinned_threads(self._settings.threads):
                    if parent is not None and mode.edge == FUZZ:
                        self._stages[key] = self._fuzz(engine, mode, parent)
                    else:
                        self._stages[key] = self._make(engine, mode, parent)
        return self._stages[key]

    def release(self, needed: Callable[[str, Mode], bool]) -> None:
        """Drop the stages that nobody needs any more, with their artifacts and observations."""
        before = len(self._stages)
        self._stages = {key: stage for key, stage in self._stages.items() if needed(*key)}
        if len(self._stages) < before and self._weights > _LARGE:
            gc.collect()  # programs are cycles, and a loaded one has weights of its own

    def _make(self, engine: Engine, mode: Mode, parent: Stage | None) -> Stage:
        stage = Stage(mode)
        logged: list[str] = []
        try:
            with log_of_torch(logged):
                stage.artifact, findings = self._artifact_of(engine, mode, parent)
            stage.record = self._record(engine, stage.artifact, mode)
        except Unsupported as error:
            stage.unsupported = str(error) or "the engine gives no reason"
        except (Exception, SystemExit) as error:
            what = "a program that can be called" if stage.artifact is not None else "a program"
            operators = _operators(parent.record.program if parent and parent.record else None)
            found = self._refused(mode, raised_from(error))
            stage.refused = found == []
            if found is None:
                found = [raised_finding(mode.stages[-1], what, error, logged)]
            stage.findings = self._judged(engine, mode, found, operators)
            if _is_gap(engine, mode, error):
                stage.findings = [replace(each, verdict="gap") for each in stage.findings if each.verdict == "broken"]
        else:
            accepted = self._refused(mode, None)
            if accepted:
                stage.findings, stage.record = accepted, None
                return stage
            evidence = self._evidence(engine, mode, parent, stage.record)
            operators = _operators(evidence.before.program or evidence.after.program)
            stage.findings = self._judged(
                engine, mode, [*findings, *run_checks(evidence, self._settings.checks)], operators
            )
            stage.findings += self._by_others(engine, mode, parent, stage)
            stage.ledger = ledger_of(evidence, stage.findings)
            stage.notes = tuple(unjudged(mode, stage.record))
        return stage

    def _by_others(self, engine: Engine, mode: Mode, parent: Stage | None, stage: Stage) -> list[Finding]:
        """What is wrong with what further engines made of the same file, where the first has not shown it."""
        told = {(*each.key, each.actual) for each in stage.findings}
        found = []
        for reader, other in getattr(stage.artifact, "also", {}).items():
            operators: Collection[str] = ()
            try:
                evidence = self._evidence(engine, mode, parent, self._record(engine, other, mode))
                operators = _operators(evidence.before.program or evidence.after.program)
                raw = run_checks(evidence, self._settings.checks)
            except (Exception, SystemExit) as error:
                raw = [raised_finding(mode.stages[-1], "a program that can be called", error, [])]
            judged = self._judged(engine, mode, raw, operators, maker=reader)
            found += [
                replace(each, place=f"{reader}: {each.place}")
                for each in judged
                if (*each.key, each.actual) not in told
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
            run = artifact.callable()
        except (Exception, SystemExit) as error:
            found = [raised_finding(FUZZ, "a program that can be called", error, [])]
            return Stage(mode, findings=self._judged(engine, mode, found, ()))
        program = getattr(artifact, "program", None)
        if isinstance(program, ExportedProgram):
            captured = Captured.of(program)
        subject = FuzzSubject(
            eager=self._caller(self._subject.fresh_module()),
            run=self._caller(run),
            compare=partial(self._compared, engine, mode, parent),
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
            notes=result.notes,
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

    def _caller(self, run: Callable[..., Any]) -> Callable[[Inputs], Observation]:
        """What calls it many times, one call at a time, each as if it were the first."""
        snapshot = None
        if isinstance(run, torch.nn.Module):
            snapshot = ModuleSnapshot(run, self._subject.pristine, by_version=True)

        def call(inputs: Inputs) -> Observation:
            context = self._case.context
            (observed,) = observe(run, (inputs,), snapshot=snapshot, seed=self._seed, context=context, gradients=False)
            return observed

        return call

    def _compared(
        self, engine: Engine, mode: Mode, parent: Stage, before: Observation, after: Observation
    ) -> Sequence[Finding]:
        """What differs between eager and the program, as strictly as the loosest stage on the way allows."""
        record = parent.record or self._oracle
        evidence = Evidence(
            case=self._case.name,
            engine=engine.name,
            mode=str(mode),
            stage=FUZZ,
            before=replace(self._oracle, observations=(before,)),
            after=replace(record, observations=(after,)),
            contract=loosest((*map(partial(_like, engine), parent.mode.stages),), BLOCKING, unstable=self._unstable),
            module=self._oracle,
            tolerance=self._case.tolerance,
            random=self._case.random,
        )
        operators = _operators(record.program)
        return self._judged(engine, mode, run_checks(evidence), operators)

    # --- the parts of a stage ---------------------------------------------------------------

    def _refused(self, mode: Mode, raised: Raised | None) -> list[Finding] | None:
        """What is wrong with a stage that the case says must refuse it; None where the case says nothing of it."""
        stage = mode.stages[-1]
        rejections = self._case.rejected_at(stage if mode.parent else "capture")
        found = [judged_refusal(each, stage, raised) for each in rejections]
        return [finding for finding in found if finding is not None] if rejections else None

    def _evidence(self, engine: Engine, mode: Mode, parent: Stage | None, record: Record) -> Evidence:
        edge, like = mode.stages[-1], _judged_as(engine, mode)
        before = parent.record if parent and parent.record else self._oracle
        return Evidence(
            case=self._case.name,
            engine=engine.name,
            mode=str(mode),
            stage=edge,
            before=before,
            after=record,
            contract=contract_for(like, unstable=self._unstable),
            fields=fields_for(like, self._settings.overrides),
            alignment=_alignment(like, before.program, record.program),
            module=self._oracle,
            declared=self._declared,
            given=self._given,
            tolerance=self._case.tolerance,
            random=self._case.random,
        )

    def _judged(
        self, engine: Engine, mode: Mode, findings: Iterable[Finding], operators: Collection[str], maker: str = ""
    ) -> list[Finding]:
        """What may be lost first: a known defect explains only what would be broken."""
        told = tolerated(deduplicated(findings), _judged_as(engine, mode), self._settings.overrides)
        maker = maker or getattr(engine, "made_by", {}).get(mode.stages[-1], engine.name)
        return judge(told, engine=maker, mode=str(mode), torch_version=torch.__version__, operators=operators)

    def _artifact_of(self, engine: Engine, mode: Mode, parent: Stage | None) -> tuple[Artifact, list[Finding]]:
        """Run one stage under watch: global modes, the module and the input program are as before, or it is said."""
        what = f"running {engine.name}-{mode} of {self._case.name}"
        with preserved_globals(), quiet(), self._settings.progress(what):
            before_modes = global_modes()
            started = time.perf_counter()
            seed_everything(self._seed)
            with self._weights_intact(), self._context():
                artifact, findings = self._edge(engine, mode, parent) if parent else self._capture(engine, mode)
            self.seconds[f"{engine.name}-{mode}"] = time.perf_counter() - started
            leaked = changed_globals(before_modes)
        return artifact, [*findings, *(edited_finding(name, str(was), str(now)) for name, (was, now) in leaked.items())]

    def _capture(self, engine: Engine, mode: Mode) -> tuple[Artifact, list[Finding]]:
        subject = self._subject
        module = subject.fresh_module()
        snapshot = ModuleSnapshot(module, subject.pristine)
        args, kwargs = copy_tree((subject.example.args, dict(subject.example.kwargs)))
        try:
            artifact = engine.captures[mode.capture](module, args, kwargs, subject.dynamic_shapes)
            edits = [
                edited_finding(f"module {name}", "unchanged by the capture", _changed(tensor))
                for name, tensor in snapshot.changed().items()
            ]
            for name, (was, now) in snapshot.changed_flags().items():
                edits.append(edited_finding(f"module {name}", f"requires_grad={was}", f"requires_grad={now}"))
        finally:
            snapshot.restore()
        return artifact, edits

    def _edge(self, engine: Engine, mode: Mode, parent: Stage) -> tuple[Artifact, list[Finding]]:
        edge = mode.stages[-1]
        given = self._revived(engine, parent)
        program = getattr(given, "program", None)
        before = fingerprint(program) if isinstance(program, ExportedProgram) else {}
        try:
            artifact = engine.edges[edge](given)
        finally:
            parts = edited(before, fingerprint(program)) if isinstance(program, ExportedProgram) else ()
            if parts:
                parent.artifact = None  # spoiled: whoever needs it gets a new one
        if edge in getattr(engine, "edits_input", ()):
            return artifact, []
        return artifact, [
            edited_finding(f"input program's {part}", f"unchanged by {edge}", "changed") for part in parts
        ]

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
            run = artifact.callable()
            module = run if isinstance(run, torch.nn.Module) else None
            record = Record(
                observations=(),
                state=state_of(module) if module is not None else None,
                call_spec=call_spec_of(exported) if exported is not None else None,
                program=self._program(exported, _judged_as(engine, mode)) if exported is not None else None,
                modules=module_types_of(module) if module is not None and exported is None else {},
                saved=getattr(artifact, "saved", {}),
                resaved=_resaved(artifact, mode),
            )
        return replace(
            record,
            observations=self._observe(run, self._calls, like=self._oracle.observations[0]),
            refusals=tuple(
                Refusal(rejection=rejection, raised=self._observe(run, (call,))[0].raised)
                for rejection, call in self._subject.rejected
            ),
        )

    def _program(self, program: ExportedProgram, like: str) -> ProgramRecord:
        """A program as data, with a run of its nodes where the contract asks for one."""
        runs: tuple[NodeRun, ...] = ()
        if contract_for(like).get("val") == "run":
            seed_everything(self._seed)
            with self._context():
                runs = node_runs(program, self._subject.example, self._declared)
        return program_of(program, declared=self._declared, runs=runs)

    def _eager(self) -> Record:
        module, example = self._subject.fresh_module(), self._subject.example
        observations = self._observe(module, self._calls)
        spec = call_spec_of_call(module, example.args, example.kwargs, observations[0].structure)
        return Record(
            observations=observations,
            state=state_of(module),
            call_spec=spec,
            modules=module_types_of(module),
            claimed=claimed_types_of(module),
            untraced=untraced_of(module),
        )

    def _observe(
        self, run: Callable[..., Any], calls: Sequence[Inputs], like: Observation | None = None
    ) -> tuple[Observation, ...]:
        snapshot = ModuleSnapshot(run, self._subject.pristine) if isinstance(run, torch.nn.Module) else None
        return observe(run, calls, snapshot=snapshot, seed=self._seed, context=self._case.context, like=like)

    @contextmanager
    def _weights_intact(self) -> Iterator[None]:
        """Programs share the subject's weights: a stage that edits them must not spoil what is run after it."""
        try:
            yield
        finally:
            self._guard.restore()

    def _context(self) -> AbstractContextManager[Any]:
        return self._case.context() if self._case.context else nullcontext()


def _changed(tensor: torch.Tensor) -> str:
    """Name the class if the capture left a tensor of a tracer."""
    kind = type(tensor).__name__
    return f"changed to a {kind}" if kind in ("FakeTensor", "FunctionalTensor") else "changed"


@contextmanager
def _pinned_threads(number: int) -> Iterator[None]:
    """One number of threads for all runs that are compared: it changes what models compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


#: Bytes of weights from which memory is given back at once; a collection takes a tenth of a second.
_LARGE = 2**26

#: Checks of values that eager itself may not repeat.
_VALUES = (*sorted(BLOCKING, reverse=True), "gradients")


def _unstable(first: Record, second: Record) -> tuple[str, ...]:
    """The checks by which two runs of one callable differ, bit for bit."""
    evidence = Evidence(
        case="", engine="eager", mode="", stage="", before=first, after=second, contract=dict.fromkeys(_VALUES, "bits")
    )
    found = {finding.check for finding in run_checks(evidence)}
    return tuple(check for check in _VALUES if check in found)


def _operators(program: ProgramRecord | None) -> set[str]:
    graphs = program.graphs.values() if program else ()
    return {node.target for graph in graphs for node in graph.nodes if node.op == "call_function"}


def _judged_as(engine: Engine, mode: Mode) -> str:
    """The stage by whose contract the last stage of a mode is judged."""
    return _like(engine, mode.stages[-1])


def _like(engine: Engine, stage: str) -> str:
    """The stage by whose contract a stage is judged: itself, but for an edge that a hook added."""
    like: Mapping[str, str] = getattr(engine, "judged_as", {})
    return like.get(stage, stage)


def _is_gap(engine: Engine, mode: Mode, error: BaseException) -> bool:
    """Whether an engine failed at its own work, in a way that is no refusal of its."""
    refusals = getattr(engine, "refusals", ())
    own = mode.stages[-1] not in getattr(engine, "made_by", {})
    return bool(refusals) and own and not isinstance(error, refusals)


def _is_wrong(finding: Finding) -> bool:
    """Whether a finding of fuzzing stands for all programs behind: known defects of other kinds are told once more."""
    return finding.verdict == "broken" or (finding.verdict == "known" and finding.check in BLOCKING)


def _unsound_sizes(error: CaseError) -> Finding:
    return Finding(check="case", place="sizes", kind="unsound", expected="sizes to fuzz", actual=str(error))


def _alignment(edge: str, before: ProgramRecord | None, after: ProgramRecord | None) -> Alignment | None:
    how = ALIGNMENT.get(column_of(edge))
    return align(before, after, how) if how and before is not None and after is not None else None


def _resaved(artifact: Artifact, mode: Mode) -> Mapping[str, str]:
    """What saving again writes, where the mode saves for the second time."""
    resave = getattr(artifact, "resave", None)
    repeated = len(mode.stages) > 2 and mode.stages[-1] == mode.stages[-2]
    return resave() if resave is not None and repeated else {}
