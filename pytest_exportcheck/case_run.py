"""One case in progress: its subject, the eager oracle, and every shared stage made once."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.checks import align, deduplicated, ledger_of, run_checks
from pytest_exportcheck.describe import (
    call_spec_of,
    call_spec_of_call,
    declared_dims,
    module_types_of,
    node_runs,
    program_of,
    state_of,
)
from pytest_exportcheck.engines.protocol import Artifact, Engine
from pytest_exportcheck.errors import CaseError, Unsupported
from pytest_exportcheck.fingerprint import edited, fingerprint
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.observe import observe
from pytest_exportcheck.policy import (
    ALIGNMENT,
    BLOCKING,
    NO_OVERRIDES,
    Overrides,
    column_of,
    contract_for,
    fields_for,
    judge,
    tolerated,
)
from pytest_exportcheck.raised import log_of_torch, quiet, raised_from
from pytest_exportcheck.records import (
    Alignment,
    Case,
    Evidence,
    Finding,
    Inputs,
    NodeRun,
    Observation,
    ProgramRecord,
    Record,
    Survival,
)
from pytest_exportcheck.snapshot import (
    ModuleSnapshot,
    changed_globals,
    global_modes,
    preserved_globals,
    seed_everything,
)
from pytest_exportcheck.subject import set_up
from pytest_exportcheck.tensors import copy_tree, input_leaves, leaf_of

Progress = Callable[[str], AbstractContextManager[Any]]
Watch = Callable[[str, Mode], AbstractContextManager[Any]]


def unwatched(*_: object) -> AbstractContextManager[Any]:
    """A ``Watch`` that looks away."""
    return nullcontext()


@dataclass(eq=False)
class Stage:
    """What became of one prefix. ``record`` is None where no artifact came of it; ``artifact`` is also None once it
    was spoiled by a stage that edited it."""

    mode: Mode
    artifact: Any = None
    record: Record | None = None
    findings: list[Finding] = field(default_factory=list)
    ledger: tuple[Survival, ...] = ()
    notes: tuple[str, ...] = ()
    unsupported: str = ""
    blocker: Stage | None = None

    @property
    def blocks(self) -> bool:
        """Whether nothing behind this stage can be judged."""
        wrong = (each for each in self.findings if each.check in BLOCKING and each.verdict != "lost")
        return self.record is None or any(wrong)


class CaseRun:
    """One case in progress. Every stage of an engine is made inside ``watch(engine, mode)``.

    Raises
    ------
    CaseError
        When the case cannot be set up, or the module itself raises on its example inputs.
    """

    def __init__(
        self,
        case: Case,
        *,
        seed: int,
        threads: int,
        progress: Progress,
        overrides: Overrides = NO_OVERRIDES,
        watch: Watch = unwatched,
    ) -> None:
        self._case = case
        self._overrides = overrides
        self._seed = seed + case.seed
        self._threads = threads
        self._progress = progress
        self._watch = watch
        self._stages: dict[tuple[str, Mode], Stage] = {}
        self.seconds: dict[str, float] = {}
        with _pinned_threads(threads), progress(f"setting up {case.name}"):
            self._subject = set_up(case, self._seed)
            self._guard = ModuleSnapshot(self._subject.module, self._subject.pristine)
            self._calls: Sequence[Inputs] = (self._subject.example, self._subject.fresh)
            self._declared = declared_dims(self._subject.module, self._subject.example, self._subject.dynamic_shapes)
            example = self._subject.example
            self._given = tuple(
                leaf_of(place, value, clone=False) for place, value in input_leaves(example.args, example.kwargs)
            )
            self._oracle, again = self._eager(), self._eager()
        self.notes = tuple(self._judge_eager(self._oracle, again))

    def _judge_eager(self, first: Record, second: Record) -> Iterator[str]:
        """What is to be said of the oracle itself."""
        raised = first.observations[0].raised
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
                with self._watch(engine.name, mode), _pinned_threads(self._threads):
                    self._stages[key] = self._make(engine, mode, parent)
        return self._stages[key]

    def release(self, needed: Callable[[str, Mode], bool]) -> None:
        """Drop the stages that nobody needs any more, with their artifacts and observations."""
        self._stages = {key: stage for key, stage in self._stages.items() if needed(*key)}

    def _make(self, engine: Engine, mode: Mode, parent: Stage | None) -> Stage:
        stage = Stage(mode)
        logged: list[str] = []
        try:
            with log_of_torch(logged):
                stage.artifact, findings = self._artifact_of(engine, mode, parent)
            stage.record = self._record(stage.artifact, mode)
        except Unsupported as error:
            stage.unsupported = str(error) or "the engine gives no reason"
        except (Exception, SystemExit) as error:
            what = "a program that can be called" if stage.artifact is not None else "a program"
            operators = _operators(parent.record.program if parent and parent.record else None)
            raised = _raised(mode.stages[-1], what, error, logged)
            stage.findings = self._judged(engine, mode, [raised], operators)
        else:
            evidence = self._evidence(engine, mode, parent, stage.record)
            operators = _operators(evidence.before.program or evidence.after.program)
            stage.findings = self._judged(engine, mode, [*findings, *run_checks(evidence)], operators)
            stage.ledger = ledger_of(evidence, stage.findings)
            stage.notes = tuple(_unjudged(mode, stage.record))
        return stage

    def _evidence(self, engine: Engine, mode: Mode, parent: Stage | None, record: Record) -> Evidence:
        edge = mode.stages[-1]
        before = parent.record if parent and parent.record else self._oracle
        return Evidence(
            case=self._case.name,
            engine=engine.name,
            mode=str(mode),
            stage=edge,
            before=before,
            after=record,
            contract=contract_for(edge, unstable=self._unstable),
            fields=fields_for(edge, self._overrides),
            alignment=_alignment(edge, before.program, record.program),
            module=self._oracle,
            declared=self._declared,
            given=self._given,
            tolerance=self._case.tolerance,
            random=self._case.random,
        )

    def _judged(
        self, engine: Engine, mode: Mode, findings: Iterable[Finding], operators: Collection[str]
    ) -> list[Finding]:
        """What may be lost first: a known defect explains only what would be broken."""
        told = tolerated(deduplicated(findings), mode.stages[-1], self._overrides)
        return judge(told, engine=engine.name, mode=str(mode), torch_version=torch.__version__, operators=operators)

    def _artifact_of(self, engine: Engine, mode: Mode, parent: Stage | None) -> tuple[Artifact, list[Finding]]:
        """Run one stage under watch: global modes, the module and the input program are as before, or it is said."""
        what = f"running {engine.name}-{mode} of {self._case.name}"
        with preserved_globals(), quiet(), self._progress(what):
            before_modes = global_modes()
            started = time.perf_counter()
            seed_everything(self._seed)
            with self._weights_intact(), self._context():
                artifact, findings = self._edge(engine, mode, parent) if parent else self._capture(engine, mode)
            self.seconds[f"{engine.name}-{mode}"] = time.perf_counter() - started
            leaked = changed_globals(before_modes)
        return artifact, [*findings, *(_edited(name, str(was), str(now)) for name, (was, now) in leaked.items())]

    def _capture(self, engine: Engine, mode: Mode) -> tuple[Artifact, list[Finding]]:
        subject = self._subject
        module = subject.fresh_module()
        snapshot = ModuleSnapshot(module, subject.pristine)
        args, kwargs = copy_tree((subject.example.args, dict(subject.example.kwargs)))
        try:
            artifact = engine.captures[mode.capture](module, args, kwargs, subject.dynamic_shapes)
            edits = [_edited(f"module {name}", "unchanged by the capture", "changed") for name in snapshot.changed()]
            for name, (was, now) in snapshot.changed_flags().items():
                edits.append(_edited(f"module {name}", f"requires_grad={was}", f"requires_grad={now}"))
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
        return artifact, [_edited(f"input program's {part}", f"unchanged by {edge}", "changed") for part in parts]

    def _revived(self, engine: Engine, stage: Stage) -> Artifact:
        """The stage's artifact, made again where it was spoiled."""
        if stage.artifact is None:
            parent = self._stages[engine.name, stage.mode.parent] if stage.mode.parent else None
            stage.artifact, _ = self._artifact_of(engine, stage.mode, parent)
        artifact: Artifact = stage.artifact
        return artifact

    def _record(self, artifact: Artifact, mode: Mode) -> Record:
        with preserved_globals(), quiet():
            program = getattr(artifact, "program", None)
            exported = program if isinstance(program, ExportedProgram) else None
            run = artifact.callable()
            module = run if isinstance(run, torch.nn.Module) else None
            record = Record(
                observations=(),
                state=state_of(module) if module is not None else None,
                call_spec=call_spec_of(exported) if exported is not None else None,
                program=self._program(exported, mode) if exported is not None else None,
                modules=module_types_of(module) if module is not None and exported is None else {},
                saved=getattr(artifact, "saved", {}),
                resaved=_resaved(artifact, mode),
            )
        return replace(record, observations=self._observe(run, like=self._oracle.observations[0]))

    def _program(self, program: ExportedProgram, mode: Mode) -> ProgramRecord:
        """A program as data, with a run of its nodes where the contract asks for one."""
        runs: tuple[NodeRun, ...] = ()
        if contract_for(mode.stages[-1]).get("val") == "run":
            seed_everything(self._seed)
            runs = node_runs(program, self._subject.example, self._declared)
        return program_of(program, declared=self._declared, runs=runs)

    def _eager(self) -> Record:
        module, example = self._subject.fresh_module(), self._subject.example
        observations = self._observe(module)
        spec = call_spec_of_call(module, example.args, example.kwargs, observations[0].structure)
        return Record(
            observations=observations, state=state_of(module), call_spec=spec, modules=module_types_of(module)
        )

    def _observe(self, run: Callable[..., Any], like: Observation | None = None) -> tuple[Observation, ...]:
        snapshot = ModuleSnapshot(run, self._subject.pristine) if isinstance(run, torch.nn.Module) else None
        return observe(run, self._calls, snapshot=snapshot, seed=self._seed, context=self._case.context, like=like)

    @contextmanager
    def _weights_intact(self) -> Iterator[None]:
        """Programs share the subject's weights: a stage that edits them must not spoil what is run after it."""
        try:
            yield
        finally:
            self._guard.restore()

    def _context(self) -> AbstractContextManager[Any]:
        return self._case.context() if self._case.context else nullcontext()


@contextmanager
def _pinned_threads(number: int) -> Iterator[None]:
    """One number of threads for all runs that are compared: it changes what models compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def _alignment(edge: str, before: ProgramRecord | None, after: ProgramRecord | None) -> Alignment | None:
    how = ALIGNMENT.get(column_of(edge))
    return align(before, after, how) if how and before is not None and after is not None else None


def _unjudged(mode: Mode, record: Record) -> Iterator[str]:
    """What no check could look at, though the program's own call returned."""
    runs = record.program.runs if record.program and not record.observations[0].raised else ()
    for run in runs[:1]:  # at other sizes a program may refuse its inputs
        if run.stopped:
            yield f"{mode}: val is judged up to {run.stopped.place} only, which cannot run by itself ({run.stopped.error})"


def _resaved(artifact: Artifact, mode: Mode) -> Mapping[str, str]:
    """What saving again writes, where the mode saves for the second time."""
    resave = getattr(artifact, "resave", None)
    repeated = len(mode.stages) > 2 and mode.stages[-1] == mode.stages[-2]
    return resave() if resave is not None and repeated else {}


def _raised(stage: str, what: str, error: BaseException, logged: Sequence[str]) -> Finding:
    return Finding(
        check="stage",
        place=stage,
        kind="raised",
        expected=what,
        actual=str(raised_from(error)),
        detail="\n".join(f"torch logged: {line}" for line in logged),
    )


def _edited(what: str, expected: str, actual: str) -> Finding:
    return Finding(check="stage", place=what, kind="edited", expected=expected, actual=actual)
