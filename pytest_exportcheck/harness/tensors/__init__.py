"""Facts, copies and comparisons of one tensor, of any kind.

The functions here do not raise for a tensor that a model may hold or take, do not write to it, and do not use more of a
tensor subclass than its own class offers. A tensor is read by its *parts*: plain strided tensors that together hold its
elements. A wrapper subclass has the tensors that it wraps, a sparse tensor its indices and values, a nested tensor its
components. A tensor without parts (:func:`has_values` is false) is compared by its facts only.
"""

from pytest_exportcheck.harness.tensors.compare import as_bytes, differing_elements, same_bits
from pytest_exportcheck.harness.tensors.copies import copied, copy_tree, detached_clone, set_requires_grad
from pytest_exportcheck.harness.tensors.facts import UNREADABLE, as_plain, facts_of, is_strided
from pytest_exportcheck.harness.tensors.parts import has_own_kernels, has_values, parts_of, storage_key
from pytest_exportcheck.harness.tensors.pytrees import input_leaves, leaf_of, mapped, named_leaves

__all__ = [
    "UNREADABLE",
    "as_bytes",
    "as_plain",
    "copied",
    "copy_tree",
    "detached_clone",
    "differing_elements",
    "facts_of",
    "has_own_kernels",
    "has_values",
    "input_leaves",
    "is_strided",
    "leaf_of",
    "mapped",
    "named_leaves",
    "parts_of",
    "same_bits",
    "set_requires_grad",
    "storage_key",
]
