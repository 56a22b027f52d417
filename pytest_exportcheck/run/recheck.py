"""Second comparisons where values differ and eager's own arithmetic may explain the difference.

Eager is run once more only where a comparison fails. In float64 it shows its own rounding, and ``close`` allows a small
multiple of that. Without the fast path of attention it computes what a capture computes, bit for bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import cast

import torch

from pytest_exportcheck.checks import run_checks
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.harness.exact import Context, Unmeasured, module_in_double, observe_in_double, rounding_of
from pytest_exportcheck.harness.gradients import custom_functions
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.harness.outside import Watched
from pytest_exportcheck.harness.process_state import preserved_globals, seed_everything
from pytest_exportcheck.harness.setup import PreparedCase
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.harness.tensors import copy_tree
from pytest_exportcheck.policy import BLOCKING
from pytest_exportcheck.records import Cause, Evidence, Finding, Identity, Inputs, Observation, Record, Rounding
from pytest_exportcheck.records.levels import Levels, all_at
from pytest_exportcheck.reports.wording import kind_of

#: Modules that compute attention in one kernel where no gradient is requested.
_FAST = (torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer, torch.nn.MultiheadAttention)

#: The keys of findings about values.
_VALUES = frozenset({"value", "mutation", "container_update"})
_CLOSE = frozenset({"close", "values"})


@dataclass(frozen=True)
class Rechecked:
    """Findings, and notes about the comparison that led to them."""

    findings: list[Finding]
    notes: tuple[str, ...] = ()


class EagerAgain:
    """The module of a case, for calls under other circumstances. It is copied to float64 once, when that is first
    needed.

    ``around`` are the values outside the module that calls change: they are put back after each series.
    """

    def __init__(self, subject: PreparedCase, context: Context | None, seed: int, around: Watched) -> None:
        self._subject = subject
        self._context = context
        self._seed = seed
        self._around = around

    def under(self, context: Context) -> EagerAgain:
        """Return the same module, to be called in another context."""
        other = copy.copy(self)
        other._context = context
        return other

    @cached_property
    def fast(self) -> str:
        """Return the outermost kind of module that has a fast path; empty where there is none, or where the fast path
        is switched off.
        """
        kinds = [kind for kind in _FAST if any(isinstance(each, kind) for each in self._subject.module.modules())]
        return f"nn.{kinds[0].__name__}" if kinds and torch.backends.mha.get_fastpath_enabled() else ""

    @cached_property
    def _in_double(self) -> torch.nn.Module:
        return module_in_double(self._subject.module)

    def exactly(self, calls: Sequence[Inputs], *, gradients: bool) -> tuple[Observation, ...]:
        """Call the module in float64.

        Raises
        ------
        Unmeasured
            When the module or the inputs cannot be converted.
        """
        if not self._subject.copied:
            raise Unmeasured("the module cannot be copied to float64")
        try:
            with preserved_globals(), quiet():
                module = self._in_double
                return observe_in_double(module, calls, seed=self._seed, context=self._context, gradients=gradients)
        except Exception as error:  # the module or an input in its own words
            raise Unmeasured(f"eager cannot run in float64: {type(error).__name__}") from error
        finally:
            self._around.restore()

    @cached_property
    def own_backward(self) -> tuple[str, ...]:
        """Return the ``torch.autograd.Function`` classes that the module calls: a program does not keep their
        ``backward()``.
        """
        module, call = self._subject.fresh_module(), self._subject.example
        snapshot = ModuleSnapshot(module, self._subject.pristine)
        args, kwargs = copy_tree((call.args, dict(call.kwargs)))
        with preserved_globals(), quiet():
            seed_everything(self._seed)
            try:
                with self._context() if self._context else nullcontext():
                    return custom_functions(pytree.tree_leaves(module(*args, **kwargs)))
            finally:
                snapshot.restore()
                self._around.restore()

    def slowly(self, calls: Sequence[Inputs], *, gradients: bool) -> tuple[Observation, ...]:
        """Call the module without the fast path of attention."""
        module = self._subject.fresh_module()
        snapshot = ModuleSnapshot(module, self._subject.pristine)
        with without_fast_path():
            return observe(
                module,
                calls,
                snapshot=snapshot,
                seed=self._seed,
                context=self._context,
                gradients=gradients,
                watched=(self._around,),
            )


class Recheck:
    """A check on evidence of some calls of eager, which runs again where eager's own arithmetic may explain a
    finding.
    """

    def __init__(self, again: EagerAgain, eager: Record, calls: Sequence[Inputs]) -> None:
        self._again = again
        self._eager = eager
        self._calls = calls[: len(eager.observations)]
        self._gradients = any(each.gradients is not None for each in eager.observations)

    def checked(self, check: Callable[[Evidence], list[Finding]], evidence: Evidence) -> Rechecked:
        """Return the findings of ``check`` that neither eager's own rounding nor its fast path explains."""
        findings = check(evidence)
        own_backward = self._again.own_backward if _differs_in_gradients(evidence, findings) else ()
        if own_backward:
            evidence = replace(evidence, contract={**evidence.contract, "gradients": "values"})
            findings = check(evidence)
        if _fails_closely(evidence, findings):
            evidence = self._with_rounding(evidence)
            findings = check(evidence)
        found = self._without_fast_path(evidence, findings)
        return _with_own_backward(found, own_backward) if own_backward else found

    def _without_fast_path(self, evidence: Evidence, findings: list[Finding]) -> Rechecked:
        """Disable eager's fast path, if it may explain the findings."""
        aside = [each for each in findings if _is_of_a_path(each)]
        if evidence.before is not evidence.module or not aside or not self._again.fast:
            return Rechecked(findings)
        if any(each.raised for each in self._slow.observations):
            return Rechecked(findings)
        return self._on_either_path(evidence, findings)

    @cached_property
    def _rounding(self) -> tuple[Mapping[str, Rounding], str]:
        """Return eager's own rounding by the label of the call, and the reason where it is not known."""
        return self._measured(self._eager.observations)

    def _measured(self, observations: Sequence[Observation]) -> tuple[Mapping[str, Rounding], str]:
        found: dict[str, Rounding] = {}
        try:
            exact = self._again.exactly(self._calls, gradients=self._gradients)
            for call, eager, wide in zip(self._calls, observations, exact, strict=False):
                if not eager.raised:
                    found[call.label] = rounding_of(eager, wide)
        except Unmeasured as reason:
            return found, str(reason)
        except Exception as error:  # a tensor without the operators that a distance takes
            return found, f"the rounding of eager cannot be measured: {type(error).__name__}"
        return found, ""

    def _with_rounding(self, evidence: Evidence) -> Evidence:
        rounding, unmeasured = self._rounding
        return replace(evidence, rounding=rounding, unmeasured=unmeasured)

    # --- the fast path of attention ---------------------------------------------------------

    @cached_property
    def _slow(self) -> Record:
        """Return eager without the fast path of attention."""
        return replace(self._eager, observations=self._again.slowly(self._calls, gradients=False))

    def _on_either_path(self, evidence: Evidence, findings: Sequence[Finding]) -> Rechecked:
        """Return the findings that hold against eager with the fast path and without it, or where the two give
        different values.
        """
        contract = cast(Levels, {name: level for name, level in evidence.contract.items() if name in BLOCKING})
        between = replace(evidence, after=self._slow, contract=all_at(contract, "bits"), tolerance=None)
        moved = [each for each in run_checks(between) if _is_of_a_path(each)]
        if not moved:
            return Rechecked(list(findings))
        apart = _keys(self._apart(replace(between, contract=all_at(contract, "close"), tolerance=evidence.tolerance)))
        wrong = self._against_slow(replace(evidence, before=self._slow, module=self._slow, contract=contract))
        if not has_fused_attention(evidence.after):  # a program that has a kernel is nearer to the fast path
            findings = [*map(partial(self._as_shown_by, {each.identity: each for each in wrong}), findings)]
        kept = list(self._kept(findings, _keys(wrong), apart))
        forgiven = len(kept) < len(findings)
        return Rechecked(kept, (self._note(moved),) if forgiven else ())

    def _as_shown_by(self, wrong: Mapping[Identity, Finding], finding: Finding) -> Finding:
        """Return the same finding as a comparison with eager without the fast path shows it."""
        if not _is_of_a_path(finding) or finding.identity not in wrong:
            return finding
        other = wrong[finding.identity]
        return replace(other, detail="\n".join(filter(None, [other.detail, _WITHOUT.format(self._again.fast)])))

    def _kept(self, findings: Iterable[Finding], wrong: set[Identity], apart: set[Identity]) -> Iterator[Finding]:
        """Yield the findings that hold whichever path eager takes, and those of values that the two paths do not
        share.
        """
        for each in findings:
            if not _is_of_a_path(each) or each.identity in wrong:
                yield each
            elif each.identity in apart and _is_of_values(each):
                yield replace(each, detail="\n".join(filter(None, [each.detail, _APART.format(self._again.fast)])))

    def _apart(self, evidence: Evidence) -> list[Finding]:
        """Return the differences between the two paths of eager that rounding does not explain."""
        found = run_checks(evidence)
        return run_checks(self._with_rounding(evidence)) if _fails_closely(evidence, found) else found

    def _against_slow(self, evidence: Evidence) -> list[Finding]:
        """Return the differences from eager without the fast path. A program with a kernel of the fast path may differ
        by rounding.
        """
        found = run_checks(evidence)
        if not (evidence.tolerance is None and has_fused_attention(evidence.after) and any(map(_is_of_a_path, found))):
            return found
        rounding, unmeasured = self._measured_slowly
        levels = all_at(evidence.contract, "rounding")
        return run_checks(replace(evidence, contract=levels, rounding=rounding, unmeasured=unmeasured))

    @cached_property
    def _measured_slowly(self) -> tuple[Mapping[str, Rounding], str]:
        with without_fast_path():
            return self._measured(self._slow.observations)

    def _note(self, moved: Sequence[Finding]) -> str:
        shown = next((each for each in moved if _is_of_values(each)), moved[0])
        return _NOTE.format(
            self._again.fast, shown.place, shown.detail.partition("\n")[0] if _is_of_values(shown) else kind_of(shown)
        )


_BACKWARD = "forward() calls torch.autograd.Function ({0}), and a program does not keep its backward()"
_NOTE = (
    "eager takes the fast path of {0}, but a capture may not. Programs are compared with eager without the fast path, from which eager "
    "with it differs ({1}: {2}). To switch it off: torch.backends.mha.set_fastpath_enabled(False)"
)
_WITHOUT = (
    "Expected is what eager computes without the fast path of {0} (torch.backends.mha.set_fastpath_enabled(False))."
)
_APART = (
    "Eager takes the fast path of {0}, which gives other values here (with a padding mask an encoder returns zeros at padded "
    "positions). Without it, eager computes what the program computes: build the encoder with enable_nested_tensor=False, or call "
    "torch.backends.mha.set_fastpath_enabled(False)."
)


def _keys(findings: Iterable[Finding]) -> set[Identity]:
    return {each.identity for each in findings}


def _is_of_a_path(finding: Finding) -> bool:
    """Return True if another way to compute the same values may lead to a finding of this kind."""
    return finding.check in BLOCKING and (_is_of_values(finding) or finding.key == "stride")


def _differs_in_gradients(evidence: Evidence, findings: Iterable[Finding]) -> bool:
    """Return True if a capture has other gradients than eager, bit for bit."""
    at_capture = evidence.before is evidence.module and evidence.contract.get("gradients") == "bits"
    return at_capture and any(each.check == "gradients" for each in findings)


def _with_own_backward(found: Rechecked, functions: Sequence[str]) -> Rechecked:
    """Name the functions whose ``backward()`` a program does not keep: in the findings about gradients, or in a
    note.
    """
    said = _BACKWARD.format(", ".join(functions))
    if not any(each.check == "gradients" for each in found.findings):
        return replace(found, notes=(f"{said}: gradients of the capture are compared within rounding", *found.notes))
    causes = tuple(Cause("autograd_function", name) for name in functions)
    return replace(
        found,
        findings=[
            replace(each, causes=(*each.causes, *causes)) if each.check == "gradients" else each
            for each in found.findings
        ],
    )


def _is_of_values(finding: Finding) -> bool:
    return finding.change == "changed" and finding.key in _VALUES


def _fails_closely(evidence: Evidence, findings: Iterable[Finding]) -> bool:
    """Return True if values that may differ by rounding differ by more than is usual."""
    if evidence.tolerance is not None or evidence.random:
        return False
    return any(_is_of_values(each) and evidence.contract.get(each.check) in _CLOSE for each in findings)


def has_fused_attention(record: Record) -> bool:
    """Return True if the program of a record computes attention in one kernel."""
    graphs = record.program.graphs.values() if record.program else ()
    return any("fused_attention" in node.facts for graph in graphs for node in graph.nodes)


@contextmanager
def without_fast_path() -> Iterator[None]:
    """Disable eager's fast path of attention."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
