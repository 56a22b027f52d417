"""The calls that every package gets besides the example: other layouts, dtypes and sizes, each once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_exportcheck.engines.protocol import Engine, StageArtifact
from pytest_exportcheck.errors import RuntimeCrashed, RuntimeHung
from pytest_exportcheck.fuzz.perturbations import IN_CHANNELS_LAST, variations_of, varied
from pytest_exportcheck.harness.isolation import quiet, type_name
from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import CHANNELS_LAST
from pytest_exportcheck.records import Cause, Finding, Inputs, Observation, Raised
from pytest_exportcheck.run.observed_case import ObservedCase
from pytest_exportcheck.run.package_calls import Compare, converting, package_caller
from pytest_exportcheck.run.samples import Samples

#: The errors of packages that end their process, or have to be stopped.
_ENDED = frozenset({type_name(RuntimeCrashed), type_name(RuntimeHung)})

#: The groups of variations that are tried.
_GROUPS = ("layout", "dtype")


@dataclass(frozen=True, eq=False, kw_only=True)
class VariedCall:
    """A call. ``declared``: the package must accept it; None where the case leaves that to the capture. ``undeclared``
    says how the inputs differ from those that the case declares.
    """

    inputs: Inputs
    declared: bool | None
    undeclared: str = ""


@dataclass(frozen=True, eq=False)
class RuntimeCalls:
    """The further calls of the packages of one case, the same for all runtimes. ``also`` are groups of variations that
    are tried on request.
    """

    observed: ObservedCase
    samples: Samples
    also: frozenset[str] = frozenset()

    def made(
        self, engine: Engine, mode: Mode, artifact: StageArtifact, compare: Compare
    ) -> tuple[list[Finding], list[str]]:
        """Return the findings of the calls, and what the package refuses as notes.

        A call that the package accepts must yield what eager does. One that it refuses is a note, unless the case
        declares it. One that ends or stops its process is a finding, and the last call.
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
                    found += [_of_undeclared(each, call.undeclared) for each in compare(call.inputs, before, after)]
                elif after.raised.type in _ENDED:
                    found.append(_ended(before, after.raised))
                    break  # the package is no longer loaded
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
        for group in sorted({*_GROUPS, *self.also}):
            for place, variation in variations_of(example, frozenset({group})):
                how = CHANNELS_LAST if variation.name == IN_CHANNELS_LAST else group
                how = how if group in _GROUPS else ""  # a case declares no values, so that all of them are declared
                yield VariedCall(inputs=varied(unnamed, place, variation), declared=None, undeclared=how)
        for call in self.samples.calls:
            how = "size" if call.declared is False else ""
            yield VariedCall(inputs=call.inputs, declared=call.declared, undeclared=how)


def _of_undeclared(finding: Finding, how: str) -> Finding:
    """Return a finding with the circumstance that the case does not declare the inputs."""
    return replace(finding, causes=(*finding.causes, Cause("undeclared_inputs", how))) if how else finding


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


def _ended(before: Observation, raised: Raised) -> Finding:
    return Finding.of("outputs").at(
        "the call", "raised", "", "outputs, or an error", raised, error=raised, on=(before.site,)
    )


def _refused(before: Observation, raised: Raised) -> Finding:
    return Finding.of("sizes").at(
        "the call", "narrowed", "", "accepted: the case declares these sizes", raised, error=raised, on=(before.site,)
    )
