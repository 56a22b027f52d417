"""Observations: what a run of a callable did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CallSite:
    """One call of a series: its name in messages, and the sizes that were chosen for it, by the name of the dim."""

    label: str
    sizes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Inputs:
    """The arguments of one call, and the name of the call in messages. ``sizes`` are those that were chosen for it."""

    label: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    sizes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class TensorFacts:
    """The facts of a tensor besides its values. ``stride`` is None for layouts that have none."""

    type: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    layout: str
    stride: tuple[int, ...] | None
    requires_grad: bool
    has_grad_fn: bool


@dataclass(frozen=True, eq=False)
class Leaf:
    """One leaf of a pytree. ``value`` is a detached clone of a tensor, or the Python object itself."""

    place: str
    value: Any
    facts: TensorFacts | None = None


@dataclass(frozen=True)
class Raised:
    """An exception as text. ``where`` is the last line outside torch and this plugin, if there is one; ``inside`` the
    line of torch that raised, empty where that line called no further into torch, and ``function`` the function of that
    line. ``logged`` are the last lines that torch logged before.
    """

    type: str
    message: str
    where: str = ""
    inside: str = ""
    function: str = ""
    logged: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" + (f"\n(raised at {self.where})" if self.where else "")

    @property
    def detail(self) -> str:
        """Return the line of torch, for the detail of a finding: patterns are not matched with the code of torch."""
        return f"torch raised this at {self.inside}" if self.inside else ""


@dataclass(frozen=True, eq=False)
class ObjectValue:
    """An object that operators take: the name of its class, and the leaves of its state."""

    kind: str
    leaves: tuple[Leaf, ...]


@dataclass(frozen=True, eq=False)
class Update:
    """An entry of a container of the caller that a call added, removed or replaced: None where there was, or is, no
    entry.

    ``owner`` is the type of the container, ``argument`` the argument that the container is part of. With ``structure``,
    the values are the pytree context of a registered class, as text.
    """

    before: Leaf | None
    after: Leaf | None
    owner: str
    argument: str
    structure: bool = False


@dataclass(frozen=True, eq=False)
class Outside:
    """A change that a call made to something that is not a tensor of the module's state: to a plain attribute of the
    module (``in_module``), or to a value outside the module.

    ``name`` is how code writes the place (``self.calls``, ``STATE['n']``), ``what`` describes the value. With
    ``entries``, the values are the number of entries of a container; with ``added``, the place did not exist before.
    """

    name: str
    what: str
    before: Any
    after: Any
    in_module: bool
    entries: bool = False
    added: bool = False


@dataclass(frozen=True, eq=False)
class Gradients:
    """The result of backward: gradients by name of the parameter (tied names together) or place of the input; or the
    error that it raised.

    The loss is the sum of the outputs that require grad, each element weighted by a fixed number. ``raised_by`` is "the
    call" where the callable, whose outputs were observed without grad, cannot be called with it.
    """

    values: Mapping[str, Any]
    raised: Raised | None = None
    raised_by: str = "backward"


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """The distance of eager from eager in float64, in one call: its own rounding.

    ``values`` has the largest distance for each output (``output[0]``), changed input (``input args[0]``) and changed
    state tensor (``state count``), ``gradients`` for each gradient, whose largest value in float64 is in
    ``exact_gradients``. ``scale`` is the largest value among outputs, ``gradient_scale`` among all gradients: rounding
    is relative to those.
    """

    values: Mapping[str, float]
    gradients: Mapping[str, float]
    scale: float
    gradient_scale: float
    exact_gradients: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Observation:
    """The effects of one call of a callable.

    ``inputs`` holds the input leaves whose values changed, as they were after the call; ``updates`` the entries of the
    caller's containers that changed; ``outside`` the changes besides tensors of the state; ``state`` the state tensors
    that differ from before the first call, ``objects`` likewise the objects among inputs and state, ``rebound`` the attributes that hold another tensor object; ``aliases``
    pairs of places that share storage; ``generator`` a digest of the default generators' state after the call;
    ``gradients`` is None where no output requires grad, or none was requested. ``sizes`` are those that were chosen for
    the call.
    """

    label: str
    structure: Any = None
    outputs: tuple[Leaf, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    updates: Mapping[str, Update] = field(default_factory=dict)
    outside: tuple[Outside, ...] = ()
    state: Mapping[str, Any] = field(default_factory=dict)
    objects: Mapping[str, ObjectValue] = field(default_factory=dict)
    rebound: frozenset[str] = frozenset()
    aliases: frozenset[tuple[str, str]] = frozenset()
    generator: str = ""
    gradients: Gradients | None = None
    raised: Raised | None = None
    sizes: tuple[tuple[str, int], ...] = ()

    @property
    def site(self) -> CallSite:
        """Return the call, as findings name it."""
        return CallSite(self.label, self.sizes)
