"""The reduction of a program that shows a finding to a few nodes that still show it.

The order of the steps is that of their gain: first what the origin names is cut out, then outputs, last and first nodes
are dropped by bisection, then single nodes in chunks (delta debugging). Only what is left is made simpler: arguments in place of
state, smaller sizes, plainer values. Every candidate is verified, so that a step which does not suit a program costs
its tries and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from pytest_exportcheck.bundles.reduction import cuts, resized, simplify, subgraphs, values
from pytest_exportcheck.bundles.reduction.draft import Candidate, Draft
from pytest_exportcheck.bundles.reduction.search import Budget, Search, StillFails, unchanged

#: Rounds of the steps that make each other possible.
_ROUNDS = 3
#: Tries at the start, of a finding that must show again.
STARTS = 3


@dataclass(frozen=True, eq=False)
class Reduction:
    """The result: the smallest candidate, and what it cost. ``complete`` is False where the budget ended the search."""

    candidate: Candidate
    nodes_before: int
    nodes: int
    tries: int
    seconds: float
    complete: bool


def starts_failing(candidate: Candidate, still_fails: StillFails) -> int:
    """Return how often the finding shows in a few runs of the candidate as it is."""
    shown = 0
    for _ in range(STARTS):
        with unchanged(candidate):
            shown += still_fails(candidate.program, candidate.calls)
    return shown


def reduce_candidate(
    candidate: Candidate,
    still_fails: StillFails,
    *,
    origin: str = "",
    budget: Budget | None = None,
    report: Callable[[str], object] = lambda _: None,
) -> Reduction:
    """Return the smallest program that was found to show the finding, which ``candidate`` shows.

    ``origin`` is the name of the node where the difference starts. The search is deterministic as long as the budget of
    seconds lasts.
    """
    search = Search(candidate, still_fails, budget or Budget(), report)
    before = search.size
    for what, step in _steps(origin):
        size = search.size
        step(search)
        search.note(size, what)
        if search.spent:
            break
    return Reduction(search.best, before, search.size, search.tries, search.seconds, not search.spent)


def _steps(origin: str) -> list[tuple[str, Callable[[Search], object]]]:
    return [
        ("flat arguments", _flatten),
        ("unused arguments", simplify.drop_unused),
        ("one call", _one_call),
        ("cut at the origin", lambda search: _at_origin(search, origin)),
        ("static sizes", resized.make_static),
        ("outputs", cuts.drop_outputs),
        ("last nodes", cuts.cut_suffix),
        ("first nodes", cuts.cut_prefix),
        *[("single nodes", _thin)] * _ROUNDS,
        ("no gradients", simplify.without_grad),
        ("state", simplify.state_as_inputs),
        ("arguments", simplify.merge_inputs),
        ("sizes", resized.halve_sizes),
        ("values", values.plain_values),
    ]


def _thin(search: Search) -> None:
    cuts.drop_outputs(search)
    cuts.absorb(search)
    subgraphs.inline(search)
    simplify.bypass(search)


def _flatten(search: Search) -> None:
    def change(draft: Draft) -> None:
        draft.flat = True

    search.edit(change)


def _one_call(search: Search) -> None:
    """Keep one call: the first, or a later one that begins with the state that the calls before it left."""
    calls = search.best.calls
    for number in range(len(calls)) if len(calls) > 1 else ():
        state = search.recording.states[number]

        def change(draft: Draft, number: int = number, state: Mapping[str, torch.Tensor] = state) -> None:
            draft.keep_call(number, state)

        if search.edit(change):
            return


def _at_origin(search: Search, origin: str) -> None:
    name = re.split(r"[.\[]", origin)[0]
    for names in cuts.neighbourhoods(search, name):
        if cuts.cut_out(search, names):
            return
