"""A cheap engine for tests of how pytest sees the plugin: its programs are the modules themselves."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import torch

from pytest_exportcheck import reference

ECHO = '''
import copy, pytest

class Program:
    """What EchoEngine exports: a copy of the module."""
    def __init__(self, module):
        self._module = module
    def module(self):
        return self._module

class EchoEngine:
    name = "echo"
    def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
        return Program(copy.deepcopy(module))
    def decompose(self, program, decomp_table=None):
        return program
    def save(self, program, file, *, extra_files=None):
        self.saved = program
        file.write(b"echo")
    def load(self, file, *, extra_files=None):
        return self.saved
'''

HOOK = """
def pytest_configure(config):
    config.addinivalue_line("markers", "of_tests: only for tests")

def exportcheck_engines():
    return [{engine}()]
"""

LINEAR = """
import torch
from pytest_exportcheck import export_case, expect_failure

@export_case(args=lambda: (torch.randn(2, 3),))
class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x)
"""


@pytest.fixture(scope="session")
def loaded_torch() -> None:
    """Load the modules that a capture and its files load, once: pytester forgets those that a run in this process loads,
    and torch cannot load them twice.
    """
    program = torch.export.export(torch.nn.Linear(1, 1), (torch.ones(1),), strict=True)
    torch.export.unflatten(program.run_decompositions())
    for engine in (torch.export, reference):
        file = io.BytesIO()
        engine.save(program, file)
        file.seek(0)
        engine.load(file)
    reference.export(torch.nn.Linear(1, 1), (torch.ones(1),))


@pytest.fixture
def whole_torch(loaded_torch: None) -> Iterator[None]:
    """Have all of torch loaded, and forget what Dynamo learns in the test."""
    yield
    torch._dynamo.reset()


@pytest.fixture(autouse=True)
def reference_as_it_was() -> Iterator[None]:
    """Forget what a conftest file replaces in ``reference``."""
    kept = dict(vars(reference))
    yield
    for name in vars(reference).keys() - kept.keys():  # functions that were loaded since, or replaced
        delattr(reference, name)
    vars(reference).update(kept)


@pytest.fixture
def linear() -> str:
    """The text of a case file with one case."""
    return LINEAR


@pytest.fixture
def echo(pytester: pytest.Pytester) -> pytest.Pytester:
    """A pytester whose conftest adds the engine ``echo``; run it with ``--exportcheck-engines=echo``."""
    pytester.makeconftest(ECHO + HOOK.format(engine="EchoEngine"))
    return pytester


@pytest.fixture
def run_echo(echo: pytest.Pytester):
    """Runs pytest with ``--exportcheck`` on the cheap engine only."""

    def run(*arguments: str) -> pytest.RunResult:
        return echo.runpytest("--exportcheck", "--exportcheck-engines=echo", "-p", "no:cacheprovider", *arguments)

    return run


@pytest.fixture
def run_faulty(pytester: pytest.Pytester):
    """Runs pytest with the engine ``echo``, some methods of which are replaced by the given source text."""

    def run(methods: str, *arguments: str) -> pytest.RunResult:
        body = "\n".join(f"    {line}" for line in methods.strip().splitlines())
        faulty = f"\nimport torch\nclass Faulty(EchoEngine):\n{body}\n"
        pytester.makeconftest(ECHO + faulty + HOOK.format(engine="Faulty"))
        return pytester.runpytest("--exportcheck", "--exportcheck-engines=echo", *arguments)

    return run


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no line of the summary is wrapped."""
    monkeypatch.setenv("COLUMNS", "1000")
