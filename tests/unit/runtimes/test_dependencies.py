"""The code outside torch that a saved program needs, and the lines that bring it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from pytest_exportcheck.runtimes.dependencies import missing_text

SHOP = """
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils import _pytree


@torch.library.custom_op("needed_shop::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


twice.register_fake(torch.empty_like)
library = torch.library.Library("needed_lib", "DEF")
library.define("thrice(Tensor x) -> Tensor")
library.impl("thrice", lambda x: x + x + x, "CompositeExplicitAutograd")


@dataclass
class Pair:
    a: torch.Tensor
    b: torch.Tensor


torch.export.register_dataclass(Pair)


class Named(NamedTuple):
    p: torch.Tensor


_pytree._register_namedtuple(Named, serialized_type_name="needed.Named")
"""

REGISTERED = """
from torch.utils import _pytree

from needed_classes import Held


def flatten(held):
    return [held.x], None


_pytree.register_pytree_node(Held, flatten, lambda leaves, _: Held(*leaves), serialized_type_name="needed.Held")
"""

CLASSES = """
class Held:
    def __init__(self, x):
        self.x = x
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("needed")
    for name, text in (("needed_shop", SHOP), ("needed_registered", REGISTERED), ("needed_classes", CLASSES)):
        (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    try:
        importlib.import_module("needed_registered")
        yield importlib.import_module("needed_shop")
    finally:
        sys.path.remove(str(folder))


class Twice(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return torch.ops.needed_shop.twice(x)


class Thrice(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return torch.ops.needed_lib.thrice(x)


class TakesPair(torch.nn.Module):
    def forward(self, pair: Any) -> Any:
        return pair.a + pair.b


class ReturnsNamed(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return sys.modules["needed_shop"].Named(x + 1)


class ReturnsHeld(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return {"held": sys.modules["needed_classes"].Held(torch.ops.needed_shop.twice(x))}


def needed(module: torch.nn.Module, value: Any, shop: ModuleType) -> list[str]:
    text = missing_text(torch.export.export(module, (value,)))
    folder = f"{Path(str(shop.__file__)).parent}/"
    return text.replace(folder, "").splitlines()


HEAD = "the program needs more than torch; before the file is loaded, run:"


def test_an_operator_is_named_with_the_line_that_registers_it(shop: ModuleType) -> None:
    said = needed(Twice(), torch.ones(2), shop)
    assert said == [HEAD, "  import needed_shop  # operator needed_shop::twice (needed_shop.py:9)"]


def test_an_operator_of_a_library_is_named_with_the_line_that_makes_the_library(shop: ModuleType) -> None:
    head, line = needed(Thrice(), torch.ones(2), shop)
    assert head == HEAD
    assert line == "  import needed_shop  # operator needed_lib::thrice (needed_shop.py:15)"


def test_a_class_of_inputs_is_named(shop: ModuleType) -> None:
    said = needed(TakesPair(), shop.Pair(torch.ones(2), torch.ones(2)), shop)
    assert said == [HEAD, "  import needed_shop  # class needed_shop.Pair (needed_shop.py:20)"]


def test_a_namedtuple_of_outputs_is_named(shop: ModuleType) -> None:
    said = needed(ReturnsNamed(), torch.ones(2), shop)
    assert said == [HEAD, "  import needed_shop  # class needed_shop.Named (needed_shop.py:29)"]


def test_a_class_is_named_with_the_file_that_registers_it_and_not_the_one_that_defines_it(shop: ModuleType) -> None:
    said = needed(ReturnsHeld(), torch.ones(2), shop)
    assert said == [
        HEAD,
        "  import needed_shop  # operator needed_shop::twice (needed_shop.py:9)",
        "  import needed_registered  # class needed_classes.Held (needed_registered.py:7)",
    ]


def test_a_program_that_needs_torch_only_needs_no_line() -> None:
    assert missing_text(torch.export.export(torch.nn.ReLU(), (torch.ones(2),))) == ""
