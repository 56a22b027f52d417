"""Models of many kinds on the ``torch`` engine: modes, collections, submodules, keyword arguments, attributes."""

from __future__ import annotations

import re

import pytest

from tests.integration.engine_runs import check
from tests.integration.test_torch_engine import TIED

pytestmark = pytest.mark.usefixtures("whole_torch")


def test_train_and_eval(pytester):
    pytester.makepyfile(
        case_train="""
            import torch
            from pytest_exportcheck import export_case

            class Net(torch.nn.Module):
                def forward(self, x):
                    assert self.training == self.wanted
                    return x + 1

            @export_case(args=lambda: (torch.randn(3),))
            class Eval(Net):
                wanted = False

            @export_case(args=lambda: (torch.randn(3),), train=True)
            class Train(Net):
                wanted = True

            @export_case(args=lambda: (torch.randn(3),), train=None)
            def as_built():
                net = Eval()
                return net.eval()
        """
    )
    check(pytester, "--exportcheck-modes=nonstrict").assert_outcomes(passed=3)


def test_an_unflattened_module_is_retraced_with_the_same_dynamic_shapes(pytester):
    pytester.makepyfile(
        case_named="""
            import torch
            from torch.export import Dim
            from pytest_exportcheck import export_case

            b = Dim("b", max=9)
            rows = lambda: torch.randn(5, 3)

            @export_case(
                args=lambda: (rows(), [rows()]),
                dynamic_shapes=lambda: {"x": {0: b}, "ys": [{0: b}]},
            )
            class Named(torch.nn.Module):
                def forward(self, x, ys):
                    return x + ys[0]
        """
    )
    modes = "--exportcheck-modes=nonstrict,nonstrict-unflatten,nonstrict-unflatten-retrace,strict_postdispatch"
    check(pytester, modes).assert_outcomes(passed=4)


def test_lists_of_other_objects_in_a_module_are_not_copied(pytester):
    pytester.makepyfile(case_tied=TIED)
    modes = "--exportcheck-modes=nonstrict-retrace-decompose,nonstrict-retrace-unflatten"
    check(pytester, modes).assert_outcomes(passed=2)


def test_a_mode_alone_judges_as_it_does_among_all_others(pytester):
    pytester.makepyfile(
        case_spectral="""
            import torch
            from pytest_exportcheck import export_case

            @export_case(args=lambda: (torch.randn(3, 8),), train=True)
            def spectral():
                return torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(8, 8))
        """
    )
    modes = ["nonstrict", "nonstrict-decompose", "nonstrict-serdes", "nonstrict_postdispatch", "strict"]
    result = check(pytester, "-v", f"--exportcheck-modes={','.join(modes)}")
    together = dict(re.findall(r"::spectral\[torch-([\w-]+)\] (\w+)", result.stdout.str()))
    assert list(together) == [
        "nonstrict",
        "nonstrict-decompose",
        "nonstrict-serdes",
        "nonstrict_postdispatch",
        "strict",
    ]
    for mode in ("nonstrict-serdes", "nonstrict_postdispatch", "strict"):
        alone = check(pytester, "-v", f"case_spectral.py::spectral[torch-{mode}]")
        assert re.findall(r"::spectral\[torch-[\w-]+\] (\w+)", alone.stdout.str()) == [together[mode]]


def test_a_scripted_submodule_is_no_internal_error(pytester):
    pytester.makepyfile(
        case_scripted="""
            import torch
            from pytest_exportcheck import export_case

            @export_case(args=lambda: (torch.randn(2, 8),))
            def scripted():
                return torch.nn.Sequential(torch.jit.script(torch.nn.Linear(8, 8)), torch.nn.ReLU())
        """
    )
    result = check(pytester, "--exportcheck-modes=nonstrict")
    assert "internal error" not in result.stdout.str()


def test_variadic_arguments_are_retraced_with_the_same_dynamic_shapes(pytester):
    pytester.makepyfile(
        case_variadic="""
            import torch
            from torch.export import Dim
            from pytest_exportcheck import export_case

            b = Dim("b", max=9)

            @export_case(
                args=lambda: (torch.randn(5, 3), torch.randn(5, 3)), dynamic_shapes=lambda: {"xs": ({0: b}, {0: b})}
            )
            class Variadic(torch.nn.Module):
                def forward(self, *xs):
                    return xs[0] + xs[1]
        """
    )
    modes = "--exportcheck-modes=nonstrict,nonstrict-retrace,strict-retrace"
    check(pytester, modes).assert_outcomes(passed=3)


def test_an_lstm_below_autograd_is_compared_closely(pytester):
    pytester.makepyfile(
        case_lstm="""
            import torch
            from pytest_exportcheck import export_case

            @export_case(args=lambda: (torch.randn(3, 5, 8),))
            def lstm():
                return torch.nn.LSTM(8, 6, num_layers=2, batch_first=True)
        """
    )
    check(pytester, "--exportcheck-modes=nonstrict_postdispatch").assert_outcomes(passed=1)


def test_a_shapes_collection_goes_by_the_tensors_of_the_case(pytester):
    pytester.makepyfile(
        case_collection="""
            import torch
            from torch.export import Dim, ShapesCollection
            from pytest_exportcheck import export_case

            x = torch.randn(5, 3)

            def of(tensor):
                shapes = ShapesCollection()
                shapes[tensor] = {0: Dim.DYNAMIC}
                return shapes

            class Net(torch.nn.Module):
                def forward(self, x):
                    return x + 1

            @export_case(args=(x,), dynamic_shapes=lambda: of(x))
            def right():
                return Net()

            @export_case(args=(x,), dynamic_shapes=lambda: of(torch.randn(5, 3)))
            def wrong():
                return Net()
        """
    )
    result = check(pytester, "--exportcheck-modes=nonstrict,strict,nonstrict-retrace,nonstrict-unflatten-retrace")
    result.assert_outcomes(passed=4, failed=1, skipped=3)
    result.stdout.fnmatch_lines(["case 'wrong' (*): its ShapesCollection does not fit its inputs: ValueError: *"])


ROUNDED = """
import torch
from torch.export import Dim
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2, 7, 32),), modes=["nonstrict-decompose"])
class KeyBias(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (torch.nn.Linear(32, 32) for _ in range(3))

    def forward(self, x):
        for _ in range(3):
            x = x + 4 * torch.nn.functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x))
        return x

def layer():
    return torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

@export_case(
    args=lambda: (torch.randn(2, 5, 16),), dynamic_shapes={"src": {0: Dim("b", min=2, max=9)}}, context=torch.no_grad,
    modes=["nonstrict", "strict"],
)
def served_encoder():
    return torch.nn.TransformerEncoder(layer(), 2)

@export_case(args=lambda: (torch.randn(2, 5, 16),) * 3, context=torch.inference_mode, modes=["nonstrict", "nonstrict-serdes"])
def served_attention():
    return torch.nn.MultiheadAttention(16, 2, batch_first=True)

PADDED = {"src_key_padding_mask": torch.tensor([[False, False, True], [False, True, True]])}

@export_case(args=lambda: (torch.randn(2, 3, 16),), kwargs=PADDED, modes=["nonstrict"])
def frozen_padded():
    return torch.nn.TransformerEncoder(layer(), 1, enable_nested_tensor=False).requires_grad_(False)

@export_case(args=lambda: (torch.randn(2, 3, 16),), kwargs=PADDED, context=torch.no_grad, modes=["nonstrict"])
def zeros_at_padding():
    return torch.nn.TransformerEncoder(layer(), 1)
"""


def test_what_eagers_own_arithmetic_explains_is_not_broken(pytester):
    """But an encoder that returns zeros at padded positions differs from its program."""
    pytester.makepyfile(case_rounded=ROUNDED)
    result = check(pytester, "--exportcheck-fuzz=4")
    result.assert_outcomes(passed=8, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*zeros_at_padding[[]torch-nonstrict[]]*",
            "    Eager takes the fast path of nn.TransformerEncoder, which gives other values here*",
        ]
    )


ATTRIBUTES = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2, 4),))
class OnlySets(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = torch.zeros(2, 2)
        self.first = None

    def forward(self, x):
        a = (x @ x.t()).softmax(-1)
        self.attention, self.first = a, a
        return a @ x, a

@export_case(args=lambda: (torch.randn(2, 3),))
def overwritten_by_a_hook():
    return torch.nn.utils.spectral_norm(torch.nn.Linear(3, 4))

@export_case(args=lambda: (torch.randn(2, 4),))
class Reads(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.zeros(2, 4)

    def forward(self, x):
        y = x + self.last
        self.last = x
        return y

@export_case(args=lambda: (torch.randn(2, 4),))
class Counts(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.count = torch.zeros(())

    def forward(self, x):
        self.count.add_(1)
        return x * 2
"""


def test_attributes_that_forward_only_sets_are_no_state(pytester):
    pytester.makepyfile(case_attributes=ATTRIBUTES)
    result = check(pytester, "--exportcheck-modes=nonstrict", "-rA")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["PASSED case_attributes.py::OnlySets*", "PASSED case_attributes.py::overwritten*"])
    result.stdout.fnmatch_lines(["  effects: state last: attribute mutation lost*"])
