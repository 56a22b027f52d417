"""Reload: a program is saved, and loaded by an interpreter that imports nothing of the user's repo."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_exportcheck.errors import with_message
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.runtimes.protocol import Fact, Loaded

_FILE = "model.pt2"


class _Kept(logging.Handler):
    """The last error that was logged."""

    error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.error = record.exc_info[1]


@contextmanager
def _logged_error_raised() -> Iterator[None]:
    """Raise the error that ``torch.export.load`` logs; the one that it raises says only that there was another."""
    logger, kept = logging.getLogger("torch.export"), _Kept(logging.WARNING)
    logger.addHandler(kept)
    try:
        yield
    except RuntimeError as error:
        raise _shortened(kept.error or error) from None
    finally:
        logger.removeHandler(kept)


def _shortened(error: BaseException) -> BaseException:
    """Return the innermost cause of an error, without the node that torch repeats in full."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).partition(" Unsupported target type for node Node(")[0]
    return error if text == str(error) else with_message(error, text)


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

        with _logged_error_raised():
            program = torch.export.load(folder / _FILE)
        return _flat(program)


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
