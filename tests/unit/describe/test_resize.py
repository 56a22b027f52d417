"""Example inputs at other sizes."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.describe.resize import at_other_sizes
from pytest_exportcheck.records import DeclaredDim, Inputs, Interval


def dim(place="args[0]", number=0, *, dynamic=True, bounds=None, root="", derive=None):
    interval = None if bounds is None else Interval(*bounds)
    return DeclaredDim(place=place, dim=number, text="b", dynamic=dynamic, interval=interval, root=root, derive=derive)


def resized(tensor, *declared):
    return at_other_sizes(Inputs("", (tensor,), {}), declared).args[0]


@pytest.mark.parametrize(("bounds", "size"), [(None, 4), ((2, 10), 4), ((2, None), 4), ((2, 3), 2), ((3, 3), 3)])
def test_a_dim_is_one_longer_or_shorter_where_its_range_ends(bounds, size):
    assert resized(torch.arange(3), dim(bounds=bounds)).shape == (size,)


def test_elements_are_repeated_or_left_out():
    assert resized(torch.arange(3), dim()).tolist() == [0, 1, 2, 0]
    assert resized(torch.arange(3), dim(bounds=(2, 3))).tolist() == [0, 1]


def test_inputs_stay_as_they_are():
    x = torch.arange(3)
    resized(x, dim())
    assert x.tolist() == [0, 1, 2]


def test_dims_in_containers_and_keywords_are_found():
    call = Inputs("", ({"a": [torch.ones(2)]},), {"k": torch.ones(2, 3)})
    other = at_other_sizes(call, (dim("args[0]['a'][0]"), dim("kwargs['k']", 1)))
    assert other.args[0]["a"][0].shape == (3,)
    assert other.kwargs["k"].shape == (2, 4)


def test_what_is_no_dense_tensor_stays():
    sparse = torch.eye(2).to_sparse()
    call = Inputs("", (sparse, 3, None, torch.ones(2)), {})
    other = at_other_sizes(call, (dim(), dim("args[3]")))
    assert other.args[:3] == (sparse, 3, None)


@pytest.mark.parametrize("declared", [(), (dim(dynamic=False),)])
def test_where_no_dim_is_dynamic_there_are_no_other_sizes(declared):
    assert at_other_sizes(Inputs("", (torch.ones(3, 3),), {}), declared) is None


def test_dims_of_one_root_keep_to_each_other():
    twice = dim("args[1]", root="b", derive=lambda size: 2 * size, bounds=(4, 8))
    call = Inputs("", (torch.ones(3), torch.ones(6)), {})
    other = at_other_sizes(call, (dim(root="b"), twice))
    assert [tensor.shape[0] for tensor in other.args] == [4, 8]


@pytest.mark.parametrize(
    ("derive", "size", "other"), [(lambda root: root - 1, 9, 10), (lambda root: 3 * root - 2, 7, 10)]
)
def test_a_derived_dim_whose_root_is_no_other_dim_changes_too(derive, size, other):
    assert resized(torch.ones(size), dim(root="b", derive=derive)).shape == (other,)


def test_dims_of_one_root_that_contradict_each_other_stay():
    call = Inputs("", (torch.ones(3), torch.ones(5)), {})
    assert at_other_sizes(call, (dim(root="b"), dim("args[1]", root="b", derive=lambda size: 2 * size))) is None


def test_the_range_of_one_holds_for_all_of_its_root():
    call = Inputs("", (torch.ones(3), torch.ones(3)), {})
    other = at_other_sizes(call, (dim(root="b"), dim("args[1]", root="b", bounds=(2, 3))))
    assert [tensor.shape[0] for tensor in other.args] == [2, 2]


def test_dims_without_a_root_change_each_on_its_own():
    call = Inputs("", (torch.ones(3), torch.ones(5)), {})
    other = at_other_sizes(call, (dim(), dim("args[1]")))
    assert [tensor.shape[0] for tensor in other.args] == [4, 6]
