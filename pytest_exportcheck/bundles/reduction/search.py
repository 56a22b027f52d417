"""A search for a smaller candidate: every one is made, verified against the predicate, and adopted or forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.bundles.reduction.draft import Candidate, Draft, calls_of
from pytest_exportcheck.bundles.reduction.recorded import Recording, record
from pytest_exportcheck.describe.graph_inputs import writes_to_arguments
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.harness.fingerprint import content_digest, digest_of, node_text, nodes_of
from pytest_exportcheck.harness.isolation import quiet, without_logs
from pytest_exportcheck.harness.tensors import detached_clone, same_bits
from pytest_exportcheck.harness.tensors.writes import write_back
from pytest_exportcheck.records import Inputs

_T = TypeVar("_T")

StillFails: TypeAlias = Callable[[ExportedProgram, tuple[Inputs, ...]], bool]
#: A change of a draft, in place.
Edit: TypeAlias = Callable[[Draft], None]


@dataclass(frozen=True)
class Budget:
    """The limits of a search: candidates that are run, and seconds."""

    tries: int = 600
    seconds: float = 300.0


@dataclass(eq=False)
class Search:
    """The smallest candidate so far, and what the search for it has cost. ``rejected`` are the candidates that could
    not be made or run, or showed something else.
    """

    best: Candidate
    still_fails: StillFails
    budget: Budget
    report: Callable[[str], object]
    tries: int = 0
    rejected: int = 0
    began: float = field(default_factory=time.monotonic)
    _seen: set[str] = field(default_factory=set)
    _recording: tuple[Candidate, Recording] | None = None

    @property
    def seconds(self) -> float:
        """Return the seconds since the search began."""
        return time.monotonic() - self.began

    @property
    def spent(self) -> bool:
        """Return True if the budget is used up."""
        return self.tries >= self.budget.tries or self.seconds >= self.budget.seconds

    @property
    def recording(self) -> Recording:
        """Return the values of the best candidate."""
        if self._recording is None or self._recording[0] is not self.best:
            self._recording = (self.best, record(self.best))
        return self._recording[1]

    @property
    def size(self) -> int:
        """Return the number of calls of operators of the best candidate."""
        return node_count(self.best)

    def edit(self, change: Edit) -> bool:
        """Make an edit of the best candidate, and adopt the result if it still shows the finding."""

        def edited() -> Candidate:
            draft = Draft(self.best)
            change(draft)
            return draft.finished()

        return self.offer(edited)

    def offer(self, make: Callable[[], Candidate]) -> bool:
        """Judge a candidate, and adopt it if it still shows the finding. One that was tried before is not tried again."""
        if self.spent:
            return False
        try:
            with quiet(), without_logs():
                made = make()
            mark = _mark(made)
        except Exception:  # a cut that torch does not allow: the next one is tried
            self.rejected += 1
            return False
        if mark in self._seen:
            return False
        self._seen.add(mark)
        self.tries += 1
        if not self._holds(made):
            self.rejected += 1
            return False
        self.best = made
        return True

    def _holds(self, made: Candidate) -> bool:
        try:
            with unchanged(made):
                return self.still_fails(made.program, made.calls)
        except Exception:  # of the candidate, which is another failure
            return False

    def note(self, before: int, what: str) -> None:
        """Report the progress since the program had ``before`` nodes."""
        if self.size != before:
            self.report(f"nodes: {before} -> {self.size} after {self.tries} tries, {self.seconds:.0f} s ({what})")


@contextmanager
def unchanged(candidate: Candidate) -> Iterator[None]:
    """Put back what a run of a candidate writes to its state and its inputs."""
    program = candidate.program
    given = pytree.tree_leaves([(call.args, dict(call.kwargs)) for call in candidate.calls])
    held = [*program.constants.values(), *program.buffers(), *given]
    held += program.parameters() if writes_to_arguments(program) else ()
    kept = [(value, detached_clone(value)) for value in held if isinstance(value, torch.Tensor)]
    try:
        yield
    finally:
        with torch.no_grad():
            for value, copy in kept:
                if not same_bits(value, copy):
                    write_back(value, copy)


def shed(items: Sequence[_T], drop: Callable[[Sequence[_T]], bool]) -> list[_T]:
    """Drop as many items as possible, in chunks that are halved down to single items, and return those that are left.

    ``drop`` says whether the finding remains without a chunk; it then stays dropped.
    """
    left = list(items)
    size = len(left)
    while size >= 1:
        start = 0
        while start < len(left):
            chunk = left[start : start + size]
            if drop(chunk):
                del left[start : start + size]
            else:
                start += size
        size //= 2
    return left


def node_count(candidate: Candidate) -> int:
    """Return the number of calls of operators, in subgraphs too."""
    return sum(1 for _ in calls_of(candidate.program.graph_module))


def _mark(candidate: Candidate) -> str:
    """Return a digest of all that a candidate is."""
    program = candidate.program
    held = [*program.state_dict.values(), *program.constants.values()]
    given = pytree.tree_leaves([(call.args, dict(call.kwargs)) for call in candidate.calls])
    return digest_of(
        [
            *(node_text(node) for node in nodes_of(program.graph_module)),
            repr(program.graph_signature),
            repr(program.call_spec),
            *(_text(value) for value in (*held, *given)),
        ]
    )


def _text(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return repr(value)
    strides = value.stride() if value.layout is torch.strided and not value.is_nested else ""
    return f"{content_digest(value)} {strides} {value.requires_grad}"
