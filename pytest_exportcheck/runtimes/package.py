"""Packages: what a runtime makes of a program, and the function that calls one in the child process."""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pytest_exportcheck.errors import RuntimeFailure, RuntimeRaised, Unsupported
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.harness.tensors import same_bits
from pytest_exportcheck.runtimes.compilation import Compiler
from pytest_exportcheck.runtimes.dependencies import missing_text
from pytest_exportcheck.runtimes.exchange import refused_leaf
from pytest_exportcheck.runtimes.interface import Interface, interface_of
from pytest_exportcheck.runtimes.process import RuntimeProcess
from pytest_exportcheck.runtimes.protocol import Fact, Runtime


@dataclass(frozen=True, eq=False)
class Package:
    """A compiled program. ``in_spec`` and ``out_spec`` are the program's; ``process`` returns the child process of the
    case; ``facts`` are about the package; ``unused`` has the names under which it is loaded and was not called yet.
    ``shipped`` is the program itself, which is not called in its place.
    """

    runtime: Runtime
    folder: Path
    interface: Interface
    in_spec: Any
    out_spec: Any
    process: Callable[[], RuntimeProcess]
    compiler: Compiler
    facts: Mapping[str, Fact] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    shipped: Any = None

    def callable(self) -> LoadedPackage:
        """Return a function of the user's arguments. The package is loaded for it: its state is that of the file."""
        return LoadedPackage(self)


class LoadedPackage:
    """A package as one function, which loads it at the first call."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._name = package.unused.pop() if package.unused else _name_of(package.runtime)
        self._was_loaded = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        package, inputs = self._package, self._flat(args, kwargs)
        process = package.process()
        if not process.has(self._name):
            if self._was_loaded:
                raise RuntimeFailure(f"the process that had loaded the package of {package.runtime.name} has ended.")
            process.load(package.runtime, package.folder, self._name)
            self._was_loaded = True
        outputs, after, _ = process.call(package.runtime.name, self._name, inputs, torch.initial_seed() % 2**63)
        expected = len(package.interface.outputs)
        if len(outputs) != expected:
            raise RuntimeFailure(
                f"the package of {package.runtime.name} returned {len(outputs)} outputs, expected {expected}."
            )
        with torch.no_grad():
            for given, now in zip(inputs, after, strict=True):
                if isinstance(given, torch.Tensor) and not same_bits(given, now):
                    given.copy_(now)
        return pytree.tree_unflatten(list(map(_own, outputs, package.interface.outputs)), package.out_spec)

    def drop(self) -> None:
        """Drop the loaded package: it is not called again."""
        self._package.process().drop(self._name)

    def _flat(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """Return the inputs in the order of the program's own."""
        spec = self._package.in_spec
        names = spec.child(1).context if spec.num_children == 2 else None
        if names is not None and set(names) == set(kwargs):
            kwargs = {name: kwargs[name] for name in names}
        leaves, given = pytree.tree_flatten((tuple(args), dict(kwargs)))
        if len(leaves) != len(self._package.interface.inputs):
            raise ValueError(
                f"the package takes {len(self._package.interface.inputs)} inputs, got {len(leaves)}: {given}."
            )
        return list(leaves)


_NUMBERS = itertools.count()


def _name_of(runtime: Runtime) -> str:
    """Return a name for a package in the child process that no other has."""
    return f"{runtime.name} {next(_NUMBERS)}"


def _own(leaf: Any, place: Any) -> Any:
    """Return an output that shares no memory with the next call; a number for a symbolic number."""
    if isinstance(leaf, torch.Tensor):
        return leaf.item() if place.kind == "number" else leaf.clone(memory_format=torch.preserve_format)
    return leaf


def compiled(
    runtime: Runtime, program: Any, folder: Path, process: Callable[[], RuntimeProcess], compiler: Compiler
) -> Package:
    """Compile a program into an empty folder, or take the package of an earlier run.

    Raises
    ------
    Unsupported
        Where an input or an output is neither a tensor nor a number, or in the words of the runtime.
    """
    interface = interface_of(program)
    for what, places in (("input", interface.inputs), ("output", interface.outputs)):
        for number, place in enumerate(places):
            if place.kind == "other":
                raise Unsupported(f"{what} {number} is an object, and {runtime.name} takes tensors and numbers.")
    for number, leaf in enumerate(pytree.tree_leaves(program.example_inputs)):
        if refused := refused_leaf(leaf):
            raise Unsupported(f"input {number} is {refused}, which cannot be given to the process of {runtime.name}.")
    name = _name_of(runtime)

    def load() -> None:
        interface.write(folder)
        try:
            process().load(runtime, folder, name)
        except RuntimeRaised as error:
            error.hint = missing_text(program)
            raise

    facts = compiler.package(runtime, program, folder, load)
    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    call_spec = program.call_spec
    facts = {"package bytes": size, **facts, **dict(_versions(runtime))}
    specs = call_spec.in_spec, call_spec.out_spec
    return Package(runtime, folder, interface, *specs, process, compiler, facts, [name], program)


def _versions(runtime: Runtime) -> Iterator[tuple[str, Fact]]:
    """Yield the versions of what a runtime needs."""
    for name in runtime.needs:
        yield f"{name} version", importlib.metadata.version(name)
