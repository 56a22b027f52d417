"""Runtimes that hooks add: faults of packages are found, and none costs more than its item."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_exportcheck.reports.json_report import read_report
from tests.integration.faulty_runtimes import RUNTIME

CONFTEST = """
import other_runtimes


def exportcheck_runtimes():
    found = [other_runtimes.Saved, *other_runtimes.Saved.__subclasses__()]
    return [each() for each in found]
"""

CASE = """
import torch

from pytest_exportcheck import export_case


@export_case(args=lambda: (torch.randn(2, 3),), dynamic_shapes={"x": {0: torch.export.Dim("batch", max=8)}})
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)
        self.register_buffer("calls", torch.ones(3))

    def forward(self, x):
        self.calls.add_(1)
        return self.linear(x), x * self.calls
"""

#: Runtime -> its status, and what the text of the failure says.
FOUND = {
    "saved": ("passed", ""),
    "prints": ("passed", ""),
    "restores": ("passed", ""),
    "edits": ("failed", "input program's state: edited"),
    "wrong_weight": ("failed", "outputs: output[0]: value"),
    "swapped": ("failed", "outputs: output[0]: value"),
    "dropped": ("failed", "the package of dropped returned 1 outputs, expected 2"),
    "lower": ("failed", "outputs: output[0]: value"),
    "stale": ("failed", "effects: state calls: not kept from call to call  (on fresh inputs)"),
    "reread": ("failed", "args[0] as every second element of a wider tensor"),
    "specialised": ("failed", "sizes: "),
    "crashes": ("failed", "crashes ended its process at the call of its package (signal SIGABRT)."),
    "ends": ("failed", "ends ended its process at the load of its package (exit status 7)."),
    "fails": ("failed", "    expected: a package\n    got:      RuntimeError: the compiler ended with exit status 1"),
    "lacks": ("skipped", ""),
    "no_kernel": ("skipped", "unsupported by no_kernel: error 0x14 (no kernel for sort)"),
    "not_loaded": ("skipped", "unsupported by not_loaded: no such dtype"),
}


def test_every_fault_of_a_package_is_found_and_costs_only_its_item(
    whole_torch: None, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(other_runtimes=RUNTIME, case_model=CASE)
    result = pytester.runpytest(
        "--exportcheck",
        "--exportcheck-engines=torch",
        "--exportcheck-modes=nonstrict",
        f"--exportcheck-runtime={','.join(FOUND)}",
        "-v",
        "-rs",
    )
    text = result.stdout.str()
    outcomes = {name: next(word for word in ("passed", "failed", "skipped") if _is(word, name, text)) for name in FOUND}
    assert outcomes == {name: status for name, (status, _) in FOUND.items()}
    assert [name for name, (_, said) in FOUND.items() if said not in text] == []


def _is(word: str, name: str, text: str) -> bool:
    return any(f"Model[torch-nonstrict-{name}] {word.upper()}" in line for line in text.splitlines())


def test_the_page_of_runtimes_shows_how_to_add_one(whole_torch: None, pytester: pytest.Pytester) -> None:
    page = (Path(__file__).parents[2] / "docs" / "runtimes.md").read_text()
    for name, text in re.findall(r"```python\n# (\S+)\n(.*?)```", page, re.DOTALL):
        pytester.path.joinpath(name).write_text(text)
    pytester.makepyfile(
        case_model="""
        import torch

        from pytest_exportcheck import export_case


        @export_case(args=lambda: ([torch.randn(2, 3)],), kwargs=lambda: {"by": 2, "shift": torch.randn(2, 3)})
        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = torch.nn.Linear(3, 3)

            def forward(self, xs, by, shift):
                shift.add_(1)
                return {"scaled": self.linear(xs[0]) * by, "shifted": (xs[0] + shift, None)}
        """
    )
    options = ("--exportcheck", "--exportcheck-engines=torch")
    result = pytester.runpytest(
        *options, "--exportcheck-modes=nonstrict-mine,nonstrict-decompose-reload", "case_model.py"
    )
    result.assert_outcomes(passed=2)
    result = pytester.runpytest(*options, "--exportcheck-modes=nonstrict", "case_classifier.py", "case_detector.py")
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "onx",
            "unknown runtime 'onx'; did you mean 'onnx'? Runtimes: reload, aoti, onnx, executorch, executorch_xnnpack, openvino.",
        ),
        ("qqqq", "unknown runtime 'qqqq'. Runtimes: reload, aoti, onnx, executorch, executorch_xnnpack, openvino."),
    ],
)
def test_an_unknown_runtime_is_refused(pytester: pytest.Pytester, name: str, message: str) -> None:
    result = pytester.runpytest("--exportcheck", f"--exportcheck-runtime={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: exportcheck: {message}" in result.stderr.lines


PLAIN = """
import torch

from pytest_exportcheck import export_case


@export_case(args=lambda: (torch.randn(2, 3),))
class Plain(torch.nn.Module):
    def forward(self, x):
        return x + 1
"""


def test_a_run_fails_where_something_required_did_not_run(whole_torch: None, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(other_runtimes=RUNTIME, case_plain=PLAIN)
    options = (
        "--exportcheck",
        "--exportcheck-engines=torch",
        "--exportcheck-modes=nonstrict",
        "--exportcheck-runtime=lacks",
    )
    result = pytester.runpytest(
        *options, "--exportcheck-require=nonstrict,lacks,saved", "--exportcheck-json=report.json"
    )
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = [
        "lacks did not run for case_plain.py::Plain: unsupported by lacks: no-such-distribution must be installed: "
        "pip install no-such-distribution.",
        "saved did not run for case_plain.py::Plain: none of its items was selected.",
    ]
    assert [line for line in result.stdout.lines if "exportcheck: required" in line] == [
        f"exportcheck: required: {each}" for each in said
    ]
    report = read_report(pytester.path / "report.json")
    assert report.failed
    assert [each.reason for each in report.errors] == said
    result = pytester.runpytest(*options, "--exportcheck-require=torch,nonstrict")
    assert result.ret == pytest.ExitCode.OK


def test_an_empty_list_of_runtimes_is_refused(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--exportcheck", "--exportcheck-runtime=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: exportcheck: --exportcheck-runtime takes the names of runtimes, got none." in result.stderr.lines


def test_a_required_name_must_exist(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--exportcheck", "--exportcheck-require=openvin")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.lines[0].startswith(
        "ERROR: exportcheck: --exportcheck-require: no engine, mode or stage is called 'openvin'; did you mean 'openvino'? Engines: torch, "
    )


ORIGINS = """
import torch

from pytest_exportcheck import export_case

X = torch.linspace(-1, 1, 12).reshape(3, 4)


@export_case(args=lambda: (X.clone(),))
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, x):
        y = torch.relu(self.layer(x)) + 1
        return torch.softmax(y, dim=1) * 2
"""

WRONG_SOFTMAX = '''

class WrongSoftmax(Saved):
    """It computes along the wrong dim."""

    name = "wrong_softmax"

    def faulty(self, program):
        changed = program()
        for node in changed.graph.find_nodes(op="call_function", target=torch.ops.aten.softmax.int):
            node.args = (node.args[0], 0)
        changed.graph_module.recompile()
        return flat(changed)
'''


def test_a_finding_names_the_operation_that_the_runtime_computes_wrongly(
    whole_torch: None, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(other_runtimes=RUNTIME + WRONG_SOFTMAX, case_net=ORIGINS)
    result = pytester.runpytest(
        "--exportcheck",
        "--exportcheck-engines=torch",
        "--exportcheck-modes=nonstrict",
        "--exportcheck-runtime=wrong_softmax,reread",
        "--exportcheck-json=report.json",
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "    starts at: %x: the package reads this input as if it were contiguous",
            "    starts at: %softmax computes another value from the same inputs; a package of this operation by itself shows it too",
            "      node:   aten.softmax.int(%add, 1)",
            "      line:   case_net.py:16 in forward: return torch.softmax(y, dim=1) * 2",
            "      module: Net",
            "      node * operator * line * difference * inputs*",
            "      softmax * softmax.int * case_net.py:16 * agree*",
            "      mul * mul.Tensor * case_net.py:16 * differ*",
        ]
    )
    report = read_report(pytester.path / "report.json")
    kinds = {each.origin.kind for outcome in report.items for each in outcome.findings if each.origin}
    assert kinds == {"changed", "contiguous"}
