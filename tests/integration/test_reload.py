"""The mode ``reload``: a fresh interpreter loads what was saved, and what it lacks is named."""

from __future__ import annotations

import pytest

SHOP = """
from dataclasses import dataclass

import torch


@torch.library.custom_op("reload_shop::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


twice.register_fake(torch.empty_like)


@dataclass
class Pair:
    a: torch.Tensor
    b: torch.Tensor


torch.export.register_dataclass(Pair, serialized_type_name="reload_shop.Pair")
"""

CASES = """
import reload_shop
import torch

from pytest_exportcheck import export_case


@export_case(args=lambda: (torch.randn(2, 3),))
class Operator(torch.nn.Module):
    def forward(self, x):
        return torch.ops.reload_shop.twice(x)


@export_case(args=lambda: (reload_shop.Pair(torch.randn(2), torch.randn(2)),))
class Takes(torch.nn.Module):
    def forward(self, pair):
        return pair.a + pair.b
"""

_OPERATOR = "operator reload_shop::twice (reload_shop.py:6)"
_CLASS = "class reload_shop.Pair (reload_shop.py:14)"

#: Item -> the kind of the error, its text, and what is named.
FAILURES = {
    "Operator[torch-nonstrict-reload]": (
        "SerializeError",
        "torch._export.serde.serialize.SerializeError: We failed to resolve torch.ops.reload_shop.twice.default to an "
        "operator. If it's a custom op/custom triton op, this is usually because the custom op is not registered when "
        "deserializing. Please import the custom op to register it before deserializing. Otherwise, please file an "
        "issue on github.",
        _OPERATOR,
    ),
    "Operator[reference-nonstrict-reload]": (
        "UnsupportedError",
        "pytest_exportcheck.errors.UnsupportedError: node 'twice': the operator "
        "'torch.ops.reload_shop.twice.default' is not registered. Import the package that registers it before loading "
        "the file.",
        _OPERATOR,
    ),
    "Takes[torch-nonstrict-reload]": (
        "ModuleNotFoundError",
        "ModuleNotFoundError: No module named 'reload_shop': it is in the repository under test, from which this "
        "process imports nothing",
        _CLASS,
    ),
    "Takes[reference-nonstrict-reload]": (
        "UnsupportedError",
        "pytest_exportcheck.errors.UnsupportedError: a described pytree spec: no pytree node is registered as "
        "'reload_shop.Pair'. Import the module that registers it before loading.",
        _CLASS,
    ),
}


def test_what_a_fresh_interpreter_lacks_is_named_with_the_line_to_add(
    whole_torch: None, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(reload_shop=SHOP, case_shop=CASES)
    result = pytester.runpytest(
        "--exportcheck", "--exportcheck-engines=torch,reference", "--exportcheck-modes=nonstrict-reload"
    )
    result.assert_outcomes(failed=4)
    blocks = _blocks(result.stdout.str())
    assert blocks == {
        item: [
            f"reload raised {kind}",
            "",
            "  stage: reload: raised",
            "    expected: a program",
            f"    got:      {said}",
            "              (raised at the load of the package of reload)",
            "    the program needs more than torch; before the file is loaded, run:",
            f"      import reload_shop  # {needed}",
        ]
        for item, (kind, said, needed) in FAILURES.items()
    }


def _blocks(text: str) -> dict[str, list[str]]:
    """Return the lines of each failure up to the empty one that ends it, by the item."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("__") and line.endswith("__"):
            lines = found.setdefault(line.strip("_ "), [])
        elif line.startswith("Reproduce with"):
            lines.pop()
            lines = []
        else:
            lines.append(line)
    return found
