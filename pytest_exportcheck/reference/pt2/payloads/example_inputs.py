"""Example inputs: in torch's form, and, where torch's weights-only unpickler would refuse that, as leaves and a
structure.
"""

from __future__ import annotations

from typing import Any

import msgspec
import torch

from pytest_exportcheck.errors import ArchiveError, PayloadError, SerializationWarning
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, Names
from pytest_exportcheck.reference.pt2.archive.programs import OLD_EXAMPLE
from pytest_exportcheck.reference.pt2.payloads.pickles import dumped, loaded
from pytest_exportcheck.reference.pt2.treespec import describe_spec, spec_of
from pytest_exportcheck.reference.pt2.warn import warn_caller

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


def example_records(inputs: Inputs | None, names: Names) -> dict[str, bytes]:
    """Return the records: torch's, and in addition those of the plugin where torch's reader would refuse torch's
    own.
    """
    if inputs is None:
        return {names.example: b""}
    theirs = _saved(inputs)
    if theirs is not None and _is_safe(theirs):
        return {names.example: theirs}
    leaves, structure = pytree.tree_flatten(inputs)
    ours = _saved(list(leaves))
    if ours is None or not _is_safe(ours):
        kinds = ", ".join(sorted({type(leaf).__name__ for leaf in leaves if not isinstance(leaf, torch.Tensor)}))
        warn_caller(
            f"the example inputs are left out of the file: values of {kinds} can only be pickled.", SerializationWarning
        )
        return {names.example: theirs or b""}
    described = msgspec.json.encode(describe_spec(structure))
    return {names.example: theirs or b"", names.leaves: ours, names.structure: described}


def read_example(archive: ArchiveReader, names: Names, *, trust: bool = False) -> Inputs | None:
    """Return the example inputs; None where there are none. Inputs that only Python's unpickler can read need
    ``trust``, which allows the file to run code.

    Raises
    ------
    PayloadError
        For inputs that the weights-only unpickler refuses.
    ArchiveError
        For inputs that cannot be arguments.
    UnsupportedError
        For a structure of a class that does not exist here.
    """
    where = archive.label
    if names.leaves in archive and names.structure in archive:
        leaves = loaded(archive.read(names.leaves), f"{where}: {names.leaves}", trust)
        return _checked(_unflattened(leaves, archive.read(names.structure), f"{where}: {names.structure}"), where)
    record = OLD_EXAMPLE if archive.is_old else names.example
    data = archive.read(record) if record in archive else b""
    return _checked(loaded(data, f"{where}: {record}", trust), where) if data else None


def _unflattened(leaves: Any, structure: bytes, where: str) -> Any:
    try:
        described = msgspec.json.decode(structure)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveError(f"{where} is not JSON: {error}. Save the program again.") from None
    spec = spec_of(described)
    if not isinstance(leaves, list) or len(leaves) != spec.num_leaves:
        raise ArchiveError(
            f"{where} has {spec.num_leaves} leaves, but the file has other values. Save the program again."
        )
    try:
        return pytree.tree_unflatten(leaves, spec)
    except Exception as error:  # a registered class is the user's code, given what a file says
        raise ArchiveError(
            f"{where}: the example inputs cannot be rebuilt: {type(error).__name__}: {error}. Save the program again."
        ) from error


def _checked(inputs: Any, where: str) -> Inputs:
    if isinstance(inputs, tuple) and len(inputs) == 2 and isinstance(inputs[0], tuple) and isinstance(inputs[1], dict):
        return inputs
    raise ArchiveError(
        f"{where}: the example inputs must be a tuple of arguments and a dict of keyword arguments, got {type(inputs).__name__}."
    )


def _saved(value: Any) -> bytes | None:
    try:
        return dumped(value)
    except Exception:  # pickle reports in many ways that it cannot
        return None


def _is_safe(data: bytes) -> bool:
    try:
        loaded(data, "the example inputs", trust=False)
    except PayloadError:
        return False
    return True
