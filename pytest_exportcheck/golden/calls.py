"""The calls of a golden program: inputs, and what the program did with them, in a file that
``torch.load(weights_only=True)`` reads.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.errors import GoldenError
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.harness.tensors import copy_tree, detached_clone, leaf_of
from pytest_exportcheck.records import Inputs, Leaf, ObjectValue, Observation
from pytest_exportcheck.reference.pt2.payloads.pickles import loaded


@dataclass(frozen=True, eq=False, kw_only=True)
class GoldenCalls:
    """A series of calls with what was observed, and calls that must be refused."""

    calls: Sequence[Inputs]
    observed: Sequence[Observation]
    refused: Sequence[Inputs] = ()


def plain(observed: Observation) -> Observation:
    """Return what a file keeps of an observation: outputs by place, changed inputs, changed state."""
    return Observation(
        label=observed.label,
        structure=" ".join(leaf.place for leaf in observed.outputs),
        outputs=tuple(_plain_leaf(leaf) for leaf in observed.outputs),
        inputs=dict(sorted(observed.inputs.items())),
        state=dict(sorted(observed.state.items())),
        raised=observed.raised,
        sizes=observed.sizes,
    )


def calls_bytes(calls: GoldenCalls) -> bytes:
    """Return the content of ``io.pt``.

    Raises
    ------
    GoldenError
        When an input or an output is of a class that cannot be read without running code.
    """
    observed = [plain(each) for each in calls.observed]
    if any(isinstance(leaf.value, ObjectValue) for each in observed for leaf in each.outputs):
        raise GoldenError("an output is an object, which a golden program cannot keep. Leave the case out: -k.")
    try:
        stored = {
            "calls": [
                {**_inputs(call), "outputs": _values(found), "changed": dict(found.inputs), "state": dict(found.state)}
                for call, found in zip(calls.calls, observed, strict=True)
            ],
            "refused": [_inputs(call) for call in calls.refused],
        }
        buffer = io.BytesIO()
        torch.save(stored, buffer)
        torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    except Exception as error:  # torch, or a class of the inputs, in its own words
        raise GoldenError(
            f"the inputs and outputs cannot be kept in a file that is read without running code ({type(error).__name__}: "
            f"{_line(error)}). Give the case inputs of tensors, numbers and plain containers, or leave it out: -k."
        ) from error
    return buffer.getvalue()


def read_calls(content: bytes, where: str) -> GoldenCalls:
    """Read ``io.pt``.

    Raises
    ------
    GoldenError
        When the file is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = loaded(content, where, trust=False)
        return GoldenCalls(
            calls=[_call(each) for each in found["calls"]],
            observed=[_observation(each) for each in found["calls"]],
            refused=[_call(each) for each in found["refused"]],
        )
    except Exception as error:  # the unpickler in its own words
        raise GoldenError(
            f"{where} cannot be read ({type(error).__name__}: {_line(error)}). Restore the folder "
            "or delete it; --exportcheck-update-golden writes the one of the running torch again."
        ) from error


def _plain_leaf(leaf: Leaf) -> Leaf:
    """Return a leaf without facts about gradients, and with a plain tensor."""
    return leaf_of(leaf.place, detached_clone(leaf.value)) if isinstance(leaf.value, torch.Tensor) else leaf


def _inputs(call: Inputs) -> dict[str, Any]:
    args, kwargs = copy_tree((tuple(call.args), dict(call.kwargs)))
    leaves, spec = pytree.tree_flatten((args, kwargs))
    return {
        "label": call.label,
        "sizes": dict(call.sizes),
        "leaves": leaves,
        "structure": pytree.treespec_dumps(spec),
    }


def _values(observed: Observation) -> dict[str, Any]:
    return {leaf.place: leaf.value for leaf in observed.outputs}


def _call(stored: Mapping[str, Any]) -> Inputs:
    args, kwargs = pytree.tree_unflatten(stored["leaves"], pytree.treespec_loads(stored["structure"]))
    return Inputs(stored["label"], args, kwargs, tuple(stored["sizes"].items()))


def _observation(stored: Mapping[str, Any]) -> Observation:
    outputs = tuple(leaf_of(place, value) for place, value in stored["outputs"].items())
    return Observation(
        label=stored["label"],
        structure=" ".join(stored["outputs"]),
        outputs=outputs,
        inputs=stored["changed"],
        state=stored["state"],
        sizes=tuple(stored["sizes"].items()),
    )


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
