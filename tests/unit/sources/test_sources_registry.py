"""What ``SOURCE:NAME[,OPTION=VALUE...]`` means, and what is said where it means nothing."""

from __future__ import annotations

import re
import sys

import pytest
import torch

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.sources import cases_from
from pytest_exportcheck.sources.extent import batch_of
from pytest_exportcheck.sources.spec import Spec, left_out, parse

FACTORIES = """
import torch
from pytest_exportcheck import export_case

@export_case(name="small", args=lambda: (torch.randn(2, 3),))
def decorated():
    return torch.nn.Linear(3, 3)

def plain():
    return torch.nn.Linear(3, 3), (torch.randn(2, 3),)

def sized(size):
    return torch.nn.Linear(size, size)

module = torch.nn.Linear(3, 3)
number = 3

class Net(torch.nn.Module):
    def forward(self, x):
        return x
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A module ``exportcheck_shop`` with factories; it can be imported while the test runs."""
    (tmp_path / "exportcheck_shop.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "exportcheck_shop"
    sys.modules.pop("exportcheck_shop", None)


def refusal(text):
    with pytest.raises(SelectionError) as caught:
        cases_from(text)
    return str(caught.value)


def test_a_spec_is_a_source_a_name_and_options():
    spec = parse("timm:test_vit,batch=4,dynamic=none")
    assert spec == Spec("timm", "test_vit", {"batch": "4", "dynamic": "none"})
    assert str(spec) == "timm:test_vit,batch=4,dynamic=none"
    assert spec.case_name == "test_vit+batch-4+dynamic-none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope:x", "unknown source 'nope' in 'nope:x'. Sources: exportdb, import, timm, torchvision, transformers."),
        ("timm", "source 'timm' names no model: write timm:NAME, for example timm:test_vit."),
        ("timm:x,4", "source 'timm:x,4': write options as OPTION=VALUE, separated by commas, got '4'."),
        ("timm:x,batch=2,batch=3", "source 'timm:x,batch=2,batch=3': the option batch is given twice."),
        (
            "import:a:b,batch=2",
            "import:a:b,batch=2: the source import has no option 'batch'. Its options are shape: shape of the float tensor "
            "that a class or a factory without inputs takes, such as 2x3; 2x3/2x8 for two tensors.",
        ),
        (
            "exportdb:a,batch=2",
            "exportdb:a,batch=2: the source exportdb has no option 'batch'. It has none.",
        ),
        (
            "timm:x,length=2",
            "timm:x,length=2: the source timm has no option 'length'. Its options are batch: examples in a batch "
            "(default: 2 to 4, another number for fresh inputs); dynamic: batch (default) or none; size: height and width "
            "of an image (default: input_size of the model's default cfg).",
        ),
    ],
)
def test_what_a_spec_cannot_say(text, message):
    assert refusal(text) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": "0"}, "timm:x,batch=0: batch takes a whole number, at least 1, got '0'."),
        ({"dynamic": "all"}, "timm:x,dynamic=all: dynamic must be one of batch, none, got 'all'."),
        (
            {"batch": "1"},
            "timm:x,batch=1: torch.export makes a dimension static if its size in the example is 1: "
            "set batch to at least 2, or dynamic=none.",
        ),
    ],
)
def test_values_that_an_option_does_not_take(options, message):
    with pytest.raises(SelectionError) as caught:
        batch_of(Spec("timm", "x", options))
    assert str(caught.value) == message


def test_a_dynamic_batch_is_drawn_and_a_given_or_static_one_is_not():
    torch.manual_seed(0)
    assert {batch_of(Spec("timm", "x", {})).draw() for _ in range(50)} == {2, 3, 4}
    assert {batch_of(Spec("timm", "x", {"batch": "5"})).draw() for _ in range(9)} == {5}
    static = batch_of(Spec("timm", "x", {"dynamic": "none"}))
    assert ({static.draw() for _ in range(9)}, static.dim()) == ({2}, None)


def test_the_range_of_a_dynamic_batch_holds_the_one_given():
    dim = batch_of(Spec("timm", "x", {"batch": "40"})).dim()
    assert (dim.min, dim.max) == (1, 40)


def test_what_a_glob_leaves_out_is_counted_and_the_first_are_named():
    names = ["a", "b", "c", "d", "e", "f", "g"]
    line = left_out(Spec("timm", "*", {}), names, 9, "for a reason")
    assert line == "timm:*: 7 of 9 left out, for a reason: a, b, c, d, e and 2 more"
    assert left_out(Spec("timm", "*", {}), [], 9, "for a reason") == ""


def test_import_takes_decorated_cases_by_name_by_object_and_by_glob(shop):
    for name in ("small", "decorated", "*", "sm*"):
        found = cases_from(f"import:{shop}:{name}")
        assert (found.label, list(found.cases)) == (shop, [f"import:{shop}:small"])


def test_import_takes_a_factory_that_nobody_decorated(shop):
    (case,) = cases_from(f"import:{shop}:plain").cases.values()
    assert (case.name, case.origin.line) == ("plain", 9)
    assert isinstance(case.build()[0], torch.nn.Linear)


REMEDY = (
    "Name a function without arguments that returns a module, or (module, args[, kwargs]), "
    "or decorate it with @export_case(args=...)."
)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smal", "import:{shop}:smal: {shop} has no 'smal'; did you mean 'small'?"),
        ("x*", "import:{shop}:x*: {shop} has no case that matches 'x*'; its cases: small."),
        ("sized", "import:{shop}:sized: sized takes arguments (size). " + REMEDY),
        ("module", "import:{shop}:module: module is a Linear itself, which has no example inputs. " + REMEDY),
        (
            "Net",
            "import:{shop}:Net: Net.forward takes (x), but has no example inputs. Add the shape of a float tensor, "
            "import:{shop}:Net,shape=2x3 (2x3/2x8 for two), or name a function that returns (module, args[, kwargs]).",
        ),
        (
            "Net,shape=2x",
            "import:{shop}:Net,shape=2x: shape takes sizes such as 2x3, or 2x3/2x8 for two tensors, got '2x'.",
        ),
        (
            "small,shape=2x3",
            "import:{shop}:small,shape=2x3: small is declared with its inputs. Leave out shape=, which is only for functions and classes without @export_case.",
        ),
        ("number", "import:{shop}:number: number is 3, not a function or a class. " + REMEDY),
    ],
)
def test_import_of_what_is_no_factory(shop, name, message):
    assert refusal(f"import:{shop}:{name}") == message.format(shop=shop)


def test_import_of_a_module_that_is_not_there():
    assert refusal("import:exportcheck_nowhere:x") == (
        "import:exportcheck_nowhere:x: the module 'exportcheck_nowhere' cannot be imported (ModuleNotFoundError: "
        "No module named 'exportcheck_nowhere'). Correct the name, or make it importable: call pytest in its folder, install its package, "
        "or name its folder in pytest's ini option pythonpath."
    )


def test_import_without_a_factory():
    assert refusal("import:shop.models") == (
        "import:shop.models names no factory: write import:MODULE:NAME, for example import:shop.models:small, "
        "or import:MODULE:* for every case that is declared there."
    )


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("exportdb:*", "expecttest"),
        ("timm:test_vit", "timm"),
        ("torchvision:resnet18", "torchvision"),
        ("transformers:BertModel", "transformers"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_extra(monkeypatch, text, package):
    for name in [each for each in sys.modules if each == package or each.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    message = refusal(text)
    assert re.sub(r"\(.*?\)", "(...)", message) == (
        f"the source {text.partition(':')[0]} needs {package}, which cannot be imported here (...). "
        "Install it with: pip install 'pytest-exportcheck[zoo]'"
    )
