"""The module of a bundle: how it is built again, by the factory of the case or from a pickle."""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from pytest_exportcheck.bundles.inputs import loads_plainly
from pytest_exportcheck.bundles.sources import Sources, sources_of
from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.harness.setup import PreparedCase
from pytest_exportcheck.harness.slots import slots_of
from pytest_exportcheck.harness.tensors.writes import write_back
from pytest_exportcheck.records import Case, StoredModule

#: Names of the files, and of the folder of copied sources.
STATE, PICKLED, SOURCE = "state.pt", "module.pt", "source"


@dataclass(frozen=True)
class SavedModule:
    """A module that can be built again: how, the content of its file, and the sources to copy."""

    stored: StoredModule
    content: Mapping[str, bytes]
    files: Mapping[str, Path]


def saved_module(case: Case, prepared: PreparedCase) -> SavedModule:
    """Store the module of a case: the name of its factory and its state, or the module itself, pickled.

    Raises
    ------
    BundleError
        When neither is possible, with the reason.
    """
    factory = name_of(case.build)
    state = _state(prepared) if factory else None
    if state is not None and loads_plainly(state):
        names = {factory.partition(":")[0], *_classes(prepared.module)}
        return _saved(sources_of(names), {STATE: state}, factory)
    try:
        buffer = io.BytesIO()
        torch.save(prepared.fresh_module(), buffer)
        names = _names_in(buffer)
    except Exception as error:  # a class in its own words
        why = "its factory has no name that can be imported" if not factory else "its state cannot be loaded as weights"
        first = str(error).strip().partition("\n")[0]
        raise BundleError(
            f"{why}, and the module cannot be pickled ({type(error).__name__}: {first}). Declare the case on a class or a "
            "function at the top of a file"
        ) from error
    return _saved(sources_of(names), {PICKLED: buffer.getvalue()}, "")


def _saved(sources: Sources, content: Mapping[str, bytes], factory: str) -> SavedModule:
    stored = StoredModule(factory=factory, files=tuple(sorted(sources.files)), needs=sources.needs)
    return SavedModule(stored, content, sources.files)


def name_of(value: Any) -> str:
    """Return ``module:name`` of a class or a function; empty where it cannot be imported by a name."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return ""
    try:
        return f"{module}:{name}" if attrgetter(name)(sys.modules[module]) is value else ""
    except (AttributeError, KeyError):  # local to a function
        return ""


def named(name: str) -> Any:
    """Import what ``module:name`` names.

    Raises
    ------
    BundleError
        When it cannot be imported.
    """
    module, _, path = name.partition(":")
    try:
        return attrgetter(path)(import_module(module))
    except Exception as error:
        raise BundleError(f"{name} cannot be imported ({type(error).__name__}: {error})") from error


def _classes(module: torch.nn.Module) -> set[str]:
    return {type(each).__module__ for each in module.modules()}


def _state(prepared: PreparedCase) -> bytes | None:
    """Return the tensors of the module by the names of their places; None where they cannot be saved."""
    buffer = io.BytesIO()
    try:
        tensors = {name: value.detach() for name, value in prepared.pristine.items() if isinstance(value, torch.Tensor)}
        torch.save(tensors, buffer)
    except Exception:  # a tensor subclass in its own words
        return None
    return buffer.getvalue()


def _names_in(buffer: io.BytesIO) -> set[str]:
    """Return the modules that a pickle names, which loads it."""
    found: set[str] = set()

    class Noting(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found.add(module)
            return super().find_class(module, name)

    buffer.seek(0)
    noting = SimpleNamespace(Unpickler=Noting, load=pickle.load, __name__="pickle")
    torch.load(buffer, weights_only=False, pickle_module=noting)
    return found


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Import from the copied sources inside, before anything else.

    Modules that were imported from the same text are used: classes that exist twice are not equal. Otherwise modules of
    the same names are put aside.
    """
    source = folder / SOURCE
    files = {_module_name(each.relative_to(source)): each for each in sorted(source.rglob("*.py"))}
    parts = {name.partition(".")[0] for name in files}
    others = not all(_is_imported(name, path) for name, path in files.items() if name in sys.modules)
    aside = {name: sys.modules.pop(name) for name in list(sys.modules) if others and name.partition(".")[0] in parts}
    sys.path.insert(0, str(source))
    try:
        yield
    finally:
        sys.path.remove(str(source))
        for name in [name for name in sys.modules if aside and name.partition(".")[0] in parts]:
            del sys.modules[name]
        sys.modules.update(aside)


def _module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _is_imported(name: str, path: Path) -> bool:
    file = Path(getattr(sys.modules[name], "__file__", None) or "")
    return file.is_file() and file.read_bytes() == path.read_bytes()


def factory_of(folder: Path, stored: StoredModule) -> Callable[[], torch.nn.Module]:
    """Return a function that builds the module of a bundle again."""
    return functools.partial(_built, folder, stored)


def _built(folder: Path, stored: StoredModule) -> torch.nn.Module:
    if not stored.factory:
        module: torch.nn.Module = torch.load(folder / PICKLED, weights_only=False)
        return module
    made = named(stored.factory)()
    module = made[0] if isinstance(made, tuple) else made
    state = torch.load(folder / STATE, weights_only=True)
    with torch.no_grad():
        for slot in slots_of(module):
            if slot.name in state:
                write_back(slot.tensor, state[slot.name])
    return module
