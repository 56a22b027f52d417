"""Tiny configs, inputs and caches of transformers."""

from __future__ import annotations

import pytest
import torch
import torch.utils._pytree as pytree

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.sources import cases_from

transformers = pytest.importorskip("transformers", reason="the zoo extra (transformers) is not installed")


def only(text):
    (case,) = cases_from(text).cases.values()
    return case


def run(text):
    case = only(text)
    torch.manual_seed(0)
    model, inputs = case.build().eval(), case.kwargs()
    with torch.no_grad():
        return inputs, model(**inputs)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("BertModel,batch=3,length=7", {"input_ids": (3, 7), "attention_mask": (3, 7)}),
        ("ViTModel,batch=3,size=16", {"pixel_values": (3, 3, 16, 16)}),
        (
            "T5Model,batch=2,length=7,decoder_length=5",
            {"input_ids": (2, 7), "attention_mask": (2, 7), "decoder_input_ids": (2, 5)},
        ),
        ("WhisperModel,batch=2,decoder_length=5", {"input_features": (2, 16, 64), "decoder_input_ids": (2, 5)}),
        ("Wav2Vec2Model,batch=2", {"input_values": (2, 800)}),
        ("VideoMAEModel,batch=2", {"pixel_values": (2, 2, 3, 32, 32)}),
        (
            "CLIPModel,batch=2,length=7",
            {"input_ids": (2, 7), "attention_mask": (2, 7), "pixel_values": (2, 3, 32, 32)},
        ),
    ],
)
def test_inputs_by_kind(name, shapes):
    inputs, _ = run(f"transformers:{name}")
    assert {key: tuple(value.shape) for key, value in inputs.items()} == shapes


def test_batch_and_lengths_are_dynamic_and_shared():
    shapes = only("transformers:T5Model").dynamic_shapes()
    ids, mask, decoded = (shapes[name] for name in ("input_ids", "attention_mask", "decoder_input_ids"))
    assert [each.__name__ for each in (*ids.values(), *decoded.values())] == [
        "batch",
        "length",
        "batch",
        "decoder_length",
    ]
    assert ids == mask


@pytest.mark.parametrize(("dynamic", "axes"), [("all", [0, 1]), ("batch", [0]), ("length", [1]), ("none", [])])
def test_what_is_dynamic_can_be_chosen(dynamic, axes):
    shapes = only(f"transformers:BertModel,dynamic={dynamic}").dynamic_shapes()
    assert list(shapes["input_ids"]) == axes


@pytest.mark.parametrize(
    ("name", "leaves"),
    [("LlamaForCausalLM", 4), ("MistralForCausalLM", 4), ("Qwen3NextForCausalLM", 8), ("T5Model", 8)],
)
def test_caches_are_pytrees_that_come_back_from_text(name, leaves):
    _, outputs = run(f"transformers:{name}")
    tensors, spec = pytree.tree_flatten(outputs.past_key_values)
    again = pytree.treespec_loads(pytree.treespec_dumps(spec))
    assert (len(tensors), all(isinstance(each, torch.Tensor) for each in tensors), again) == (leaves, True, spec)
    rebuilt = pytree.tree_unflatten(tensors, again)
    assert type(rebuilt) is type(outputs.past_key_values)
    assert all(mine is theirs for mine, theirs in zip(pytree.tree_leaves(rebuilt), tensors, strict=True))


def test_a_glob_leaves_out_what_needs_a_config_of_its_own():
    found = cases_from("transformers:B[ae][mr][bt]*Model")
    assert "transformers:BertModel" in found.cases
    assert found.left_out.startswith("transformers:B[ae][mr][bt]*Model: ")
    assert "BambaModel" in found.left_out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("BertModl", "transformers has no model class 'BertModl'; did you mean 'BertModel'?"),
        (
            "DecisionTransformerModel",
            "transformers:DecisionTransformerModel: DecisionTransformerModel takes states, for which this source has no "
            "example. Write a case for it, with its config and the inputs that it takes.",
        ),
    ],
)
def test_classes_that_are_no_cases(name, message):
    with pytest.raises(SelectionError) as caught:
        cases_from(f"transformers:{name}")
    assert str(caught.value) == message
