"""Faults in the files of runtimes: a weight, an attribute or an output that is not the program's is found."""

from __future__ import annotations

import re

import pytest

FAULTS = '''
from pathlib import Path

import torch

from pytest_exportcheck.runtimes.executorch import ExecuTorch, ExecuTorchXnnpack
from pytest_exportcheck.runtimes.onnx import Onnx
from pytest_exportcheck.runtimes.openvino import OpenVino


def wrong(weight):
    """One element is another one."""
    changed = weight.clone()
    changed[0, 0] += 0.01
    return changed


def rounded(weight):
    return weight.bfloat16().float()


def transposed(weight):
    return weight.t().contiguous()


def with_bytes(kind, called, file, change):
    """Return a runtime in whose file the bytes of the weight are changed."""

    class Changed(kind):
        name = called

        def compile(self, program, folder):
            facts = super().compile(program, folder)
            weight = program.state_dict["linear.weight"].detach()
            content = (folder / file).read_bytes()
            assert content.count(weight.numpy().tobytes()) == 1
            (folder / file).write_bytes(content.replace(weight.numpy().tobytes(), change(weight).numpy().tobytes()))
            return facts

    Changed.__qualname__ = called
    globals()[called] = Changed
    return Changed()


def with_model(called, change):
    """Return a runtime whose ONNX model is changed."""

    class Changed(Onnx):
        name = called

        def compile(self, program, folder):
            import onnx

            facts = super().compile(program, folder)
            model = onnx.load(folder / "model.onnx")
            change(model.graph)
            onnx.save(model, folder / "model.onnx")
            return facts

    Changed.__qualname__ = called
    globals()[called] = Changed
    return Changed()


def wrong_initializer(graph):
    import onnx

    (found,) = (each for each in graph.initializer if each.name == "linear.weight")
    value = onnx.numpy_helper.to_array(found).copy()
    value[0, 0] += 0.01
    found.CopyFrom(onnx.numpy_helper.from_array(value, found.name))


def swapped_outputs(graph):
    kept = list(graph.output)
    del graph.output[:]
    graph.output.extend(reversed(kept))


def dropped_output(graph):
    del graph.output[1]


class openvino_transposed(OpenVino):
    """The attribute of the matrix product says that its weight is the transposed one."""

    name = "openvino_transposed"

    def compile(self, program, folder):
        facts = super().compile(program, folder)
        text = (folder / "model.xml").read_text()
        assert text.count('transpose_b="true"') == 1
        (folder / "model.xml").write_text(text.replace('transpose_b="true"', 'transpose_b="false"'))
        return facts


RUNTIMES = [
    with_model("onnx_wrong", wrong_initializer),
    with_model("onnx_swapped", swapped_outputs),
    with_model("onnx_dropped", dropped_output),
    with_bytes(Onnx, "onnx_rounded", "model.onnx", rounded),
    with_bytes(ExecuTorch, "executorch_wrong", "model.pte", wrong),
    with_bytes(ExecuTorch, "executorch_transposed", "model.pte", transposed),
    with_bytes(ExecuTorchXnnpack, "executorch_xnnpack_rounded", "model.pte", rounded),
    with_bytes(OpenVino, "openvino_wrong", "model.bin", wrong),
    openvino_transposed(),
]
'''

CONFTEST = """
import artifact_faults


def exportcheck_runtimes():
    return artifact_faults.RUNTIMES
"""

CASE = """
import torch

from pytest_exportcheck import export_case


@export_case(args=lambda: (torch.randn(2, 3),))
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)

    def forward(self, x):
        return self.linear(x), x + 1
"""

_VALUE = "outputs: output[0]: value"


@pytest.mark.parametrize(
    ("runtime", "found"),
    [
        pytest.param(
            "onnx",
            {
                "onnx_wrong": _VALUE,
                "onnx_swapped": _VALUE,
                "onnx_dropped": "outputs: the call: raised",
                "onnx_rounded": _VALUE,
            },
            marks=pytest.mark.runtime("onnx"),
        ),
        pytest.param(
            "executorch",
            {"executorch_wrong": _VALUE, "executorch_transposed": _VALUE, "executorch_xnnpack_rounded": _VALUE},
            marks=pytest.mark.runtime("executorch"),
        ),
        pytest.param(
            "openvino",
            {"openvino_wrong": _VALUE, "openvino_transposed": _VALUE},
            marks=pytest.mark.runtime("openvino"),
        ),
    ],
)
def test_a_fault_in_a_file_is_found(
    whole_torch: None, pytester: pytest.Pytester, runtime: str, found: dict[str, str]
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(artifact_faults=FAULTS, case_model=CASE)
    result = pytester.runpytest(
        "--exportcheck",
        "--exportcheck-engines=torch",
        "--exportcheck-modes=nonstrict",
        f"--exportcheck-runtime={','.join([*found, runtime])}",
    )
    result.assert_outcomes(passed=1 + 1, failed=len(found))
    failures = re.split(r"^_+ Model\[torch-nonstrict-(\w+)\] _+$", result.stdout.str(), flags=re.MULTILINE)
    texts = dict(zip(failures[1::2], failures[2::2], strict=True))
    assert sorted(texts) == sorted(found)
    assert [name for name, said in found.items() if f"\n  {said}" not in texts[name]] == []
