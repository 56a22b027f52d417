"""Operators of types that are not torch's: in a program, through a file, ours and torch's."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch._export.serde.serialize import ExtensionHandler
from torch._export.serde.serialize import register_extension as register_with_torch
from torch._export.verifier import Verifier

from pytest_exportcheck import reference
from pytest_exportcheck.errors import UnsupportedError
from pytest_exportcheck.reference.pt2.plain import extensions
from pytest_exportcheck.reference.pt2.plain.difference import difference
from pytest_exportcheck.reference.pt2.program.to_plain import plain_program


class Scale:
    """An operator as a compiler's own: it multiplies by its factor."""

    def __init__(self, factor):
        self.factor, self.__name__ = factor, f"scale{factor}"

    def __call__(self, x, plus=0):
        return x * self.factor + plus


SCALES = {f"by{factor}": Scale(factor) for factor in (2, 3)}


class ScaleHandler(ExtensionHandler):
    @classmethod
    def namespace(cls):
        return "scales"

    @classmethod
    def to_op_name(cls, op):
        return f"by{op.factor}"

    @classmethod
    def from_op_name(cls, name):
        return SCALES[name]

    @classmethod
    def op_schema(cls, op):
        return torch._C.parse_schema("scales::scale(Tensor x, *, int plus=0) -> Tensor")


class ScaleVerifier(Verifier):
    dialect = "SCALES"

    def allowed_op_types(self):
        return (*super().allowed_op_types(), Scale)


register_with_torch(Scale, ScaleHandler)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(extensions, "_BY_TYPE", {})
    monkeypatch.setattr(extensions, "_BY_NAMESPACE", {})
    reference.register_extension(Scale, ScaleHandler)


@pytest.fixture
def program():
    """A program in which one operator was replaced, as a backend replaces them."""

    class Model(torch.nn.Module):
        def forward(self, x):
            return x.sin().cos()

    found = torch.export.export(Model(), (torch.randn(3),))
    node = next(each for each in found.graph.nodes if each.name == "cos")
    node.target, node.kwargs = SCALES["by3"], {"plus": 1}
    found.graph_module.recompile()
    found._verifiers = [ScaleVerifier]
    return found


def saved(program, save=reference.save):
    buffer = io.BytesIO()
    save(program, buffer)
    buffer.seek(0)
    return buffer


def test_an_extension_operator_is_saved_and_restored(registered, program):
    after = reference.load(saved(program))
    assert difference(plain_program(program), plain_program(after)) == {}
    x = torch.randn(3)
    assert torch.equal(after.module()(x), x.sin() * 3 + 1)


@pytest.mark.parametrize(("save", "load"), [(torch.export.save, reference.load), (reference.save, torch.export.load)])
def test_torch_names_it_alike(registered, program, save, load):
    after = load(saved(program, save))
    assert [node.target for node in after.graph.nodes if node.op == "call_function"][-1] is SCALES["by3"]


def test_without_a_handler_it_cannot_be_written(monkeypatch, program):
    monkeypatch.setattr(extensions, "_BY_TYPE", {})
    with pytest.raises(UnsupportedError, match=r"node cos .*Scale object.*reference\.register_extension\)\.$"):
        saved(program)


def test_without_a_handler_it_cannot_be_read(registered, monkeypatch, program):
    file = saved(program)
    monkeypatch.setattr(extensions, "_BY_NAMESPACE", {})
    with pytest.raises(UnsupportedError, match=r"'#scales:by3' is an extension operator of 'scales', for which no"):
        reference.load(file)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (KeyError("by3"), r"the handler of 'scales' refuses 'by3': 'by3'\."),
        (
            torch.sin,
            r"the handler of 'scales' returned <built-in .*sin.*> for 'by3', which is not one of its operators\.",
        ),
    ],
)
def test_a_handler_that_does_not_know_it(registered, monkeypatch, program, answer, message):
    def from_op_name(name):
        if isinstance(answer, Exception):
            raise answer
        return answer

    file = saved(program)
    monkeypatch.setattr(ScaleHandler, "from_op_name", from_op_name)
    with pytest.raises(UnsupportedError, match=message):
        reference.load(file)


class Nameless(ScaleHandler):
    to_op_name: Any = None


class Divided(ScaleHandler):
    @classmethod
    def namespace(cls):
        return "a:b"


class Other:
    pass


@pytest.mark.parametrize(
    ("kind", "handler", "error", "message"),
    [
        (
            torch.Tensor,
            ScaleHandler,
            TypeError,
            "the type of an extension operator must be a class from outside torch and builtins",
        ),
        (
            int,
            ScaleHandler,
            TypeError,
            "the type of an extension operator must be a class from outside torch and builtins",
        ),
        (
            Other(),
            ScaleHandler,
            TypeError,
            "the type of an extension operator must be a class from outside torch and builtins",
        ),
        (Other, Nameless, TypeError, "lacks to_op_name"),
        (Other, Divided, ValueError, "a namespace must be a string without a colon, got 'a:b'"),
        (Other, ScaleHandler, ValueError, "the namespace 'scales' has a handler already"),
        (Scale, ScaleHandler, ValueError, "has a handler already"),
    ],
)
def test_what_cannot_be_registered(registered, kind, handler, error, message):
    with pytest.raises(error, match=message):
        reference.register_extension(kind, handler)
