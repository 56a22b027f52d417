"""A recorder of the ATen operators that a callable runs, with digests of what they take and yield."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from pytest_exportcheck.harness._torch import (
    OpOverload,
    TorchDispatchMode,
    current_backward,
    pytree,
    schema_of_operator,
)
from pytest_exportcheck.harness.fingerprint import content_digest
from pytest_exportcheck.harness.isolation import is_users_file
from pytest_exportcheck.harness.tensors import UNREADABLE, detached_clone
from pytest_exportcheck.locate.nearby import MOST_INPUTS, nearest
from pytest_exportcheck.locate.sides import SteppedRun
from pytest_exportcheck.records import NearNode

#: Operators whose results have no values yet.
_EMPTY = frozenset(
    {"aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty", "aten::new_empty_strided"}
)


#: The name of a value that no operator of a run made.
_GIVEN = "given"


@dataclass(frozen=True)
class Owner:
    """The code that an operator was called for: the node of a program, or a line of the user in a module. ``backward``
    is the name of the autograd node, for an operator of backward.
    """

    node: torch.fx.Node | None = None
    line: str = ""
    module: str = ""
    backward: str = ""


@dataclass(frozen=True)
class Event:
    """A call of an operator: the digests of the tensors that it took and yielded, those that it wrote to included.
    ``size`` is that of what it yielded, in bytes.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    plain: str
    owner: Owner
    size: int = 0


@dataclass(eq=False)
class Recorded:
    """The operators of a run, and the digests of its results. ``kept`` has the values of the events that were asked
    for, ``nonfinite`` those of them that made NaN or infinities of finite tensors; ``held`` the names of the placeholders
    of a program, or of the state of a module, by the digests of what they hold.
    """

    events: list[Event] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    results: dict[str, str] = field(default_factory=dict)
    kept: dict[int, Any] = field(default_factory=dict)
    nonfinite: set[int] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)

    @property
    def known(self) -> set[str]:
        """Return the digests of all values that the run ever had."""
        return self.given | {each for event in self.events for each in (*event.inputs, *event.outputs)}


#: A run of a callable. It enters the context around the call itself, and returns the results by place.
Run: TypeAlias = Callable[[AbstractContextManager[Any]], Mapping[str, Any]]


def record(run: Run, root: Any, keep: Collection[int] = ()) -> Recorded:
    """Run a callable under the recorder. ``root`` is the module whose submodules are named."""
    recorded = Recorded()
    results = run(Recorder(recorded, keep, root))
    recorded.results = {place: _digest(value) for place, value in results.items() if isinstance(value, torch.Tensor)}
    return recorded


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The mode that records. ``made_by`` has the nodes that made the functions of backward, as far as they are known."""

    supports_higher_order_operators = True

    def __init__(self, recorded: Recorded, keep: Collection[int], root: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorded = recorded
        self._keep = keep
        self._modules: list[str] = []
        self._hooks = ExitStack()
        self._root = root
        self.made_by: Mapping[Any, torch.fx.Node] = {}

    def program(self, run: SteppedRun) -> None:
        """Note what the placeholders of a program hold, and which nodes make the functions of its backward."""
        self.made_by = run.made_by
        names = [node.name for node in run.graph.nodes if node.op == "placeholder"]
        for name, value in zip(names, run.inputs, strict=False):
            if isinstance(value, torch.Tensor):
                self._recorded.held.setdefault(_digest(value), name)

    def __enter__(self) -> Any:
        self._hooks.enter_context(_modules_watched(self._root, self._modules))
        for name, tensor in _state_of(self._root):
            self._recorded.held.setdefault(_digest(tensor), name)
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        self._hooks.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = pytree.tree_leaves((args, kwargs))
        inputs = tuple(_digest(each) for each in leaves if isinstance(each, torch.Tensor))
        result = func(*args, **kwargs)
        yielded = [*pytree.tree_leaves(result), *_written(func, args, kwargs)]
        tensors = [each for each in yielded if isinstance(each, torch.Tensor)]
        events = self._recorded.events
        if len(events) in self._keep:
            self._recorded.kept[len(events)] = [detached_clone(each) for each in tensors]
            given = [each for each in leaves if isinstance(each, torch.Tensor)]
            if all(map(_is_finite, given)) and not all(map(_is_finite, tensors)):
                self._recorded.nonfinite.add(len(events))
        outputs = () if _is_empty(func) else tuple(map(_digest, tensors))
        plain = repr([each for each in leaves if not isinstance(each, torch.Tensor)])
        events.append(Event(str(func), inputs, outputs, plain, self._owner(), sum(map(_size, tensors))))
        if _is_empty(func):
            self._recorded.given.update(map(_digest, tensors))
        return result

    def _owner(self) -> Owner:
        node, line = _calling()
        current = current_backward()
        if current is not None:
            return Owner(self.made_by.get(current), "", "", current.name())
        return Owner(node, line, self._modules[-1] if self._modules else "")


def _is_finite(tensor: torch.Tensor) -> bool:
    try:
        return bool(tensor.detach().isfinite().all())
    except UNREADABLE:
        return True


def _state_of(root: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the parameters and buffers of a module that runs graphs; those of eager are not what is searched."""
    if isinstance(root, torch.nn.Module) and any(
        isinstance(getattr(m, "graph", None), torch.fx.Graph) for m in root.modules()
    ):
        yield from root.named_parameters()
        yield from root.named_buffers()


def near_event(events: Sequence[Event], number: int) -> tuple[NearNode, ...]:
    """Return the few operators around one of a run, in their order, named by their number in the run."""
    names = [f"{_short(event.operator)} #{place}" for place, event in enumerate(events)]
    inputs: dict[str, list[str]] = {}
    maker: dict[str, str] = {}
    for name, event in zip(names, events, strict=True):
        inputs[name] = list(dict.fromkeys(maker.get(digest, _GIVEN) for digest in event.inputs))
        maker.update(dict.fromkeys(event.outputs, name))
    operators = dict(zip(names, (event.operator for event in events), strict=True))
    return tuple(
        NearNode(
            name=each,
            operator=operators[each],
            inputs=tuple(inputs[each][:MOST_INPUTS]),
            is_origin=each == names[number],
        )
        for each in nearest(inputs, names[number])
    )


def _short(operator: str) -> str:
    """Return the name of an operator without its namespace and its overload."""
    return operator.split(".")[1] if "." in operator else operator


def _is_empty(func: Any) -> bool:
    return isinstance(func, OpOverload) and schema_of_operator(func).name in _EMPTY


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _digest(tensor: torch.Tensor) -> str:
    try:
        return content_digest(tensor.detach())
    except UNREADABLE:
        return f"{type(tensor).__name__} {id(tensor)}"


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the arguments that an operator writes to; a higher-order operator does not say."""
    if not isinstance(func, OpOverload):
        return
    for number, argument in enumerate(schema_of_operator(func).arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[number] if number < len(args) else kwargs.get(argument.name)
            yield from pytree.tree_leaves(value)


def _calling() -> tuple[torch.fx.Node | None, str]:
    """Return the node that an interpreter runs, and the innermost line of the user's code, on the stack."""
    node, line = None, ""
    frame = sys._getframe(3)
    while frame is not None and (node is None or not line):
        code = frame.f_code
        if node is None and code.co_name == "run_node":
            found = frame.f_locals.get("n")
            node = found if isinstance(found, torch.fx.Node) else None
        if not line and is_users_file(code.co_filename):
            text = linecache.getline(code.co_filename, frame.f_lineno).strip()
            line = f"{code.co_filename}:{frame.f_lineno} in {code.co_name}: {text}"
        frame = frame.f_back  # type: ignore[assignment]
    return node, line


@contextmanager
def _modules_watched(root: Any, stack: list[str]) -> Iterator[None]:
    """Keep the paths of the modules that are being called in ``stack``, innermost last."""
    if not isinstance(root, torch.nn.Module):
        yield
        return
    with ExitStack() as hooks:
        for path, module in root.named_modules():
            name = f"{path} ({type(module).__name__})" if path else type(module).__name__
            enter = module.register_forward_pre_hook(lambda _, __, name=name: stack.append(name))
            leave = module.register_forward_hook(lambda *_: stack.pop() and None, always_call=True)
            hooks.callback(enter.remove)
            hooks.callback(leave.remove)
        yield
