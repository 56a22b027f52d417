"""Attributes of an ``nn.Module``: those that its author set, and the values that are compared as a whole."""

from __future__ import annotations

import torch

#: Scalars of Python itself.
ATOMS = (bool, int, float, complex, str, bytes, type(None))

#: Attributes that nn.Module keeps in every module; the module's author set all others.
_TORCHS_OWN = frozenset(vars(torch.nn.Module()))


def is_set_by_author(name: str) -> bool:
    """Return True if the attribute belongs to the module's author, as ``training`` does, and not to nn.Module or
    Python.
    """
    return name == "training" or not (name in _TORCHS_OWN or name.startswith("__"))
