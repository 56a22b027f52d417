"""The main job on the ``torch`` engine, in a process of its own: real captures, real files, real torch defects."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def example(number: int) -> str:
    """The Python blocks of the README, in order."""
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[number]


def check_all(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """With the second opinion."""
    return pytester.runpytest_subprocess("--exportcheck", "-p", "no:cacheprovider", *arguments)


def check(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return check_all(pytester, "--exportcheck-engines=torch", *arguments)


def test_the_example_of_the_readme_passes_in_every_default_mode(pytester):
    (pytester.path / "shop.py").write_text(example(1))
    (pytester.path / "case_shop.py").write_text(example(0))
    result = check_all(pytester)
    result.assert_outcomes(passed=16)
    result.stdout.fnmatch_lines(
        [
            "engine        torch                          reference",
            "capture       nonstrict          np  strict  nonstrict",
            "edges         - d ds s sr r i u  -   - s r   - s r i",
            "case_shop.py",
            "  normalizer  . . .  . .  . . .  .   . . .   . . . .",
            "",
            "signs: . passed",
            "edges: - none, d decompose, s serdes, r retrace, i interop, u unflatten",
            "captures: np nonstrict_postdispatch",
            "exportcheck: 1 case, 16 items: 16 passed",
        ]
    )


def test_the_broken_example_of_the_readme_fails_as_it_says(pytester):
    broken = example(1).replace('self.register_buffer("mean", torch.zeros(size))', "self.mean = torch.zeros(size)")
    broken = broken.replace(
        "self.mean.mul_(0.9).add_(0.1 * x.mean(0))", "self.mean = 0.9 * self.mean + 0.1 * x.mean(0)"
    )
    (pytester.path / "shop.py").write_text(broken)
    (pytester.path / "case_shop.py").write_text(example(0))
    result = check_all(pytester)
    result.assert_outcomes(failed=4, skipped=12)
    result.stdout.fnmatch_lines(["second opinion on normalizer, which fails with torch: reference fails nonstrict"])
    shown = re.search(
        r"nonstrict broke outputs and effects\n.*?Reproduce with: [^\n]*\n", README.read_text(), re.DOTALL
    )
    assert shown is not None
    assert without_digits(shown.group()) in without_digits(result.stdout.str())


def without_digits(text: str) -> str:
    """The last digits depend on the processor."""
    return re.sub(r"-?\d+\.\d+", "#", text)


SILENT = """
import torch
from pytest_exportcheck import export_case

t = torch.arange(5.0)

@export_case(args=(t, t))
class SameTensorTwice(torch.nn.Module):
    def forward(self, x, y):
        return x - y

@export_case(args=lambda: (torch.randn(3),))
class GradientInside(torch.nn.Module):
    def forward(self, x):
        return torch.func.grad(lambda v: (v ** 2).sum())(x)

@export_case(args=lambda: (torch.randn(3),))
class SeedInside(torch.nn.Module):
    def forward(self, x):
        torch.manual_seed(42)
        return x + torch.rand(3)

@export_case(args=lambda: (torch.randn(4, 3),))
class CounterInside(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls
"""


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("SameTensorTwice", "  outputs: output: value  (on fresh inputs)  [known: one-tensor-as-two-arguments]"),
        ("GradientInside", "    got:      FakeTensor"),
        ("SeedInside", "  effects: random generator: generator  (on the example inputs and fresh inputs)"),
        ("CounterInside", "  outputs: output: value  (on fresh inputs)"),
    ],
)
def test_programs_that_torch_captures_silently_wrong_are_found(pytester, case, line):
    pytester.makepyfile(case_silent=SILENT)
    result = check(pytester, "--exportcheck-modes=nonstrict", "-k", case)
    result.assert_outcomes(failed=1, deselected=3)
    assert line in result.outlines


TIED = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(4, 3),))
class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))
"""


def test_known_defects_are_warnings_for_who_ships_and_failures_for_who_builds_engines(pytester):
    pytester.makepyfile(case_tied=TIED)
    modes = "--exportcheck-modes=nonstrict,nonstrict-serdes"
    shipped = check(pytester, modes)
    shipped.assert_outcomes(passed=2)
    shipped.stdout.fnmatch_lines(["  serdes-splits-tied-parameters (1 item): *", "  Tied   . k"])
    judged = check(pytester, modes, "--exportcheck-profile=conformance")
    judged.assert_outcomes(passed=1, failed=1)
    judged.stdout.fnmatch_lines(["  state: a.weight: untied  [[]known: serdes-splits-tied-parameters[]]"])


def test_dynamic_batch_is_checked_at_the_sizes_that_args_draws(pytester):
    pytester.makepyfile(
        case_batch="""
            import torch
            from torch.export import Dim
            from pytest_exportcheck import export_case

            sizes = iter([4, 7, 4, 7])

            @export_case(args=lambda: (torch.randn(next(sizes), 3),), dynamic_shapes=lambda: {"x": {0: Dim("b")}})
            class Baked(torch.nn.Module):
                def forward(self, x):
                    return x.sum(0) / torch.ones(4).shape[0]

            @export_case(args=lambda: (torch.randn(next(sizes), 3),))
            class Static(torch.nn.Module):
                def forward(self, x):
                    return x.sum(0)
        """
    )
    result = check(pytester, "--exportcheck-modes=nonstrict")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "case 'Static' (*): dim 0 of x varies between calls of args (4, 7) and is not declared; declare it in dynamic_shapes "
            "or draw one size."
        ]
    )


def test_warnings_as_errors_change_nothing(pytester):
    pytester.makepyfile(case_tied=TIED)
    check(pytester, "-W", "error", "--exportcheck-modes=strict").assert_outcomes(passed=1)


def test_context_is_entered_around_captures_and_runs(pytester):
    pytester.makepyfile(
        case_context="""
            import torch
            from pytest_exportcheck import export_case

            @export_case(args=lambda: (torch.randn(3),), context=torch.no_grad)
            class Net(torch.nn.Module):
                def forward(self, x):
                    assert not torch.is_grad_enabled()
                    return x + 1
        """
    )
    check(pytester, "--exportcheck-modes=nonstrict,strict,nonstrict-serdes").assert_outcomes(passed=3)


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


CONJUGATED = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2),))
class Turned(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("turn", torch.tensor([1 + 2j, 3 - 1j]).conj())

    def forward(self, x):
        return x * self.turn
"""


def test_a_conjugate_view_that_a_file_turns_back_is_found(pytester):
    pytester.makepyfile(case_turned=CONJUGATED)
    result = check(pytester, "--exportcheck-modes=nonstrict-serdes")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["serdes broke outputs*", "  state: turn: value", "*(1-2j)*", "*(1+2j)*"])
    check(pytester, "--exportcheck-modes=nonstrict-serdes", "--exportcheck-engines=reference").assert_outcomes(passed=1)


OPINIONS = """
import torch
from pytest_exportcheck import export_case
from pytest_exportcheck.engines.reference import Reference

@export_case(args=lambda: (torch.randn(3),))
class Right(torch.nn.Module):
    def forward(self, x):
        return x.sin()

@export_case(args=lambda: (torch.randn(3),))
class SeedInside(torch.nn.Module):
    def forward(self, x):
        torch.manual_seed(42)
        return x + torch.rand(3)
"""

#: An exporter that breaks down, with no refusal of its own.
BREAKS_DOWN = """
from pytest_exportcheck import reference
def broken(*args, **kwargs):
    raise AttributeError("no such thing\\nat all")
reference.export = broken
"""


def test_the_reference_engine_is_the_second_opinion_on_a_short_set_of_modes(pytester):
    pytester.makepyfile(case_opinions=OPINIONS)
    modes = "--exportcheck-modes=nonstrict,nonstrict-decompose,nonstrict-retrace"
    result = check_all(pytester, modes)
    result.stdout.fnmatch_lines(
        [
            "*NotTraceable: the model seeds torch's generator*",
            "second opinion on SeedInside, which fails with torch: reference fails nonstrict",
            "engine        torch      reference",
            "capture       nonstrict  nonstrict",
            "edges         - d r      - r",
            "  SeedInside  F b b      F b",
            "  Right       . . .      . .",
            "exportcheck: 2 cases, 10 items: 5 passed, 2 failed, 3 blocked",
        ]
    )
    assert "which fails with reference" not in result.stdout.str()
    named = check_all(pytester, modes, "--exportcheck-engines=reference", "-k", "Right")
    named.stdout.fnmatch_lines(["  Right  . . ."])


@pytest.mark.usefixtures("wide")
def test_an_error_of_the_reference_engine_is_a_warning_for_who_ships(pytester):
    pytester.makepyfile(case_opinions=OPINIONS)
    pytester.makeconftest(BREAKS_DOWN)
    modes = "--exportcheck-modes=nonstrict,nonstrict-serdes"
    shipped = check_all(pytester, modes, "-k", "Right")
    shipped.assert_outcomes(passed=3, skipped=1, deselected=4)
    shipped.stdout.fnmatch_lines(
        [
            "  Right           i b",
            "*i internal failure of an engine or of the plugin, not of the model*",
            "engine error in reference: Right[[]reference-nonstrict[]]: AttributeError: no such thing",
            "  an engine error is not a fault of your model; please report it, with the case, to the authors of what it names",
        ]
    )
    judged = check_all(pytester, modes, "--exportcheck-profile=conformance", "-k", "Right")
    judged.assert_outcomes(passed=2, failed=1, skipped=1, deselected=4)
    judged.stdout.fnmatch_lines(["  stage: nonstrict: raised  [[]engine_error[]]"])


#: A second opinion with a defect at each of its steps that raises nothing: a stack trace is dropped, a weight is changed in the file.
DIFFERS = """
import torch
from pytest_exportcheck import reference
export, load = reference.export, reference.load

def forgetful(*args, **kwargs):
    program = export(*args, **kwargs)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program

def wrong(*args, **kwargs):
    program = load(*args, **kwargs)
    for value in program.state_dict.values():
        value.data.add_(1e-3)
    return program

reference.export, reference.load = forgetful, wrong
"""

TWO = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2, 3),))
class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)
    def forward(self, x):
        return self.second(self.first(x).relu())
"""


@pytest.mark.parametrize("engines", ["torch,reference", "reference"])
@pytest.mark.usefixtures("wide")
def test_differences_that_only_the_reference_engine_has_are_engine_errors(pytester, engines):
    pytester.makepyfile(case_two=TWO)
    pytester.makeconftest(DIFFERS)
    options = ("--exportcheck-modes=nonstrict,nonstrict-serdes,nonstrict-interop", f"--exportcheck-engines={engines}")
    shipped = check_all(pytester, *options)
    shipped.stdout.fnmatch_lines(
        ["engine error in reference: Two[[]reference-nonstrict[]]: metadata: every operation: stack_trace missing*"]
    )
    shipped.stdout.fnmatch_lines(["engine error in reference: Two[[]*: state: first.weight: value (expected *, got *)"])
    shipped.stdout.fnmatch_lines(
        [
            "  an engine error is not a fault of your model; please report it, with the case, to the authors of what it names"
        ]
    )
    shipped.stdout.no_fnmatch_line("*second opinion on*")
    assert shipped.parseoutcomes().get("failed", 0) == 0
    if "torch" in engines:
        shipped.stdout.fnmatch_lines(
            ["engine error in reference: Two[[]torch-nonstrict-interop[]]*: state: first.weight: value*"]
        )
    judged = check_all(pytester, *options, "--exportcheck-profile=conformance")
    assert judged.parseoutcomes()["failed"] >= 2


CANNOT_READ = """
from pytest_exportcheck import reference
def broken(*args, **kwargs):
    raise AttributeError("no such thing")
reference.load = broken
"""


@pytest.mark.usefixtures("wide")
def test_a_file_of_torch_that_the_reference_engine_cannot_read_fails_nobody_who_ships(pytester):
    pytester.makepyfile(case_two=TWO)
    pytester.makeconftest(CANNOT_READ)
    shipped = check_all(pytester, "--exportcheck-modes=nonstrict-interop", "--exportcheck-engines=torch")
    shipped.assert_outcomes(passed=1)
    shipped.stdout.fnmatch_lines(
        [
            "engine error in reference: Two[[]torch-nonstrict-interop[]]: *InteropError: reference cannot load what torch saved: "
            "AttributeError: no such thing*"
        ]
    )


BAKED = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(3),))
class Counts(torch.nn.Module):
    calls = 0
    def forward(self, x):
        Counts.calls += 1
        return x + Counts.calls
"""


@pytest.mark.parametrize("engines", ["torch,reference", "reference"])
def test_a_fault_of_the_model_fails_with_the_second_opinion_too(pytester, engines):
    """Both engines bake in a number that eager changes at every call."""
    pytester.makepyfile(case_baked=BAKED)
    result = check_all(pytester, "--exportcheck-modes=nonstrict", f"--exportcheck-engines={engines}")
    result.assert_outcomes(failed=len(engines.split(",")))


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
