"""Canaries: they fail when torch changes what a patch of a global, or a judgement by a private name, relies on."""

from __future__ import annotations

import builtins
import math
import weakref
from typing import Any, cast

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck import reference
from pytest_exportcheck.describe.operators import operator_facts
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.harness import _torch as harness_torch
from pytest_exportcheck.reference._torch import sizes, tracing, values
from pytest_exportcheck.reference.exporter.shape_env import Branch, WatchedShapeEnv

BACKENDS = ("mkldnn", "nnpack", "cudnn")


class Broken(Exception):
    """An error of the code under a patch."""


# --- the flags that say that a model is exported --------------------------------------------


def flags() -> tuple[Any, ...]:
    return (
        torch.compiler.is_compiling(),
        torch.compiler.is_exporting(),
        *(getattr(torch._C, f"_get_{name}_enabled")() for name in BACKENDS),
    )


def test_the_flags_of_torch_compiler_are_what_its_public_functions_read() -> None:
    assert (torch.compiler._is_compiling_flag, torch.compiler._is_exporting_flag) == (False, False)
    with tracing.exporting():
        assert flags() == (True, True, False, False, False)


def test_the_flags_are_restored_after_an_error() -> None:
    before = flags()
    with pytest.raises(Broken), tracing.exporting():
        raise Broken
    assert flags() == before


def test_the_flags_are_restored_when_a_backend_cannot_be_switched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: bool) -> None:
        raise Broken

    before = flags()
    (first, *_) = tracing._BACKENDS
    monkeypatch.setattr(tracing, "_BACKENDS", (first, (lambda: True, refuse)))
    with pytest.raises(Broken), tracing.exporting():
        pass
    assert flags() == before


# --- max, min and math.pow ------------------------------------------------------------------


class Extremes(torch.nn.Module):
    """Asks Python's functions about a size."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__()
        self.fails = fails

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fails:
            raise Broken
        size = x.shape[0]
        return x.new_zeros(max(size, 3) + min(size, 3)) + math.pow(size, 2)


@pytest.mark.parametrize("function", [max, min])
def test_pythons_own_functions_still_ask_a_symbol_for_its_value(function: Any) -> None:
    """The patch can go when they do not."""
    symbol = sizes.ShapeEnv().create_unbacked_symint()
    with pytest.raises(sizes.GuardOnDataDependentSymNode):
        function(symbol, 3)
    with pytest.raises(sizes.GuardOnDataDependentSymNode):
        math.pow(symbol, 2)


def test_max_min_and_pow_stay_symbolic_in_a_program() -> None:
    program = reference.export(Extremes(fails=False), (torch.ones(4),), dynamic_shapes=({0: Dim.DYNAMIC},))
    results = [program.module()(torch.ones(size)) for size in (2, 5)]
    assert [(len(each), float(each[0])) for each in results] == [(5, 4.0), (8, 25.0)]


@pytest.mark.parametrize("fails", [False, True])
def test_max_min_and_pow_are_pythons_own_again(fails: bool) -> None:
    def functions() -> tuple[Any, ...]:
        return builtins.max, builtins.min, math.pow

    before = functions()
    try:
        reference.export(Extremes(fails=fails), (torch.ones(4),), dynamic_shapes=({0: Dim.DYNAMIC},))
    except Broken:
        assert fails
    assert functions() == before


# --- finalizers that hold the guards of a capture -------------------------------------------


class Doubles(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def finalizers_of_dynamo() -> set[Any]:
    """The living finalizers that hold guards."""
    held = {each: each.peek() for each in set(weakref.finalize._registry)}  # type: ignore[attr-defined]  # private
    return {each for each, parts in held.items() if parts and harness_torch.holds_guards_of_dynamo(parts[1])}


def test_a_strict_capture_by_torch_registers_finalizers_that_are_told_by_the_name_of_their_class() -> None:
    before = finalizers_of_dynamo()
    torch.export.export(Doubles(), (torch.ones(2),), strict=True)
    left = finalizers_of_dynamo() - before
    for each in left:
        each.detach()
    assert left


@pytest.mark.parametrize("model", [Doubles(), Extremes(fails=True)], ids=["captured", "fails"])
def test_a_strict_capture_by_the_engine_leaves_no_finalizer(model: torch.nn.Module) -> None:
    before = finalizers_of_dynamo()
    try:
        TorchExport().export(model, (torch.ones(2),), strict=True)
    except Exception:
        assert isinstance(model, Extremes)
    assert finalizers_of_dynamo() <= before


# --- frames between a line of the model and the shape environment ---------------------------


def asked() -> tuple[WatchedShapeEnv, torch.Tensor, torch.Tensor]:
    """An environment that notes what it is asked, and two tensors of symbolic sizes in it."""
    env = WatchedShapeEnv()
    mode = values.FakeTensorMode(shape_env=env)
    context: Any = sizes.StatelessSymbolicContext(dynamic_sizes=[sizes.DimDynamic.DYNAMIC])
    x, y = (
        mode.from_tensor(torch.ones(size), source=tracing.ConstantSource(f"x{size}"), symbolic_context=context)
        for size in (4, 5)
    )
    return env, x, y


def places(branches: list[Branch]) -> set[tuple[str, bool]]:
    return {(each.place.rpartition(": ")[2], each.own) for each in branches}


def test_a_condition_of_the_models_line_is_told_from_one_of_an_operator() -> None:
    env, x, _ = asked()
    small = x.shape[0] < 3
    assert not small  # line of the model
    assert places(env.branches) == {("assert not small  # line of the model", True)}


def test_a_condition_that_the_models_line_states_of_a_value_is_its_own() -> None:
    env, x, _ = asked()
    value = env.create_unbacked_symint()
    torch._check(value == x.shape[0])
    torch._check(value * 2 > 5)
    assert ("torch._check(value * 2 > 5)", True) in places(env.branches)


def test_a_condition_of_an_operator_is_not_the_lines_own() -> None:
    env, x, y = asked()
    with pytest.raises(RuntimeError, match="size"):
        x.add(y)
    assert ("x.add(y)", False) in places(env.branches)
    assert not any(each.own for each in env.branches)


# --- names that are loaded or looked up late ------------------------------------------------


def test_what_the_harness_loads_late_is_there() -> None:
    assert harness_torch.exporter_below_autograd().__name__ == "_export"
    assert [each.__name__ for each in harness_torch.refusals_of_capture()] == [
        "UserError",
        "DynamicOutputShapeException",
        "DataDependentOutputException",
    ]
    assert len(harness_torch.schema_version_of_torch()) == 2


def test_the_kernels_of_fused_attention_are_operators() -> None:
    aten = torch.ops.aten
    kernels = (aten._transformer_encoder_layer_fwd.default, aten._native_multi_head_attention.default)
    assert [operator_facts(each, (), {}) for each in kernels] == [{"fused_attention"}] * 2


def test_the_default_device_is_none_until_it_is_set() -> None:
    assert harness_torch.default_device() is None
    torch.set_default_device("meta")
    try:
        assert harness_torch.default_device() == torch.device("meta")
    finally:
        torch.set_default_device(None)
    assert harness_torch.default_device() is None


def test_a_compiled_module_names_the_module_that_it_compiles() -> None:
    module = Doubles()
    assert harness_torch.compiled_module(cast("Doubles", torch.compile(module))) is module
    assert harness_torch.compiled_module(module) is None


def test_hooks_of_each_kind_are_seen() -> None:
    hooks = ("forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook")
    modules = [Doubles() for _ in hooks]
    for module, hook in zip(modules, hooks, strict=True):
        getattr(module, f"register_{hook}")(print)
    assert [harness_torch.has_hooks(module) for module in modules] == [True] * 4
    assert [harness_torch.forward_hooks(module) for module in modules] == [[print], [print], [], []]
    assert not harness_torch.has_hooks(Doubles())
