"""The user's module, generators and global modes are as they were, after success and after failure."""

from __future__ import annotations

import pytest

CASE = """
import random, torch
from pytest_exportcheck import export_case

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.register_buffer("total", torch.zeros(3))
        self.calls = 0
        self.seen = []
        {extra}

    def forward(self, x):
        self.calls += 1
        self.seen.append(1)
        self.total.add_(x)
        torch.set_grad_enabled(False)
        torch.set_num_threads(1)
        return x * self.weight

NET = Net()
NET.weight.grad = torch.full((3,), 7.0)

@export_case(args=lambda: (torch.randn(3),), train=None)
def net():
    return NET

STATE = lambda: (torch.random.get_rng_state().sum().item(), random.getstate()[1][:5], torch.is_grad_enabled(),
                 torch.get_num_threads())

def pytest_case_state():
    return {{
        "weight": NET.weight.tolist(), "total": NET.total.tolist(), "grad": NET.weight.grad.tolist(),
        "training": NET.training, "calls": NET.calls, "seen": list(NET.seen), "modes": STATE(),
    }}
"""

WATCH = """
import pytest, sys

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    import case_net
    before = case_net.pytest_case_state()
    try:
        return (yield)
    finally:
        after = case_net.pytest_case_state()
        print("UNCHANGED" if after == before else f"CHANGED {before} {after}", file=sys.__stdout__)
"""

CLOSURE = "self.again = lambda x: self.weight * x  # deepcopy would leave this bound to the original"


@pytest.mark.parametrize("extra", ["pass", CLOSURE], ids=["copied", "not copyable"])
@pytest.mark.parametrize("failing", [False, True], ids=["success", "failure"])
def test_everything_is_as_it_was(echo, extra, failing):
    conftest = echo.path / "conftest.py"
    text = conftest.read_text()
    if failing:
        text = text.replace("return Program(copy.deepcopy(module))", "module(*args); raise ValueError('no')")
    conftest.write_text(text + WATCH)
    echo.makepyfile(case_net=CASE.format(extra=extra))
    result = echo.runpytest_subprocess("--exportcheck", "--exportcheck-engines=echo", "--exportcheck-threads=2", "-s")
    lines = [line for line in result.outlines if "CHANGED" in line]
    assert len(lines) == 10
    assert [line for line in lines if "UNCHANGED" not in line] == []
