"""Reload: a program is saved, and loaded by an interpreter that imports nothing of the user's repo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.runtimes.protocol import Fact, Loaded

_FILE = "model.pt2"


class TorchReload:
    """A file that torch saves and loads."""

    name = "reload"
    needs = ("torch",)
    extra = ""

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        import torch

        torch.export.save(program, folder / _FILE)
        return {}

    def load(self, folder: Path) -> Loaded:
        import torch

        return _flat(torch.export.load(folder / _FILE))


class ReferenceReload:
    """A file that the reference engine saves and loads."""

    name = "reload"
    needs = ("torch",)
    extra = ""

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        from pytest_exportcheck import reference

        reference.save(program, folder / _FILE)
        return {}

    def load(self, folder: Path) -> Loaded:
        from pytest_exportcheck import reference

        return _flat(reference.load(folder / _FILE))


def _flat(program: Any) -> Loaded:
    """Return a program as a function of flat lists."""
    module = program.module()

    def call(inputs: Sequence[Any]) -> Sequence[Any]:
        args, kwargs = pytree.tree_unflatten(list(inputs), program.call_spec.in_spec)
        return list(pytree.tree_leaves(module(*args, **kwargs)))

    return call
