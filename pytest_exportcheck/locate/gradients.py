"""Two programs, and a gradient that differs: the last pair of nodes, from the outputs, whose gradients agree.

A node that yields the same value, but no longer requires a gradient, is found on the way forward.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.harness.gradients import backward_of
from pytest_exportcheck.harness.tensors import detached_clone
from pytest_exportcheck.locate.gaps import Gap, gap_between
from pytest_exportcheck.locate.pairs import Pairs
from pytest_exportcheck.locate.results import user_outputs
from pytest_exportcheck.locate.sides import Side
from pytest_exportcheck.records import Alignment, DifferenceOrigin, Inputs, OriginKind, OriginRow


@dataclass(eq=False)
class _Graded:
    """The nodes of a run whose values require a gradient, and the gradients of their values. ``real`` are the nodes
    whose values may have one, ``returned`` those that the user gets.
    """

    requiring: set[str] = field(default_factory=set)
    real: set[str] = field(default_factory=set)
    returned: list[str] = field(default_factory=list)
    gradients: dict[str, torch.Tensor] = field(default_factory=dict)


def gradient_origin(before: Side, after: Side, alignment: Alignment, call: Inputs, rule: Rule) -> DifferenceOrigin:
    """Return the place where the gradients of two programs part in one call."""
    pairs = Pairs(before, after, alignment)
    one, other = _graded(before, call), _graded(after, call)
    compared = {group[-1] for group in pairs.made_of.values()}
    order = [
        node.name
        for node in after.graph.nodes
        if node.name in compared or (node.op == "placeholder" and node.name in pairs.partner)
    ]
    for name in order:
        if (pairs.partner[name] in one.requiring) != (name in other.requiring):
            return _origin(pairs, "detached", pairs.new_before(name) or name, name, "no gradient", call)
    differing = {name: gap for name in order if (gap := _gap(pairs, one, other, name, rule)) is not None}
    if not differing:
        return DifferenceOrigin(kind="outside", on=call.label)
    too_far = [name for name in differing if differing[name].exceeds]
    last = max(too_far, key=order.index) if too_far else max(differing, key=lambda name: differing[name].relative)
    users = [name for name in pairs.downstream(last) if last in _arguments(pairs, name)]
    new = [name for name in users if pairs.is_new(after.nodes[name])]
    culprit = (new or users or [last])[0]
    gap = differing[last]
    return _origin(pairs, "backward", culprit, last, gap.text, call, nonfinite=gap.nonfinite)


def detached_origin(side: Side, call: Inputs) -> DifferenceOrigin:
    """Return the last node, before an output without a gradient, whose inputs require one and whose value does not."""
    graded = _graded(side, call, backward=False)
    nodes = side.nodes
    lost = [
        node.name
        for node in nodes.values()
        if node.op == "call_function"
        and node.name not in graded.requiring
        and node.name in graded.real
        and any(ref.name in graded.requiring for ref in refs(node))
    ]
    upstream = _upstream(side, [name for name in graded.returned if name not in graded.requiring])
    name = next((name for name in reversed(lost) if name in upstream), "")
    node = side.named(name)
    rows = (OriginRow(node=node, difference="no gradient", inputs_agree=True),) if node else ()
    kind: OriginKind = "detached" if node else "outside"
    return DifferenceOrigin(kind=kind, after=node, rows=rows, on=call.label, near_after=side.near(name))


def _upstream(side: Side, names: list[str]) -> set[str]:
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found and name in side.nodes:
            found.add(name)
            pending += [ref.name for ref in refs(side.nodes[name])]
    return found


def _arguments(pairs: Pairs, name: str) -> set[str]:
    return {ref.name for ref in refs(pairs.after.nodes[name])}


def _gap(pairs: Pairs, one: _Graded, other: _Graded, name: str, rule: Rule) -> Gap | None:
    before, after = one.gradients.get(pairs.partner[name]), other.gradients.get(name)
    if before is None and after is None:
        return None
    if before is None or after is None:
        return Gap("no gradient" if after is None else "a gradient", float("inf"), exceeds=True)
    return gap_between(before, after, rule)


def _graded(side: Side, call: Inputs, *, backward: bool = True) -> _Graded:
    """Run a program and its backward, and keep the gradients of the values of its nodes."""
    graded = _Graded()
    run = side.run(call)
    values: dict[str, torch.Tensor] = {}
    with ExitStack() as hooks:  # programs share their parameters: no hook may stay
        for node, value in run.steps():
            if not isinstance(value, torch.Tensor):
                continue
            if value.is_floating_point():
                graded.real.add(node.name)
            if node.op == "placeholder":
                values[node.name] = value
            if value.requires_grad:
                graded.requiring.add(node.name)
                hook = value.register_hook(_keeper(graded.gradients, node.name))  # type: ignore[no-untyped-call]
                hooks.callback(hook.remove)
        graded.returned = [str(getattr(spec.arg, "name", "")) for spec in side.program.graph_signature.output_specs]
        if backward:
            found = backward_of(user_outputs(side, run.returned), list(values.values()))
            names = list(values)
            graded.gradients |= {
                names[number]: detached_clone(value) for number, value in found.items() if value is not None
            }
    return graded


def _keeper(kept: dict[str, torch.Tensor], name: str) -> Any:
    def keep(gradient: torch.Tensor) -> None:
        kept[name] = detached_clone(gradient)

    return keep


def _origin(
    pairs: Pairs, kind: Any, culprit: str, name: str, text: str, call: Inputs, *, nonfinite: bool = False
) -> DifferenceOrigin:
    after = pairs.after.named(culprit)
    rows = [OriginRow(node=after, difference=text, inputs_agree=True)] if after else []
    below = pairs.after.named(name)
    if below is not None and name != culprit:
        rows.append(OriginRow(node=below, difference=text, inputs_agree=True))
    partner = pairs.partner.get(culprit, "")
    return DifferenceOrigin(
        kind=kind,
        after=after,
        before=pairs.before.named(partner),
        rows=tuple(rows),
        nonfinite=nonfinite,
        on=call.label,
        near_before=pairs.before.near(partner),
        near_after=pairs.after.near(culprit),
    )
