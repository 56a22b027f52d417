"""The search for the origin of a difference in a package: truncated programs are compiled and called, for a limited time."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.bundles.reduction.draft import Candidate
from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.describe import program_of
from pytest_exportcheck.describe.graph_inputs import flat_inputs, state_value
from pytest_exportcheck.engines.protocol import StageArtifact
from pytest_exportcheck.harness.internal import call_foreign
from pytest_exportcheck.harness.process_state import seed_everything
from pytest_exportcheck.harness.tensors import copy_tree, detached_clone, same_bits
from pytest_exportcheck.locate import Refused, Side, Truncatable, Truncation
from pytest_exportcheck.locate.whole import contiguous_origin, results_by_place, whole_origin
from pytest_exportcheck.records import DifferenceOrigin, Inputs, ProgramRecord
from pytest_exportcheck.run.truncated import single, truncated
from pytest_exportcheck.runtimes.package import Package, compiled

#: Seconds that a search may take in any case, and compiles beyond those of a bisection.
_LEAST, _FURTHER = 15.0, 4


def limit_of(seconds: float, nodes: int) -> float:
    """Return the seconds that the searches of one package may take, if it took so many to compile the whole program."""
    return max(_LEAST, seconds * (math.ceil(math.log2(max(nodes, 2))) + _FURTHER))


@contextmanager
def package_search(artifact: StageArtifact, seed: int) -> Iterator[PackageSearch | None]:
    """Yield the search in the package of an artifact; None where it has none, or none with a program."""
    package = artifact.made
    if not isinstance(package, Package) or not isinstance(package.shipped, ExportedProgram):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="exportcheck-") as folder:
        yield PackageSearch(package, package.shipped, Path(folder), seed)


class PackageSearch:
    """The searches in one package. A truncated program is compiled once for all calls that begin with the same state."""

    def __init__(
        self,
        package: Package,
        program: ExportedProgram,
        folder: Path,
        seed: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._package, self._program, self._folder, self._seed = package, program, folder, seed
        self._clock = clock
        self._made: dict[tuple[str, ...], tuple[Package, tuple[str, ...]] | Refused] = {}
        self._began = clock()
        seconds = package.facts.get("compile seconds", 0.0)
        self._limit = limit_of(seconds if isinstance(seconds, (int, float)) else 0.0, len(program.graph.nodes))

    def origin(
        self, call: Inputs, state: Mapping[str, torch.Tensor], rule: Rule, *, raised: bool
    ) -> DifferenceOrigin | None:
        """Return the origin in a call that begins with a state."""
        state = self._carried(state)
        side = Side(self._program, self._record, state)
        got = None if state or raised else self._results(side, call)
        found = contiguous_origin(side, call, rule, got) if got is not None else None
        if found is not None:
            return found
        seed_everything(self._seed)
        values = Truncatable.of(side, call)
        asked = _Asked(self, values, call, state)
        search = Truncation(values, rule, asked, call.label, self._spent, raises=raised)
        found = search.origin()
        if found is not None or raised:
            return found
        if state:
            return DifferenceOrigin(kind="stale", on=call.label)
        whole = whole_origin(side, call, rule, got) if got is not None else None
        return whole or search.most_rounded() or DifferenceOrigin(kind="outside", on=call.label)

    def called(
        self, candidate: Candidate, names: Sequence[str], args: Sequence[Any] | None = None
    ) -> Mapping[str, Any] | Refused:
        """Compile a program and call it, with its own inputs unless others are given."""
        made = self._compiled(candidate)
        return made if isinstance(made, Refused) else self._run(made, names, args or candidate.calls[0].args)

    def called_again(
        self, names: Sequence[str], values: Truncatable, call: Inputs, given: Mapping[str, Any]
    ) -> Mapping[str, Any] | Refused:
        """Call a program that is truncated at these nodes, which is compiled only for the first call."""
        key = tuple(names)
        if key not in self._made:
            try:
                candidate = truncated(self._program, call, {}, names, copies=values.side.writes)
            except Exception as error:
                self._made[key] = _refused(error)
            else:
                made = self._compiled(candidate)
                self._made[key] = made if isinstance(made, Refused) else (made, _users(candidate.program))
        known = self._made[key]
        return known if isinstance(known, Refused) else self._run(known[0], names, [given[name] for name in known[1]])

    # --- packages ----------------------------------------------------------------------------

    @cached_property
    def _record(self) -> ProgramRecord:
        return program_of(self._program, declared=(), runs=())

    def _spent(self) -> bool:
        return self._clock() - self._began > self._limit

    def _carried(self, state: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Return the state, empty where it is what the program itself holds."""
        specs = self._program.graph_signature.input_specs
        own = {spec.target: state_value(self._program, spec) for spec in specs if spec.target in state}
        changed = any(
            isinstance(value, torch.Tensor) and not same_bits(value, state[name]) for name, value in own.items()
        )
        return state if changed else {}

    def _results(self, side: Side, call: Inputs) -> Mapping[str, Any] | None:
        args, kwargs = copy_tree((call.args, dict(call.kwargs)))
        run = self._package.callable()
        seed_everything(self._seed)
        try:
            outputs = run(*args, **kwargs)
        finally:
            run.drop()
        return results_by_place(side, outputs, Inputs(call.label, args, kwargs))

    def _compiled(self, candidate: Candidate) -> Package | Refused:
        package = self._package
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            return call_foreign(
                compiled, package.runtime, candidate.program, folder, package.process, package.compiler.without_cache()
            )
        except (Exception, SystemExit) as error:
            return _refused(error)

    def _run(self, package: Package, names: Sequence[str], args: Sequence[Any]) -> Mapping[str, Any] | Refused:
        run = package.callable()
        seed_everything(self._seed)
        try:
            outputs = run(*copy_tree(list(args)))
        except (Exception, SystemExit) as error:
            return _refused(error, called=True)
        finally:
            run.drop()
        values = outputs if isinstance(outputs, (tuple, list)) else [outputs]
        return {
            name: detached_clone(value) if isinstance(value, torch.Tensor) else value
            for name, value in zip(names, values, strict=True)
        }


@dataclass(frozen=True, eq=False)
class _Asked:
    """The packages that one search asks for."""

    search: PackageSearch
    program: Truncatable
    call: Inputs
    state: Mapping[str, torch.Tensor]

    def values(self, names: Sequence[str]) -> Mapping[str, Any] | Refused:
        side = self.program.side
        if not self.state:
            return self.search.called_again(names, self.program, self.call, self._given)
        try:
            candidate = truncated(side.program, self.call, self.state, names, copies=side.writes)
        except Exception as error:
            return _refused(error)
        return self.search.called(candidate, names)

    def alone(self, names: Sequence[str]) -> Mapping[str, Any] | Refused:
        program = self.program.side.program
        try:
            candidate = single(program, self.call, self.state, names, self.program.values)
        except Exception as error:
            return _refused(error)
        return self.search.called(candidate, names)

    @cached_property
    def _given(self) -> Mapping[str, Any]:
        program = self.program.side.program
        leaves = flat_inputs(program, self.call.args, self.call.kwargs)
        return dict(zip(_users(program), leaves, strict=True))


def _users(program: ExportedProgram) -> tuple[str, ...]:
    """Return the names of the inputs of the user."""
    specs = program.graph_signature.input_specs
    return tuple(str(getattr(spec.arg, "name", "")) for spec in specs if spec.kind.name == "USER_INPUT")


def _refused(error: BaseException, *, called: bool = False) -> Refused:
    first = str(error).strip().partition("\n")[0]
    return Refused(f"{type(error).__name__}: {first}", called)
