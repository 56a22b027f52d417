"""The inputs and outputs of a package: which are tensors, and the values of those that are constants of the program.

A file of the package has them as JSON, because the child process has no program.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["tensor", "number", "constant", "other"]

FILE = "interface.json"


@dataclass(frozen=True)
class Place:
    """An input or an output. ``value`` is that of a constant."""

    kind: Kind
    value: Any = None


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs in the order of the program's own."""

    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]

    def write(self, folder: Path) -> None:
        """Write the file into the folder of a package."""
        (folder / FILE).write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(folder: Path) -> Interface:
        """Read the file of a package."""
        said = json.loads((folder / FILE).read_text())
        inputs, outputs = ([Place(**each) for each in said[name]] for name in ("inputs", "outputs"))
        return Interface(tuple(inputs), tuple(outputs))

    def tensors(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the inputs that are tensors or numbers: constants are part of the program."""
        return [each for each, place in zip(inputs, self.inputs, strict=True) if place.kind != "constant"]

    def filled(self, outputs: Sequence[Any]) -> list[Any]:
        """Return all outputs, for a runtime that returns only tensors and numbers."""
        return list(self._filled(iter(outputs)))

    def _filled(self, outputs: Iterator[Any]) -> Iterator[Any]:
        for place in self.outputs:
            yield place.value if place.kind == "constant" else next(outputs)
        left = len(list(outputs))
        if left:
            raise ValueError(f"{left} more outputs than the program has")


def interface_of(program: Any) -> Interface:
    """Return the inputs and outputs of an ``ExportedProgram``."""
    signature = program.graph_signature
    inputs = [each for each in signature.input_specs if each.kind.name == "USER_INPUT"]
    outputs = [each for each in signature.output_specs if each.kind.name == "USER_OUTPUT"]
    return Interface(tuple(_place(each.arg) for each in inputs), tuple(_place(each.arg) for each in outputs))


def _place(argument: Any) -> Place:
    kind = type(argument).__name__
    if kind == "ConstantArgument":
        plain = argument.value is None or isinstance(argument.value, (bool, int, float, str))
        return Place("constant", argument.value if plain else repr(argument.value))
    if kind == "TensorArgument":
        return Place("tensor")
    return Place("number" if kind in ("SymIntArgument", "SymFloatArgument", "SymBoolArgument") else "other")
