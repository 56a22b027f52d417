"""What the reference reader and writer owe to one program, bit by bit: with themselves, and with torch's other halves."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
import torch.fx
import torch.utils._pytree as pytree
from torch.export import ExportedProgram

from pytest_exportcheck import reference
from pytest_exportcheck.describe import program_of
from pytest_exportcheck.errors import SerializationWarning
from pytest_exportcheck.harness._torch import is_object
from pytest_exportcheck.harness.objects import object_value, same_object
from pytest_exportcheck.harness.tensors import as_bytes, has_values
from pytest_exportcheck.reference.pt2.plain.difference import difference
from pytest_exportcheck.reference.pt2.program.to_plain import plain_program

Run = Callable[[ExportedProgram], Any]
PAIRS = ("torch>torch", "torch>reference", "reference>torch", "reference>reference")
LOSSLESS = "lossless"


def judged(program: ExportedProgram, run: Run) -> Mapping[str, str]:
    """For each pair of a writer and a reader, what is wrong with what comes back, empty where nothing is.

    ``run`` gives a pytree of all that a program computes, which must be the same bits. ``lossless`` says what
    ``reference>reference`` loses of the program itself. State is compared before anything runs: programs share theirs with
    the modules that run.
    """
    ours, our_file = _tried(lambda: saved(program, reference.save))
    theirs, their_file = _tried(lambda: saved(program, torch.export.save))
    found = {LOSSLESS: ours or _tried(lambda: lost(program, our_file))[0]}
    expected = run(program)
    for pair, (unsaved, file), load in (
        ("torch>torch", (theirs, their_file), torch.export.load),
        ("torch>reference", (theirs, their_file), _load),
        ("reference>torch", (ours, our_file), torch.export.load),
        ("reference>reference", (ours, our_file), _load),
    ):
        found[pair] = unsaved or _tried(lambda: difference_of(expected, run(load(io.BytesIO(file)))))[0]  # noqa: B023
    return found


def faults(found: Mapping[str, str]) -> dict[str, str]:
    """What of :func:`judged` is the fault of ours: with a half of torch's, where its own pair handles the program."""
    torchs = PAIRS[:1] if not found[PAIRS[0]] else PAIRS[:3]
    return {stage: reason for stage, reason in found.items() if reason and stage not in torchs}


def saved(program: ExportedProgram, save: Callable[..., None]) -> bytes:
    """The file that a writer makes of a program."""
    buffer = io.BytesIO()
    save(program, buffer)
    return buffer.getvalue()


def _load(file: io.BytesIO) -> ExportedProgram:
    return reference.load(file, trust=True)  # written a moment ago


def _tried(make: Callable[[], Any]) -> tuple[str, Any]:
    """What is wrong, in one line, and what was made. A text that is made is what is wrong."""
    try:
        made = make()
    except Exception as error:
        return one_line(error), None
    return (made, None) if isinstance(made, str) else ("", made)


def one_line(error: BaseException) -> str:
    """The type of an error and the first line of what it says."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"[:240]


def lost(program: ExportedProgram, file: bytes) -> str:
    """What the program that our reader makes of our file lacks; empty where it is the same in every part."""
    after = _load(io.BytesIO(file))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", SerializationWarning)
        change = difference(plain_program(program), plain_program(after))
    if change:
        return f"the plain program differs: {str(change)[:200]}"
    for warning in said:  # what plain programs leave out
        if issubclass(warning.category, SerializationWarning):
            return str(warning.message)
    for part in ("state_dict", "constants", "example_inputs"):
        text = difference_of(getattr(program, part), getattr(after, part))
        if text:
            return f"{part}{text}"
    if functions := set(_functions(program)) - set(_functions(after)):  # a plain program has some by their names only
        return f"functions in the metadata are names now: {functions}"
    one, other = _record(program_of(program)), _record(program_of(after))
    for part in one:
        if part not in ("constants", "examples") and one[part] != other[part]:
            return f"the records differ in {part}"
    if any(map(is_object, program.constants.values())):  # Python's pickle of a tensor in one has addresses
        return ""
    return "" if saved(after, reference.save) == file else "a second save gives other bytes"


def _functions(program: ExportedProgram) -> Iterator[Any]:
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            yield from (function for _, function in node.meta.get("source_fn_stack") or ())


def _record(value: Any) -> Any:
    """A record, which is compared by identity, as what can be compared by its contents."""
    if is_dataclass(value):
        return {field.name: _record(getattr(value, field.name)) for field in fields(value) if field.compare}
    if isinstance(value, Mapping):
        return {key: _record(each) for key, each in value.items()}
    return tuple(map(_record, value)) if isinstance(value, tuple) else value


# --- bits -----------------------------------------------------------------------------------


def difference_of(one: Any, other: Any) -> str:
    """Where two pytrees differ first, in structure, types or bits; empty where they do not. A nan equals the nan of its bits."""
    (left, structure), (right, other_structure) = map(pytree.tree_flatten_with_path, (one, other))
    if structure != other_structure:
        return f": {str(structure)[:80]} became {str(other_structure)[:80]}"
    for (path, leaf), (_, other_leaf) in zip(left, right, strict=True):
        text = _of_leaves(leaf, other_leaf)
        if text:
            return f"{pytree.keystr(path)}: {text}"
    return ""


def _of_leaves(one: Any, other: Any) -> str:
    if type(one) is not type(other):
        return f"{type(one).__name__} became {type(other).__name__}"
    if isinstance(one, torch.Tensor):
        return _of_tensors(one, other)
    if is_object(one):
        return "" if same_object(object_value(one), object_value(other)) else "the state of an object differs"
    same = _bits(one) == _bits(other) if isinstance(one, (float, complex)) else one == other
    return "" if same else f"{str(one)[:80]} became {str(other)[:80]}"


def _bits(number: complex) -> bytes:
    return struct.pack("dd", number.real, number.imag)


def _of_tensors(one: torch.Tensor, other: torch.Tensor) -> str:
    for fact in ("dtype", "device", "layout", "requires_grad", "is_nested"):
        if getattr(one, fact) != getattr(other, fact):
            return f"{fact} {getattr(one, fact)} became {getattr(other, fact)}"
    if one.is_nested:
        return difference_of(one.unbind(), other.unbind())
    if one.shape != other.shape:
        return f"shape {tuple(one.shape)} became {tuple(other.shape)}"
    if one.layout is not torch.strided:
        return difference_of(_components(one), _components(other))
    if _strides(one) != _strides(other):
        return f"strides {one.stride()} became {other.stride()}"
    if one.is_quantized:
        return difference_of(_quantized(one), _quantized(other))
    if not (has_values(one) and has_values(other)):
        return ""
    return "" if as_bytes(one).equal(as_bytes(other)) else "other bits"


def _strides(tensor: torch.Tensor) -> list[int]:
    """Of dimensions along which there is a second element."""
    return [step for size, step in zip(tensor.shape, tensor.stride(), strict=True) if size > 1 and tensor.numel()]


def _components(tensor: torch.Tensor) -> tuple[Any, ...]:
    tensor = tensor.detach()
    if tensor.layout is torch.sparse_coo:
        return tensor._indices(), tensor._values(), tensor.is_coalesced()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    return (tensor.to_dense(),)


def _quantized(tensor: torch.Tensor) -> tuple[Any, ...]:
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return tensor.int_repr(), tensor.q_scale(), tensor.q_zero_point()
    return tensor.int_repr(), tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
