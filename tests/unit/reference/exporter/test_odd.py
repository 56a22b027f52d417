"""Models with odd tensors: captured as torch does, or refused in words that name them. Nothing fails inside."""

from __future__ import annotations

import collections
import io
from types import MappingProxyType

import pytest
import torch
from torch import nn
from torch._higher_order_ops import while_loop
from torch.testing._internal.two_tensor import TwoTensor

from pytest_exportcheck import reference
from pytest_exportcheck.engines import all_engines
from pytest_exportcheck.errors import Unsupported
from tests.differential.roundtrips import difference_of
from tests.scaled import Quantised, Scaled

Pair = collections.namedtuple("Pair", ["low", "high"])
X = torch.randn(2, 4)


class Holds(nn.Module):
    """Keeps a value as an attribute, a buffer or a parameter, and computes with it."""

    def __init__(self, value, function, kind="attribute"):
        super().__init__()
        if kind == "buffer":
            self.register_buffer("held", value)
        elif kind == "parameter":
            self.held = nn.Parameter(value)
        else:
            self.held = value
        self.function = function

    def forward(self, x):
        return self.function(x, self.held)


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def two(*shape):
    return TwoTensor(torch.randn(*shape), torch.randn(*shape))


def jagged():
    return torch.nested.nested_tensor([torch.randn(2, 4), torch.randn(3, 4)], layout=torch.jagged)


def quantized():
    return torch.quantize_per_tensor(torch.randn(4), 0.1, 0, torch.qint8)


REMEDY = (
    "The reference exporter does not support this use of them. Capture the model with torch.export, or convert them before "
    "exporting: plain tensors for a subclass (torchao: unwrap_tensor_subclass), .dequantize(), .to_dense(), an nn.Module for a "
    "scripted module."
)

REFUSED = {
    "constant of a subclass": (Holds(two(4), torch.add), X, "held (a tensor of the subclass TwoTensor)"),
    "input of a subclass": (Calls(torch.sin), two(4), "x (a tensor of the subclass TwoTensor)"),
    "quantized constant": (Holds(quantized(), lambda x, q: x + q.dequantize()), X, "held (a quantized tensor)"),
    "quantized buffer": (Holds(quantized(), lambda x, q: x + q.dequantize(), "buffer"), X, "held (a quantized tensor)"),
    "nested buffer": (Holds(jagged(), lambda x, n: x.sum() + n.values(), "buffer"), X, "held (a nested tensor)"),
    "nested input": (Calls(torch.sin), jagged(), "x (a nested tensor)"),
    "csr constant": (
        Holds(torch.eye(4).to_sparse_csr(), lambda x, s: s @ x.t()),
        X,
        "held (a tensor of the layout torch.sparse_csr)",
    ),
    "scripted module": (Holds(torch.jit.script(nn.Linear(4, 4)), lambda x, m: m(x)), X, "held (a scripted module)"),
}


@pytest.mark.parametrize(("module", "value", "named"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_supported_is_named_with_the_error_and_a_remedy(module, value, named):
    with pytest.raises(reference.NotSupported) as caught:
        reference.export(module, (value,))
    said = str(caught.value)
    assert said.startswith(f"the capture failed on a model with {named}. torch raises ")
    assert said.endswith(REMEDY)


def test_a_weight_that_wraps_others_is_refused_by_name():
    with pytest.raises(reference.NotSupported) as caught:
        reference.export(Quantised(), (X,))
    assert str(caught.value) == (
        f"the capture failed on a model with second.weight (a tensor of the subclass Scaled). {REMEDY}"
    )
    assert isinstance(Quantised().second.weight, Scaled)


def test_an_error_of_a_plain_model_stays_what_it_is():
    class Broken(nn.Module):
        def forward(self, x):
            if torch.compiler.is_exporting():
                raise KeyError("of the model")
            return x

    with pytest.raises(KeyError):
        reference.export(Broken(), (X,))


SUPPORTED = {
    "coo constant": (Holds(torch.eye(4).to_sparse(), lambda x, s: torch.sparse.mm(s, x.t())), X),
    "csr buffer": (Holds(torch.eye(4).to_sparse_csr(), lambda x, s: s @ x.t(), "buffer"), X),
    "conjugate constant": (Holds(torch.randn(4, dtype=torch.complex64).conj(), torch.mul), X),
    "dtype": (Holds(torch.float64, lambda x, dtype: x.to(dtype)), X),
    "vmap": (Calls(torch.vmap(lambda row: row.sin() * row.sum())), X),  # type: ignore[misc]  # mypy infers no lambda for a ParamSpec
    "nested vmap": (Calls(torch.vmap(torch.vmap(torch.sin))), X),
    "jvp": (Calls(lambda x: torch.func.jvp(torch.sin, (x,), (x,))), X),
    "namedtuple": (Calls(lambda x: Pair(x.sin(), x.cos())), X),
    "return type": (Calls(lambda x: x.max(1)), X),
}


@pytest.mark.parametrize(("module", "value"), SUPPORTED.values(), ids=SUPPORTED)
def test_a_supported_model_is_saved_and_loaded_with_its_values(module, value):
    program = reference.export(module, (value,))
    file = io.BytesIO()
    reference.save(program, file)
    file.seek(0)
    loaded = reference.load(file, trust=True)
    torch.testing.assert_close(loaded.module()(value), module(value), rtol=0, atol=0)


SPARSE = {
    "coo input": (Calls(lambda x: (x @ torch.ones(4, 2), x.values())), torch.eye(4).to_sparse()),
    "csr input": (Calls(lambda x: (x + x, x.layout == torch.sparse_csr)), torch.eye(4).to_sparse_csr()),
    "made": (Calls(lambda x: x.to_sparse() * x.to_sparse_csr().to_dense()), X),
    "coo constant": SUPPORTED["coo constant"],
    "csr buffer": SUPPORTED["csr buffer"],
}


@pytest.mark.parametrize(("module", "value"), SPARSE.values(), ids=SPARSE)
def test_a_strict_capture_with_sparse_tensors_is_that_of_a_nonstrict_one(module, value):
    plain, strict = (reference.export(module, (value,), strict=strict) for strict in (False, True))
    assert [str(node.target) for node in strict.graph.nodes] == [str(node.target) for node in plain.graph.nodes]
    file = io.BytesIO()
    reference.save(strict, file)
    file.seek(0)
    for program in (strict, reference.load(file, trust=True)):
        assert difference_of(program.module()(value), module(value)) == ""


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            SUPPORTED["csr buffer"][0],
            "torch cannot read 'held', a weight of the layout torch.sparse_csr: the format holds strided tensors, and only the "
            "reference reader knows the parts of this one. Keep a dense tensor and convert it in forward.",
        ),
        (
            SUPPORTED["namedtuple"][0],
            f"torch cannot read {__name__}.Pair among the inputs or outputs: the class is registered without a name for files. "
            "Register it with a serialized_type_name, or return a tuple or a dict.",
        ),
        (
            SUPPORTED["return type"][0],
            "torch cannot read torch.return_types.max among the inputs or outputs: the class is registered without a name for "
            "files. Register it with a serialized_type_name, or return a tuple or a dict.",
        ),
    ],
    ids=["sparse", "namedtuple", "return type"],
)
def test_a_file_that_only_the_reference_engine_reads_is_unsupported_elsewhere(module, said):
    engine = all_engines()["reference"]
    artifact = engine.captures["nonstrict"](module, (X,), MappingProxyType({}), None)
    with pytest.raises(Unsupported) as caught:
        engine.edges["interop"](artifact)
    assert str(caught.value) == said


def test_a_call_that_torchs_files_have_no_form_for_is_unsupported_elsewhere():
    class Counts(nn.Module):
        def forward(self, x):
            return while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x.sin()), (0, x))

    engine = all_engines()["reference"]
    artifact = engine.captures["nonstrict"](Counts(), (X,), MappingProxyType({}), None)
    with pytest.raises(Unsupported) as caught:
        engine.edges["interop"](artifact)
    assert str(caught.value) == "torch cannot represent something in this program."


def test_a_weight_that_no_file_holds_is_unsupported():
    engine = all_engines()["reference"]
    artifact = engine.captures["nonstrict"](Holds(two(4), torch.add, "parameter"), (X,), MappingProxyType({}), None)
    with pytest.raises(Unsupported, match="'held' cannot be saved: it is a tensor of the class TwoTensor"):
        engine.edges["serdes"](artifact)


class Autocast(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.a(x)
            with torch.autocast("cpu", enabled=False):
                z = self.b(y.float())
        return y, z


class WithoutGrad(Autocast):
    def forward(self, x):
        y = self.a(x)
        with torch.no_grad():
            z = self.b(y)
        return y, z


def paths_of(program):
    """Target and module paths of every call, in all graphs."""
    graphs = [each for each in program.graph_module.modules() if isinstance(each, torch.fx.GraphModule)]
    return [
        (str(node.target), [path for path, _ in node.meta["nn_module_stack"].values()])
        for graph in graphs
        for node in graph.graph.nodes
        if node.op == "call_function"
    ]


@pytest.mark.parametrize("build", [Autocast, WithoutGrad])
def test_a_retrace_keeps_the_module_of_every_operation_in_regions(build):
    x = torch.randn(4, 8)
    program = reference.export(build(), (x,))
    again = reference.export(program.module(), (x,))
    assert paths_of(again) == paths_of(program)
    assert ("aten.linear.default", ["", "b"]) in paths_of(again)


def test_a_region_belongs_to_the_module_that_begins_it():
    program = reference.export(Autocast(), (torch.randn(4, 8),))
    assert paths_of(program)[0] == ("wrap_with_autocast", [""])
