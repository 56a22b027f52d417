"""The key of a program: a change of any part of a program shows, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck.runtimes.program_key import Uncacheable, program_key

BATCH = Dim("batch", max=8)


class Model(torch.nn.Module):
    """A model with a parameter, buffers, a constant, a branch and a number; ``changes`` has what is not as usual."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes
        self.weight = torch.nn.Parameter(torch.arange(9.0).reshape(3, 3), changes.get("requires_grad", True))
        edit: Callable[[torch.nn.Parameter], None] = changes.get("edit", lambda weight: None)
        edit(self.weight)
        self.register_buffer("one", torch.ones(3), persistent=changes.get("persistent", True))
        self.register_buffer("other", self.get_buffer("one") if changes.get("shared") else torch.ones(3))

    def forward(self, x: torch.Tensor) -> Any:
        get = self.changes.get
        if "low" in self.changes:
            x = torch.cond(x.sum() > 0, lambda each: each + get("low"), lambda each: each * 2, (x,))
        found = get("function", torch.relu)(x @ self.weight.to(x.dtype)) * get("scale", 2.0)
        if get("writes"):
            self.get_buffer("one").add_(1)
        results = found + torch.tensor([get("constant", 5.0)]), self.get_buffer("one") + self.get_buffer("other")
        return results[::-1] if get("swapped") else results


def exported(
    *,
    batch: Any = BATCH,
    example: Callable[[], torch.Tensor] = lambda: torch.ones(2, 3),
    by_name: bool = False,
    custom: str = "",
    **changes: Any,
) -> torch.export.ExportedProgram:
    args, kwargs = ((), {"x": example()}) if by_name else ((example(),), {})
    program = torch.export.export(Model(**changes).eval(), args, kwargs, dynamic_shapes={"x": {0: batch}})
    if custom:
        next(iter(program.graph.nodes)).meta["custom"] = {"note": custom}
    return program


def _next_float(weight: torch.nn.Parameter) -> None:
    weight.data[1, 1] = torch.nextafter(weight.data[1, 1], torch.tensor(9.0))


def _transposed(weight: torch.nn.Parameter) -> None:
    weight.data = weight.data.t().contiguous().t()


def _negative_zero(weight: torch.nn.Parameter) -> None:
    weight.data[0, 0] = -0.0


#: What is changed -> the part that must show it, and the change.
CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "a number in the graph": ("graph", {"scale": 2.0000000000000004}),
    "a number of another type": ("graph", {"scale": 2}),
    "an operator": ("graph", {"function": torch.sigmoid}),
    "the order of the outputs": ("graph", {"swapped": True}),
    "the last bit of a weight": ("state", {"edit": _next_float}),
    "the sign of a zero": ("state", {"edit": _negative_zero}),
    "the strides of a weight": ("state", {"edit": _transposed}),
    "the grad of a weight": ("state", {"requires_grad": False}),
    "a constant": ("state", {"constant": 6.0}),
    "two buffers with one storage": ("state", {"shared": True}),
    "a buffer that is not saved": ("signature", {"persistent": False}),
    "a buffer that is written": ("graph", {"writes": True}),
    "an input by name": ("signature", {"by_name": True}),
    "the range of a size": ("ranges", {"batch": Dim("batch", max=9)}),
    "a fixed size": ("metadata", {"batch": None}),
    "the dtype of an input": ("metadata", {"example": lambda: torch.ones(2, 3, dtype=torch.float64)}),
    "the size of the example": ("metadata", {"example": lambda: torch.ones(4, 3)}),
    "the layout of the example": ("example", {"example": lambda: torch.ones(3, 2).t()}),
    "the values of the example": ("example", {"example": lambda: torch.full((2, 3), 2.0)}),
    "metadata of a user": ("metadata", {"custom": "per channel"}),
}


@pytest.fixture(scope="module")
def usual() -> dict[str, str]:
    return program_key(exported())


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_a_program_shows(usual: dict[str, str], what: str) -> None:
    part, change = CHANGES[what]
    changed = program_key(exported(**change))
    assert part in {name for name, text in changed.items() if text != usual[name]}


def test_a_number_in_a_branch_shows() -> None:
    assert program_key(exported(low=1.0))["graph"] != program_key(exported(low=1.5))["graph"]


def test_the_same_model_has_the_same_key(usual: dict[str, str]) -> None:
    exported(scale=3.0)  # counters of torch are elsewhere
    assert program_key(exported()) == usual


@pytest.mark.slow
def test_another_process_has_the_same_key(usual: dict[str, str]) -> None:
    code = f"from {__name__} import *; print(sorted(program_key(exported()).items()))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == str(sorted(usual.items())), done.stderr[-2000:]


@torch.library.custom_op("program_key::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    """Double a tensor."""
    return x * 2


@twice.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Own:
    """A leaf that has no text of its content."""


def with_metadata(value: object) -> torch.export.ExportedProgram:
    program = exported()
    next(iter(program.graph.nodes)).meta["custom"] = value
    return program


def with_constant(value: object) -> torch.export.ExportedProgram:
    program = exported()
    program.constants["held"] = value
    return program


def with_wrapper() -> torch.export.ExportedProgram:
    program = exported()
    node = next(each for each in program.graph.nodes if each.op == "call_function")
    node.target = torch.ops.higher_order.auto_functionalized
    return program


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (lambda: exported(function=twice), "operator program_key::twice is not torch's: its code may change"),
        (lambda: with_metadata(Own()), f"an object of type {__name__}.Own is in the program"),
        (lambda: with_metadata(f"{Own()!r}"), "the text of an object has an address"),
        (lambda: with_constant(Own()), "held is not a plain tensor"),
        (lambda: with_constant(torch.ones(2).to_sparse()), "held is not a plain tensor"),
        (lambda: with_constant(torch.ones(2, device="meta")), "held is not a plain tensor"),
        (lambda: with_constant(torch.ones(2, dtype=torch.cfloat).conj()), "held is not a plain tensor"),
        (with_wrapper, "the content of auto_functionalized is not in the program"),
    ],
)
def test_a_program_whose_content_is_not_known_has_no_key(program: Callable[[], Any], reason: str) -> None:
    with pytest.raises(Uncacheable) as raised:
        program_key(program())
    assert str(raised.value).partition(": <")[0].removesuffix(":").startswith(reason)


def test_a_lowered_program_has_a_key(usual: dict[str, str]) -> None:
    lowered = program_key(exported().run_decompositions())
    assert lowered == program_key(exported().run_decompositions())
    assert lowered["graph"] != usual["graph"]
