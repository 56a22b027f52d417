"""Whether two tensors hold the same bits, in every dtype and layout; clones, facts and storages."""

from __future__ import annotations

import io

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pytest_exportcheck.harness.tensors import (
    copy_tree,
    detached_clone,
    differing_elements,
    facts_of,
    has_values,
    input_leaves,
    named_leaves,
    same_bits,
    storage_key,
)

NAN, INF = float("nan"), float("inf")
FLOAT8 = [torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz]
SIGNED_ZERO_FLOAT8 = [torch.float8_e4m3fn, torch.float8_e5m2]
INTEGERS = [torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32, torch.uint64, torch.int64]
FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
COMPLEX = [torch.complex32, torch.complex64, torch.complex128]


def of(dtype, *values):
    return torch.tensor(values).to(dtype)


def differing(one, other):
    return differing_elements(one, other).tolist()


def float_bits(bits):
    return torch.tensor([bits], dtype=torch.int32).view(torch.float32)


@pytest.mark.parametrize("dtype", [torch.bool, *INTEGERS, *FLOATS, *FLOAT8, *COMPLEX], ids=str)
def test_equal_values_have_the_same_bits(dtype):
    assert same_bits(of(dtype, 0, 1, 1), of(dtype, 0, 1, 1))


@pytest.mark.parametrize("dtype", [torch.bool, *INTEGERS, *FLOATS, *FLOAT8, *COMPLEX], ids=str)
def test_the_one_element_that_differs_is_named(dtype):
    assert differing(of(dtype, 0, 1, 1), of(dtype, 0, 1, 0)) == [2]
    assert not same_bits(of(dtype, 0, 1, 1), of(dtype, 0, 1, 0))


@pytest.mark.parametrize("dtype", [torch.uint64, torch.int64], ids=str)
def test_the_last_bit_of_a_large_integer_counts(dtype):
    large = 2**62 + 1
    assert differing(torch.tensor([large], dtype=dtype), torch.tensor([large + 1], dtype=dtype)) == [0]


def test_uint64_beyond_int64_is_compared_as_it_is():
    one, other = (torch.tensor([2**64 - step], dtype=torch.uint64) for step in (1, 2))
    assert differing(one, other) == [0]


@pytest.mark.parametrize("dtype", [*FLOATS, torch.float8_e5m2, torch.float8_e4m3fn], ids=str)
def test_nan_equals_nan_beside_a_difference(dtype):
    assert differing(of(dtype, NAN, 1.0, 2.0), of(dtype, NAN, 1.0, 4.0)) == [2]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_nan_equals_no_number(dtype):
    assert differing(of(dtype, NAN, 1.0), of(dtype, 1.0, NAN)) == [0, 1]


@pytest.mark.parametrize("bits", [0x7FC00001, -0x400000], ids=["another payload", "negative"])
def test_any_nan_equals_any_nan(bits):
    assert same_bits(float_bits(0x7FC00000), float_bits(bits))


@pytest.mark.parametrize("dtype", [*FLOATS, *SIGNED_ZERO_FLOAT8], ids=str)
def test_the_sign_of_zero_counts(dtype):
    assert differing(of(dtype, 1.0, 0.0), of(dtype, 1.0, -0.0)) == [1]


def test_infinities_differ_by_sign():
    assert differing(torch.tensor([INF, INF]), torch.tensor([INF, -INF])) == [1]


def test_subnormal_numbers_are_not_flushed():
    assert differing(torch.tensor([1e-45]), torch.tensor([0.0])) == [0]


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_the_imaginary_part_counts(dtype):
    assert differing(of(dtype, 1 + 2j, 3j), of(dtype, 1 + 2j, 4j)) == [1]


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_the_sign_of_zero_counts_in_the_imaginary_part(dtype):
    assert not same_bits(of(dtype, complex(1, 0.0)), of(dtype, complex(1, -0.0)))


def test_complex_nan_equals_nan_part_by_part():
    assert differing(torch.tensor([complex(NAN, 1), 0j]), torch.tensor([complex(NAN, 2), 1j])) == [0, 1]
    assert differing(torch.tensor([complex(NAN, 1), 0j]), torch.tensor([complex(NAN, 1), 1j])) == [1]


def test_a_conjugate_bit_is_resolved():
    lazy = torch.tensor([1 + 2j, 3j]).conj()
    assert lazy.is_conj()
    assert same_bits(lazy, torch.tensor([complex(1, -2), complex(0, -3)]))
    assert not same_bits(lazy, torch.tensor([1 + 2j, 3j]))


def test_a_negative_bit_is_resolved():
    lazy = torch.tensor([1 + 2j, 3j]).conj().imag
    assert lazy.is_neg()
    assert same_bits(lazy, torch.tensor([-2.0, -3.0]))


def test_strides_do_not_matter():
    assert same_bits(torch.arange(6).reshape(2, 3).t(), torch.tensor([[0, 3], [1, 4], [2, 5]]))


def test_an_expanded_tensor_is_compared_element_by_element():
    assert same_bits(torch.ones(1).expand(3), torch.ones(3))
    assert differing(torch.ones(1).expand(3), torch.tensor([1.0, 2.0, 1.0])) == [1]


def test_a_slice_of_one_element_with_a_longer_stride_is_compared():
    one = torch.arange(4.0)[::2][:1]
    assert one.stride() == (2,)
    assert same_bits(one, torch.zeros(1))
    assert not same_bits(one, torch.ones(1))


def test_indices_are_flat_in_the_order_of_the_shape():
    one = torch.zeros(2, 3).t()
    other = one.clone()
    other[2, 1] = 1
    assert differing(one, other) == [5]


@pytest.mark.parametrize("value", [True, 3, 2.5, 1j])
def test_a_scalar_tensor_is_compared(value):
    assert same_bits(torch.tensor(value), torch.tensor(value))
    assert differing(torch.tensor(value), torch.tensor(type(value)(0))) == [0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.complex64, torch.float8_e5m2], ids=str)
def test_empty_tensors_of_one_shape_are_equal(dtype):
    assert same_bits(torch.empty(0, 2, dtype=dtype), torch.empty(0, 2, dtype=dtype))


def test_empty_tensors_of_two_shapes_are_not():
    assert not same_bits(torch.empty(0, 2), torch.empty(2, 0))


@pytest.mark.parametrize(
    "other",
    [torch.ones(3), torch.ones(2, dtype=torch.float64), torch.ones(2).to_sparse()],
    ids=["shape", "dtype", "layout"],
)
def test_shape_dtype_and_layout_are_part_of_it(other):
    assert not same_bits(torch.ones(2), other)


def test_requires_grad_is_not():
    assert same_bits(torch.ones(2, requires_grad=True), torch.nn.Parameter(torch.ones(2), requires_grad=False))


@pytest.mark.parametrize("convert", ["to_sparse_coo", "to_sparse_csr", "to_sparse_csc"])
def test_sparse_tensors_are_compared_by_value(convert):
    def sparse(value):
        return getattr(torch.tensor([[1.0, 0.0], [0.0, value]]), convert)()

    assert same_bits(sparse(2.0), sparse(2.0))
    assert differing(sparse(2.0), sparse(3.0)) == [3]


def test_a_sparse_tensor_is_compared_however_its_entries_are_split():
    split = torch.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (2,))  # type: ignore[arg-type]  # takes lists too
    assert same_bits(split, torch.tensor([3.0, 0.0]).to_sparse())


def quantized(values, scale=0.5):
    return torch.quantize_per_tensor(torch.tensor(values), scale, 0, torch.quint8)


def test_quantized_tensors_are_compared():
    assert same_bits(quantized([1.0, 2.0]), quantized([1.0, 2.0]))
    assert differing(quantized([1.0, 2.0]), quantized([1.0, 3.0])) == [1]


def test_quantized_tensors_of_one_integer_representation_and_two_scales_differ():
    one, other = quantized([1.0, 2.0], scale=0.5), quantized([2.0, 4.0], scale=1.0)
    assert one.int_repr().equal(other.int_repr())
    assert not same_bits(one, other)


def nested(*parts, layout):
    return torch.nested.nested_tensor([torch.tensor(part) for part in parts], layout=layout)


def test_a_jagged_tensor_has_the_bits_of_its_clone():
    one = nested([1.0, 2.0], [3.0], layout=torch.jagged)
    assert same_bits(one, detached_clone(one))
    assert not same_bits(one, detached_clone(one) * 2)


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged], ids=str)
def test_nested_tensors_made_twice_are_compared_by_value(layout):
    assert same_bits(nested([1.0, 2.0], [3.0], layout=layout), nested([1.0, 2.0], [3.0], layout=layout))
    assert not same_bits(nested([1.0, 2.0], [3.0], layout=layout), nested([1.0, 2.0], [4.0], layout=layout))


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged], ids=str)
def test_nested_tensors_with_other_borders_differ(layout):
    assert not same_bits(nested([1.0, 2.0], [3.0], layout=layout), nested([1.0], [2.0, 3.0], layout=layout))


def test_packed_four_bit_floats_are_compared_by_their_bytes():
    def packed(*data):
        return torch.tensor(data, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)

    assert same_bits(packed(1, 2), packed(1, 2))
    assert differing(packed(1, 2), packed(1, 3)) == [1]


def test_tensors_without_data_are_the_same_when_they_are_of_one_kind():
    meta = torch.ones(2, device="meta")
    assert same_bits(meta, torch.zeros(2, device="meta"))
    assert not same_bits(meta, torch.ones(2))


def test_a_fake_tensor_has_no_values():
    with FakeTensorMode():
        fake = torch.ones(2)
    assert not has_values(fake)
    assert not same_bits(fake, torch.ones(2))


def test_facts_of_a_dense_tensor():
    facts = facts_of(torch.nn.Parameter(torch.zeros(2, 3, dtype=torch.bfloat16).t()))
    assert (facts.type, facts.shape, facts.dtype, facts.device) == ("Parameter", (3, 2), "bfloat16", "cpu")
    assert (facts.layout, facts.stride, facts.requires_grad, facts.has_grad_fn) == ("strided", (1, 3), True, False)


def test_a_sparse_tensor_has_no_strides():
    facts = facts_of(torch.eye(2).to_sparse())
    assert (facts.layout, facts.stride) == ("sparse_coo", None)


def test_facts_tell_a_computed_tensor():
    assert facts_of(torch.ones(1, requires_grad=True) * 2).has_grad_fn


def test_a_clone_has_a_storage_of_its_own_and_no_history():
    original = torch.ones(2, requires_grad=True) * 2
    clone = detached_clone(original)
    assert storage_key(clone) != storage_key(original)
    assert not clone.requires_grad


def test_views_share_a_storage():
    base = torch.arange(6)
    assert storage_key(base) == storage_key(base[2:4])
    assert storage_key(base) != storage_key(base.clone())


@pytest.mark.parametrize(
    "tensor", [torch.empty(0), torch.eye(2).to_sparse(), torch.ones(1, device="meta")], ids=["empty", "sparse", "meta"]
)
def test_what_has_no_storage_shares_none(tensor):
    assert storage_key(tensor) is None


def test_a_copy_keeps_strides_and_who_shares_storage():
    base = torch.arange(6.0).reshape(2, 3).t()
    copied, row, same = copy_tree((base, base[0], base))
    assert copied.stride() == base.stride()
    assert storage_key(copied) == storage_key(row) != storage_key(base)
    assert copied is same


def test_a_copy_of_inputs_can_be_edited_freely():
    inputs = ({"x": torch.zeros(2)}, [1])
    copied = copy_tree(inputs)
    copied[0]["x"].add_(1)
    copied[1].append(2)
    assert inputs[0]["x"].tolist() == [0, 0]
    assert inputs[1] == [1]


def test_leaves_that_cannot_be_copied_are_passed_on(tmp_path):
    with (tmp_path / "x").open("w") as stream:
        tensor, same = copy_tree((torch.ones(2), stream))
    assert isinstance(stream, io.TextIOWrapper)
    assert same is stream
    assert tensor.tolist() == [1, 1]


def test_a_computed_tensor_is_copied_with_its_gradient_flag():
    (copied,) = copy_tree((torch.ones(2, requires_grad=True) * 2,))
    assert copied.tolist() == [2, 2]
    assert copied.requires_grad


def test_places_of_leaves_read_as_python():
    tree = ({"logits": 1, "more": [2]}, 3)
    assert list(named_leaves(tree, "output")) == [
        ("output[0]['logits']", 1),
        ("output[0]['more'][0]", 2),
        ("output[1]", 3),
    ]


def test_inputs_are_named_by_position_and_by_name():
    assert list(input_leaves((1,), {"mask": 2})) == [("args[0]", 1), ("kwargs['mask']", 2)]


@pytest.mark.parametrize("offset", range(9))
@pytest.mark.parametrize("changed", [0, 7, 8, 15, 16, 17])
def test_one_byte_is_found_wherever_it_stands(offset, changed):
    """Memory is compared in words of eight bytes where it is aligned, and the rest byte by byte."""
    one = torch.arange(32, dtype=torch.uint8)[offset : offset + 18]
    other = one.clone()
    assert same_bits(one, other)
    other[changed] += 1
    assert not same_bits(one, other)
    assert differing_elements(one, other).tolist() == [changed]
