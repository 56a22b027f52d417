"""A case becomes a module and its inputs; the user's own module stays out of harm's way."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.harness.process_state import generator_digest
from pytest_exportcheck.harness.setup import set_up
from pytest_exportcheck.records import Case, Origin

ORIGIN = Origin("shop", "case_shop.py", 7)


def case(build=lambda: torch.nn.Linear(2, 2), **options):
    return Case(**{"name": "net", "build": build, "origin": ORIGIN, "args": lambda: (torch.randn(2, 2),), **options})


def message_of(given):
    with pytest.raises(CaseError) as raised:
        set_up(given, seed=0)
    return str(raised.value)


def test_one_seed_gives_one_module_and_one_pair_of_inputs():
    one, other = set_up(case(), seed=3), set_up(case(), seed=3)
    assert one.module.weight.equal(cast(torch.Tensor, other.module.weight))
    assert one.example.args[0].equal(other.example.args[0])
    assert one.fresh.args[0].equal(other.fresh.args[0])


def test_another_seed_gives_another_module():
    assert not set_up(case(), seed=3).module.weight.equal(cast(torch.Tensor, set_up(case(), seed=4).module.weight))


def test_setting_up_leaves_the_generators_alone():
    before = generator_digest()
    set_up(case(), seed=3)
    assert generator_digest() == before


def test_callable_inputs_are_drawn_again_for_fresh_ones():
    subject = set_up(case(), seed=0)
    assert sorted(subject.example.args[0].flatten().tolist()) != sorted(subject.fresh.args[0].flatten().tolist())


def test_plain_inputs_are_permuted_for_fresh_ones():
    x = torch.arange(12.0).reshape(3, 4).t()
    subject = set_up(case(args=(x, 5), kwargs={"mask": torch.arange(9)}), seed=0)
    permuted, number = subject.fresh.args
    assert not permuted.equal(x)
    assert sorted(permuted.flatten().tolist()) == list(range(12))
    assert (permuted.stride(), number) == (x.stride(), 5)
    assert sorted(subject.fresh.kwargs["mask"].tolist()) == list(range(9))


def test_permuted_inputs_keep_their_gradient_flag():
    assert set_up(case(args=(torch.ones(2, requires_grad=True),)), seed=0).fresh.args[0].requires_grad


def test_inputs_that_the_factory_returns_are_taken():
    subject = set_up(case(lambda: (torch.nn.Identity(), (torch.ones(1),), {"a": 2}), args=None), seed=0)
    assert (subject.example.args[0].tolist(), subject.example.kwargs) == ([1], {"a": 2})


def test_declared_inputs_go_before_those_of_the_factory():
    subject = set_up(case(lambda: (torch.nn.Identity(), (1,)), args=(2,)), seed=0)
    assert subject.example.args == (2,)


def test_without_inputs_the_module_is_called_without():
    subject = set_up(case(args=None), seed=0)
    assert (subject.example.args, subject.example.kwargs) == ((), {})


@pytest.mark.parametrize(("train", "expected"), [(False, False), (True, True)])
def test_train_is_set_as_the_case_says(train, expected):
    module = torch.nn.Dropout().train(not expected)
    assert set_up(case(lambda: module, train=train), seed=0).module.training is expected


@pytest.mark.parametrize("left", [True, False])
def test_train_none_leaves_the_module_as_the_factory_did(left):
    assert set_up(case(lambda: torch.nn.Dropout().train(left), train=None), seed=0).module.training is left


def test_module_and_inputs_are_moved_to_the_device():
    subject = set_up(case(device="meta"), seed=0)
    assert subject.module.weight.is_meta
    assert subject.example.args[0].is_meta
    assert subject.fresh.args[0].is_meta


def test_dynamic_shapes_may_be_a_callable():
    assert set_up(case(dynamic_shapes=lambda: ({0: "batch"},)), seed=0).dynamic_shapes == ({0: "batch"},)


def test_the_users_module_is_copied_and_serves_as_the_pristine_one():
    own = torch.nn.Linear(2, 2)
    subject = set_up(case(lambda: own), seed=0)
    assert subject.copied
    assert subject.module.weight.data_ptr() != own.weight.data_ptr()
    assert subject.pristine["weight"] is own.weight


def test_fresh_modules_share_weights_but_not_attributes():
    own = torch.nn.Linear(2, 2)
    own.seen = []  # type: ignore[assignment]  # any value may be an attribute
    subject = set_up(case(lambda: own), seed=0)
    one, other = subject.fresh_module(), subject.fresh_module()
    one.seen.append(1)
    assert one.weight is other.weight
    assert (other.seen, own.seen) == ([], [])  # type: ignore[comparison-overlap]  # lists, as set above


def test_tied_parameters_stay_tied_in_fresh_modules():
    own = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    own[1].weight = own[0].weight
    module = set_up(case(lambda: own), seed=0).fresh_module()
    assert module[0].weight is module[1].weight


def closing_over(module):
    module.again = lambda x: module.weight * x
    return module


def with_hook(module):
    module.register_forward_pre_hook(lambda *_: module.weight and None)
    return module


def uncopyable(module):
    nothing: tuple[int, ...] = ()
    module.generator = (each for each in nothing)
    return module


def conjugated(module):
    module.register_buffer("turn", torch.tensor([1 + 2j]).conj())
    return module


@pytest.mark.parametrize("spoil", [closing_over, with_hook, uncopyable, conjugated])
def test_a_module_that_a_copy_would_not_be_like_is_used_itself(spoil):
    own = spoil(torch.nn.Linear(1, 1))
    subject = set_up(case(lambda: own), seed=0)
    assert not subject.copied
    assert subject.fresh_module() is own
    assert subject.pristine["weight"].data_ptr() != own.weight.data_ptr()


def test_a_factory_that_raises_is_named():
    def factory():
        raise ValueError("no weights")

    text = message_of(case(factory))
    assert text.startswith(
        "case 'net' (case_shop.py:7): its factory raised ValueError: no weights\n(raised at " + __file__
    )


def test_a_factory_that_exits_is_a_fault_of_the_case():
    assert message_of(case(lambda: exit(3))).startswith("case 'net' (case_shop.py:7): its factory raised SystemExit: 3")


@pytest.mark.parametrize(
    ("built", "described"),
    [
        (None, "NoneType None"),
        (3, "int 3"),
        (torch.nn.Linear, "the class Linear"),
        ((), "()"),
        ((1, 2), "(int, int)"),
        ((torch.nn.Identity(), (), {}, 4), "(Identity, tuple, dict, int)"),
    ],
)
def test_a_factory_that_returns_no_module_is_told_what_to_return(built, described):
    assert message_of(case(lambda: built)) == (
        "case 'net' (case_shop.py:7): its factory must return an nn.Module, or (module, args[, kwargs]), "
        f"got {described}."
    )


def test_args_are_a_tuple():
    assert message_of(case(args=[1])) == (
        "case 'net' (case_shop.py:7): args must be a tuple of positional arguments, got list. "
        "For one argument write (x,)."
    )


@pytest.mark.parametrize(("kwargs", "kind"), [([1], "list"), ({1: 2}, "dict")])
def test_kwargs_map_names_to_values(kwargs, kind):
    assert message_of(case(kwargs=kwargs)) == (
        f"case 'net' (case_shop.py:7): kwargs must map argument names to values, got {kind}."
    )


@pytest.mark.parametrize("what", ["args", "kwargs", "dynamic_shapes"])
def test_a_callable_that_raises_is_named(what):
    def explode():
        raise KeyError("gone")

    text = message_of(case(**{what: explode}))
    assert text.startswith(f"case 'net' (case_shop.py:7): its {what} callable raised KeyError: 'gone'\n(raised at ")


def test_dynamic_shapes_by_name_must_name_arguments():
    assert message_of(case(dynamic_shapes={"inputs": {0: "batch"}})) == (
        "case 'net' (case_shop.py:7): dynamic_shapes names 'inputs', which Linear.forward does not take. "
        "Its arguments: input."
    )


def test_dynamic_shapes_may_name_what_a_kwarg_catches():
    class Net(torch.nn.Module):
        def forward(self, **extra):
            return extra["mask"]

    given = case(Net, args=(), kwargs={"mask": torch.ones(2)}, dynamic_shapes={"mask": {0: "batch"}})
    assert set_up(given, seed=0).dynamic_shapes == {"mask": {0: "batch"}}


def test_plain_inputs_are_redrawn_as_they_are():
    x = torch.ones(2, 2)
    subject = set_up(case(args=(x,)), seed=0)
    assert subject.redraw(5) is subject.example


def test_callable_inputs_are_redrawn_by_seed():
    subject = set_up(case(), seed=0)
    one, again, other = (subject.redraw(seed).args[0] for seed in (5, 5, 6))
    assert one.equal(again)
    assert not one.equal(other)
    assert not one.equal(subject.example.args[0])


def test_redrawing_takes_the_inputs_that_the_factory_gave_too():
    given = torch.ones(1)
    subject = set_up(case(lambda: (torch.nn.Identity(), (given,)), args=None, kwargs=lambda: {"k": torch.rand(1)}), 0)
    redrawn = subject.redraw(5)
    assert redrawn.args[0] is given
    assert not redrawn.kwargs["k"].equal(subject.example.kwargs["k"])


def made(inputs, sizes, **options):
    subject = set_up(case(inputs=inputs, **options), seed=0)
    assert subject.made is not None
    return subject.made(sizes)


def test_a_case_without_an_inputs_callable_makes_none():
    assert set_up(case(), seed=0).made is None


@pytest.mark.parametrize(
    ("inputs", "args", "kwargs"),
    [
        (lambda b: (b, 2), (3, 2), {}),
        (lambda b: {"x": b}, (), {"x": 3}),
        (lambda b: ((b,), {"x": 2}), (3,), ({"x": 2})),
        (lambda b: (b, {"x": 2}), (3, {"x": 2}), {}),
        (lambda b: ((b,), [2]), ((3,), [2]), {}),
        (lambda b: (), (), {}),
        (lambda **sizes: (sizes,), ({"b": 3},), {}),
    ],
)
def test_an_inputs_callable_returns_arguments_in_three_forms(inputs, args, kwargs):
    call = made(inputs, {"b": 3})
    assert (call.args, dict(call.kwargs)) == (args, kwargs)


def test_only_named_dims_are_passed_to_an_inputs_callable():
    assert made(lambda **sizes: (sizes,), {"b": 3, "args[0].size(0)": 4}).args == ({"b": 3},)


def test_inputs_of_the_same_sizes_have_the_same_values_from_the_first_call_on():
    subject = set_up(case(inputs=lambda b: (torch.randn(b),)), seed=0)
    assert subject.made is not None
    torch.rand(1)
    first = subject.made({"b": 3}).args[0]
    torch.rand(1)
    assert subject.made({"b": 3}).args[0].equal(first)


def test_making_inputs_leaves_the_generators_alone():
    subject = set_up(case(inputs=lambda b: (torch.randn(b),)), seed=0)
    assert subject.made is not None
    before = generator_digest()
    subject.made({"b": 3})
    assert generator_digest() == before


def test_inputs_that_are_made_are_moved_to_the_device():
    assert made(lambda b: (torch.ones(b),), {"b": 3}, device="meta").args[0].is_meta


@pytest.mark.parametrize(("value", "kind"), [(None, "NoneType"), (torch.ones(1), "Tensor"), ([1], "list")])
def test_an_inputs_callable_that_returns_something_else_is_told_what_to_return(value, kind):
    with pytest.raises(CaseError) as raised:
        made(lambda b: value, {"b": 3})
    assert str(raised.value) == (
        "case 'net' (case_shop.py:7): its inputs callable must return a tuple of positional arguments, a dict of keyword "
        f"arguments, or a tuple of both, got {kind}. For one argument write (x,)."
    )


def test_an_inputs_callable_that_raises_is_named():
    def explode(b):
        raise KeyError("gone")

    with pytest.raises(CaseError) as raised:
        made(explode, {"b": 3})
    assert str(raised.value).startswith("case 'net' (case_shop.py:7): its inputs callable raised KeyError: 'gone'\n")
