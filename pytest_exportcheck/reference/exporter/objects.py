"""Script objects and opaque objects: their fakes while tracing, and their places in a program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import CustomObjArgument, InputKind, InputSpec

from pytest_exportcheck.reference._torch.objects import (
    FakeScriptObject,
    class_of_object,
    described,
    fake_class_of,
    fake_object,
    identity,
    is_opaque,
    is_script_object,
)
from pytest_exportcheck.reference._torch.values import FakeTensorMode, pytree
from pytest_exportcheck.reference.exporter.errors import NotTraceable


def is_object(value: Any) -> bool:
    """Return True for a script object and for an opaque object that operators may change."""
    return is_script_object(value) or is_opaque(value)


class Fakes:
    """The objects that a model holds, and what tracing sees in their places: fakes of script objects, one for an object
    under several names, and opaque objects themselves.
    """

    def __init__(self, mode: FakeTensorMode) -> None:
        self._mode = mode
        self._made: dict[int, tuple[Any, Any]] = {}

    def of_attribute(self, name: str, value: Any) -> Any:
        """Return what tracing sees in the place of an attribute of the model; other values as they are."""
        if not is_object(value):
            return value
        key = identity(value)
        if key not in self._made:
            self._made[key] = value, fake_of(self._mode, value, f"self.{name}")
        return self._made[key][1]

    def real(self, value: Any) -> Any:
        """Return the object that a value of the trace is in the program, None for an object that the model does not
        hold; other values as they are.
        """
        if not isinstance(value, FakeScriptObject) and not is_object(value):
            return value
        return next((real for real, fake in self._made.values() if identity(fake) == identity(value)), None)


#: The reason why an object is refused that is neither held nor given.
NOT_HELD = (
    "An operator takes an object, {}, that is neither an attribute of the model nor an argument: the program would keep "
    "one object for all calls. Make it an attribute of the model, or pass it in."
)


def fake_of(mode: FakeTensorMode, value: Any, place: str) -> Any:
    """Return the fake of a script object, which ``place`` names in messages; other values as they are. Refuse an object of
    a class without a fake class, and one from which the fake class makes no fake.
    """
    if not is_script_object(value):
        return value
    try:
        return fake_object(mode, value)
    except Exception as error:
        raise NotTraceable(_refusal(value, place, error)) from error


def _refusal(value: Any, place: str, error: Exception) -> str:
    """Return the part of the contract between a C++ class and its fake class that is missing, in words."""
    path = class_of_object(value)
    name = "::".join(path.split(".")[-2:])
    what = f"{place} is a script object, {path}, "
    if not hasattr(value, "__obj_flatten__"):
        return (
            f"{what}whose C++ class has no method __obj_flatten__, so that no fake of it can be made. Define the method in C++, "
            f'and register a fake class: @torch._library.register_fake_class("{name}").'
        )
    fake_class = fake_class_of(value)
    if fake_class is None:
        return (
            f"{what}which has no fake class, so that its methods cannot be traced. Register a class with the same methods in "
            f'Python: @torch._library.register_fake_class("{name}").'
        )
    return (
        f"{what}of which {fake_class.__qualname__}.__obj_unflatten__ makes no fake: {type(error).__name__}: {error}. It must be a "
        "classmethod that takes what __obj_flatten__ returns."
    )


#: Errors of tracing with objects, and the reasons in terms of the model.
_REASONS: tuple[tuple[str, str], ...] = (
    (
        r"Fail to match any TorchBindOverload of (\S+) ",
        "The operator {} takes an object of another class. Pass an object of the class that its schema names.",
    ),
    (
        r"(?:no kernel for \w+ on|Torchbind op) (\S+)",
        "The operator {} takes an object and has no fake kernel. Register one with torch.library.register_fake.",
    ),
    (r"'__eq__' is not implemented for (\S+)", NOT_HELD),
    (
        r"Tried to call __getattr__ with attr '(\w+)' on a FakeScriptObject",
        "The fake class of an object has no method {}. Define the method in the fake class, as the C++ class has it.",
    ),
    (
        r"'(Tensor)' object has no attribute 'constant'",
        "The model nests transforms of torch.func (jacfwd, hessian, vmap of grad), whose tensors cannot be recorded as operators. "
        "Compute the result with operators inside forward(), or move it out of the exported module.",
    ),
)


def reason_of(error: Exception) -> str:
    """Return the reason why the fake of an object could not be used, empty for other errors."""
    found = ((re.match(pattern, str(error)), text) for pattern, text in _REASONS)
    return next((text.format(match[1]) for match, text in found if match), "")


def object_argument(mode: FakeTensorMode, value: Any, traced: Any) -> CustomObjArgument:
    """Return the value of a placeholder of an object; ``traced`` is what the trace saw in its place."""
    fake = traced if isinstance(traced, FakeScriptObject) else fake_object(mode, value)
    return CustomObjArgument("", class_of_object(value), fake if isinstance(fake, FakeScriptObject) else None)


def describe_objects(module: torch.fx.GraphModule) -> None:
    """Describe the objects that operators return in the metadata of their nodes, as signatures describe inputs."""
    for part in module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            if node.op == "call_function" and "val" in node.meta:
                node.meta["val"] = described(node.name, node.meta["val"])


def placeholders_of_objects(values: Sequence[Any], nodes: Sequence[torch.fx.Node]) -> dict[int, torch.fx.Node]:
    """Map objects to their placeholders: torch makes a new Python object of a generator when an operator takes it."""
    return {identity(value): node for value, node in zip(values, nodes, strict=True) if is_object(value)}


def traced_again(mode: FakeTensorMode, program: ExportedProgram, spec: InputSpec, val: Any) -> Any:
    """Return what the graph of a program is run on again in the place of an input: ``val``, or an object as it was
    captured, which the program must hold.
    """
    if not isinstance(val, CustomObjArgument):
        return val
    name = spec.target if spec.kind is InputKind.CUSTOM_OBJ and spec.target else spec.arg.name
    value = program.constants.get(name) if val.fake_val is None else val.fake_val.real_obj
    if value is None and spec.kind is InputKind.USER_INPUT and program.example_inputs:
        users = [each for each in program.graph_signature.input_specs if each.kind is InputKind.USER_INPUT]
        value = pytree.tree_leaves(program.example_inputs)[users.index(spec)]
    if value is None:
        raise NotTraceable(
            f"the program takes an object, {val.class_fqn}, as its input {name}, and holds no example of it. Save the program "
            "together with the object, or capture it again."
        )
    return fake_of(mode, value, name)
