"""The inputs of a bundle: calls, in a file that ``torch.load(weights_only=True)`` reads where their classes allow it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.harness.tensors import copy_tree
from pytest_exportcheck.records import Inputs


@dataclass(frozen=True, eq=False, kw_only=True)
class Calls:
    """The calls that a bundle keeps: ``series`` shows the finding, ``example`` is what is captured, ``rejected`` must
    be refused.
    """

    example: Inputs
    series: Sequence[Inputs]
    rejected: Sequence[Inputs] = field(default=())


def saved_calls(calls: Calls) -> tuple[bytes, str]:
    """Return the content of ``inputs.pt``, and a sentence about it where it is not plain; empty where it is.

    Raises
    ------
    BundleError
        When an input cannot be saved at all.
    """
    plain = _plain(calls)
    content = _loadable(plain)
    if content is not None:
        return content, ""
    try:
        content = _loadable(_taken_apart(plain))
    except Exception:  # a class that pytree cannot take apart, or does not name
        content = None
    if content is not None:
        return (
            content,
            "the inputs are stored as leaves and a tree spec: to load them, import the classes of the inputs",
        )
    try:
        return _bytes(plain), "inputs.pt is pickled: it can only be loaded with weights_only=False"
    except Exception as error:  # an input in its own words
        raise BundleError(f"the inputs cannot be saved ({type(error).__name__}: {_line(error)})") from error


def read_calls(path: Path) -> Calls:
    """Read ``inputs.pt``.

    Raises
    ------
    BundleError
        When the file is missing or damaged.
    """
    try:
        try:
            found = torch.load(path, weights_only=True)
        except Exception:  # pickled, see above
            found = torch.load(path, weights_only=False)
        example, series, rejected = (list(map(_call, found[key])) for key in ("example", "calls", "rejected"))
    except FileNotFoundError:
        raise BundleError(f"{path} is missing: the bundle is incomplete. Write it again.") from None
    except Exception as error:
        raise BundleError(
            f"{path} cannot be read ({type(error).__name__}: {_line(error)}): the bundle is incomplete. Write it again."
        ) from error
    return Calls(example=example[0], series=series, rejected=rejected)


def _plain(calls: Calls) -> dict[str, Any]:
    """Return the calls as one tree, so that tensors that share storage still do; each call once."""
    made: dict[int, Any] = {}
    for each in (calls.example, *calls.series, *calls.rejected):
        if id(each) not in made:
            args, kwargs = copy_tree((tuple(each.args), dict(each.kwargs)))
            made[id(each)] = {"label": each.label, "sizes": dict(each.sizes), "args": args, "kwargs": kwargs}
    groups = {"example": [calls.example], "calls": calls.series, "rejected": calls.rejected}
    return {name: [made[id(each)] for each in group] for name, group in groups.items()}


def _taken_apart(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the calls with the leaves of their arguments, and the structure of those as text."""
    apart: dict[int, Any] = {}
    for call in (each for group in plain.values() for each in group):
        if id(call) not in apart:
            leaves, spec = pytree.tree_flatten((call["args"], call["kwargs"]))
            head = {"label": call["label"], "sizes": call["sizes"]}
            apart[id(call)] = {**head, "leaves": leaves, "spec": pytree.treespec_dumps(spec)}
    return {name: [apart[id(each)] for each in group] for name, group in plain.items()}


def _call(stored: Mapping[str, Any]) -> Inputs:
    if "spec" in stored:
        args, kwargs = pytree.tree_unflatten(stored["leaves"], pytree.treespec_loads(stored["spec"]))
    else:
        args, kwargs = stored["args"], stored["kwargs"]
    return Inputs(stored["label"], args, kwargs, tuple(stored["sizes"].items()))


def loads_plainly(content: bytes) -> bool:
    """Return True if ``torch.load(weights_only=True)`` reads a file."""
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception:  # the unpickler in its own words
        return False
    return True


def _loadable(tree: Any) -> bytes | None:
    try:
        content = _bytes(tree)
    except Exception:  # a class that cannot be pickled
        return None
    return content if loads_plainly(content) else None


def _bytes(tree: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(tree, buffer)
    return buffer.getvalue()


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
