"""Bundles without the weights of a model: random ones in their place."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import torch

from pytest_exportcheck.atomic_file import folder_beside, move
from pytest_exportcheck.bundles.folder import FINDING, README
from pytest_exportcheck.bundles.modules import PICKLED, STATE, importable
from pytest_exportcheck.bundles.programs import PROGRAM, read_program, saved_program
from pytest_exportcheck.bundles.read import Bundle, read_bundle
from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.reports.bundles import readme_text

_SEED = 0


def without_weights(bundle: Bundle, still_fails: Callable[[Bundle], bool]) -> bool:
    """Give a bundle seeded random weights, if the finding remains with them; else the bundle stays as it is, and False
    is returned. Whole numbers, such as indices and counters, are kept.

    Raises
    ------
    BundleError
        When the folder cannot be written.
    """
    beside = folder_beside(bundle.folder)
    try:
        shutil.copytree(bundle.folder, beside)
        _replace_weights(beside)
        record = replace(bundle.record, weights="random")
        (beside / FINDING).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
        (beside / README).write_text(readme_text(record), encoding="utf-8")
        if not still_fails(read_bundle(beside)):
            return False
        if not move(beside, bundle.folder):
            raise BundleError(f"{bundle.folder} changes at the same time: its weights are kept. Run it again.")
        return True
    except OSError as error:
        raise BundleError(
            f"{bundle.folder} cannot be written: {error.strerror or error}. Its weights are kept; copy it to another folder."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _replace_weights(folder: Path) -> None:
    generator = torch.Generator().manual_seed(_SEED)
    if (folder / PROGRAM).exists():
        program = read_program(folder / PROGRAM)
        _fill(program.state_dict.values(), generator)
        _fill(program.constants.values(), generator)
        (folder / PROGRAM).write_bytes(saved_program(program))
    if (folder / STATE).exists():
        state = torch.load(folder / STATE, weights_only=True)
        _fill(state.values(), generator)
        (folder / STATE).write_bytes(_bytes(state))
    if (folder / PICKLED).exists():
        with importable(folder):
            module = torch.load(folder / PICKLED, weights_only=False)
            _fill([*module.parameters(), *module.buffers()], generator)
            (folder / PICKLED).write_bytes(_bytes(module))


@torch.no_grad()
def _fill(values: Iterable[object], generator: torch.Generator) -> None:
    """Set the elements of tensors of floating point to numbers from 0.1 to 1: a variance must be positive."""
    for each in values:
        if isinstance(each, torch.Tensor) and (each.is_floating_point() or each.is_complex()):
            drawn = torch.rand(each.shape, generator=generator) * 0.9 + 0.1
            each.copy_(drawn.to(each.dtype))


def _bytes(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()
