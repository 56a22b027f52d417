"""The origin of a difference: the first node, or the first operation of eager, that yields another value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

OriginKind: TypeAlias = Literal[
    "changed",  # the node yields another value from the same inputs
    "inserted",  # the program before has no such node
    "state",  # a parameter, buffer or constant holds another value
    "returned",  # every node agrees, and the program returns another one
    "detached",  # the node yields the same value, without a gradient
    "backward",  # the node yields the same value, and its backward another gradient
    "rounding",  # every node is close; this one differs most
    "raised",  # the node raises
    "unknown",  # the search failed
    "outside",  # every node agrees: signature, call spec, or what is written back
    # of packages of runtimes, which have no nodes:
    "call",  # a package of the program that is truncated at the node raises
    "input",  # the package yields another value for an input
    "contiguous",  # the package reads an input as if it were contiguous
    "between",  # the search ended when its time was over: it starts at one of the nodes from ``before`` to ``after``
    "uncompiled_between",  # the same, because the program cannot be compiled if it is truncated there
    "uncompiled",  # the program cannot be compiled if it is truncated
    "whole",  # every node agrees in truncated programs
    "stale",  # every node agrees if the package begins with the state of the call
]

#: Remarks on the search by truncation.
OriginRemark: TypeAlias = Literal[
    "alone",  # a package of the operation by itself yields another value too
    "together",  # a package of the operation by itself yields the same value
    "unchecked",  # the operation by itself was not compiled
    "fused",  # with every value as an output, every value agrees
]


@dataclass(frozen=True, kw_only=True)
class OriginNode:
    """A node of a program, or an operation of eager. ``call`` has the operator with its arguments, ``module`` the path
    and class of the module that it belongs to, ``line`` the line of user code.
    """

    name: str
    operator: str
    call: str = ""
    module: str = ""
    line: str = ""


@dataclass(frozen=True, kw_only=True)
class OriginRow:
    """A node whose value differs. ``difference`` is the largest distance of an element as text, or what else differs;
    ``inputs_agree`` says whether its inputs have the same values as before.
    """

    node: OriginNode
    difference: str
    inputs_agree: bool


@dataclass(frozen=True, kw_only=True)
class NearNode:
    """A node of the few around an origin, or an operation of eager. ``inputs`` are the names of the nodes whose values
    the node takes; some of them may not be near. ``is_origin`` marks the origin or its partner.
    """

    name: str
    operator: str
    inputs: tuple[str, ...] = ()
    is_origin: bool = False


@dataclass(frozen=True, kw_only=True)
class DifferenceOrigin:
    """The place where a difference starts. ``after`` is the node of the program after the edge, ``before`` its partner
    in the program before, or in eager; None where there is none. ``rows`` are at most five nodes that differ, the
    origin first. ``nonfinite`` says that the first NaN or infinity is made here. ``on`` is the label of the call,
    ``reason`` why the search failed. ``near_before`` and ``near_after`` are the few nodes around ``before`` and
    ``after``, in the order of their graph. ``remarks`` are on a search by truncation.
    """

    kind: OriginKind
    after: OriginNode | None = None
    before: OriginNode | None = None
    rows: tuple[OriginRow, ...] = ()
    nonfinite: bool = False
    on: str = ""
    reason: str = ""
    near_before: tuple[NearNode, ...] = ()
    near_after: tuple[NearNode, ...] = ()
    remarks: tuple[OriginRemark, ...] = ()
