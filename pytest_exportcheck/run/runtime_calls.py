"""The calls that every package gets besides the example: other layouts, dtypes and sizes, each once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_exportcheck.engines.protocol import Engine, StageArtifact
from pytest_exportcheck.fuzz.perturbations import variations_of, varied
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Finding, Inputs, Observation, Raised
from pytest_exportcheck.run.observed_case import ObservedCase
from pytest_exportcheck.run.package_calls import Compare, converting, package_caller
from pytest_exportcheck.run.samples import Samples

#: The groups of variations that are tried.
_GROUPS = frozenset({"layout", "dtype"})


@dataclass(frozen=True, eq=False, kw_only=True)
class VariedCall:
    """A call. ``declared``: the package must accept it; None where the case leaves that to the capture."""

    inputs: Inputs
    declared: bool | None


@dataclass(frozen=True, eq=False)
class RuntimeCalls:
    """The further calls of the packages of one case, the same for all runtimes."""

    observed: ObservedCase
    samples: Samples

    def made(
        self, engine: Engine, mode: Mode, artifact: StageArtifact, compare: Compare
    ) -> tuple[list[Finding], list[str]]:
        """Return the findings of the calls, and what the package refuses as notes.

        A call that the package accepts must yield what eager does. One that it refuses is a note, unless the case
        declares it.
        """
        oracle = self.observed.oracles.of(engine.name, mode)
        observer = self.observed.observer
        found: list[Finding] = []
        refused: list[str] = []
        converted: list[str] = []
        eager = observer.caller(self.observed.prepared.fresh_module(), oracle.mode)
        run = package_caller(observer, artifact, mode, oracle.record)
        compare = converting(compare, eager, self.observed.prepared.example, lambda call: converted.append(call.label))
        with preserved_globals(), quiet(), observer.weights_intact():
            for call in self._calls():
                before = eager(call.inputs)
                if before.raised:
                    continue
                after = run(call.inputs)
                if after.raised is None:
                    found += compare(call.inputs, before, after)
                elif call.declared:
                    found.append(_refused(before, after.raised))
                else:
                    refused.append(call.inputs.label)
        return found, [
            *_note(mode, "refuses", refused),
            *_note(mode, "converts to the dtypes of the example", converted),
        ]

    def _calls(self) -> Iterator[VariedCall]:
        example = self.observed.prepared.example
        unnamed = replace(example, label="")  # a label says only what differs from the example
        for place, variation in variations_of(example, _GROUPS):
            yield VariedCall(inputs=varied(unnamed, place, variation), declared=None)
        for call in self.samples.calls:
            yield VariedCall(inputs=call.inputs, declared=call.declared)


def _note(mode: Mode, what: str, labels: Sequence[str]) -> Iterator[str]:
    if labels:
        yield f"{mode} {what}: {'; '.join(_by_place(labels))}"


def _by_place(labels: Sequence[str]) -> Iterator[str]:
    """Yield the variations of each input in one text: ``args[0] as float64, in channels_last``."""
    found: dict[str, list[str]] = {}
    for label in labels:
        place, _, how = label.partition(" ")
        found.setdefault(place, []).append(how)
    for place, ways in found.items():
        yield f"{place} {', '.join(ways)}".strip()


def _refused(before: Observation, raised: Raised) -> Finding:
    return Finding.of("sizes").at(
        "the call", "narrowed", "", "accepted: the case declares these sizes", raised, error=raised, on=(before.site,)
    )
