"""Workers of pytest-xdist: the same outcomes as without, and a worker that dies costs what builds on its stage."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.session.messages import message_of

pytest.importorskip("xdist", reason="pytest-xdist is not installed")

MODES = "--exportcheck-modes=nonstrict,nonstrict-decompose,nonstrict-decompose-serdes,strict"

MIXED = """
import pytest, torch
from pytest_exportcheck import export_case, expect_failure

ARGS = dict(args=lambda: (torch.randn(2, 3),))
FAILS = [expect_failure("nonstrict-decompose", reason="cannot be lowered")]

@export_case(**ARGS)
class Sound(torch.nn.Linear):
    def __init__(self):
        super().__init__(3, 3)

@export_case(**ARGS)
@export_case(**ARGS, name="Expected", expect=FAILS)
class Unlowered(torch.nn.Identity):
    pass

@export_case(**ARGS)
class Wrong(torch.nn.Identity):
    pass

@export_case(**ARGS)
class Unsupported(torch.nn.Identity):
    pass

@export_case(**ARGS, expect=FAILS)
class Stale(torch.nn.Identity):
    pass

@export_case(**ARGS)
def not_set_up():
    raise OSError("no weights")

@export_case(**ARGS)
def skipped():
    pytest.skip("needs a GPU")

@export_case(**ARGS)
class Threads(torch.nn.Module):
    def forward(self, x):
        return x * torch.get_num_threads()
"""

METHODS = """
def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
    name = type(module).__name__
    if name == "Unsupported" and strict:
        from pytest_exportcheck.errors import Unsupported
        raise Unsupported("no strict capture")
    return Program((lambda x: x + 1) if name == "Wrong" and not strict else copy.deepcopy(module))

def decompose(self, program, decomp_table=None):
    if type(program.module()).__name__ == "Unlowered":
        raise ValueError("no")
    return program
"""

PLAIN = """
import pytest

def test_passes(): pass
def test_fails(): assert 0
def test_skips(): pytest.skip("not today")
"""


def outcomes(pytester, *arguments):
    """id -> what pytest and the summary say of the item, with the first line of why."""
    recorder = pytester.inline_run(
        "--exportcheck", "--exportcheck-engines=echo", MODES, "-p", "no:cacheprovider", *arguments
    )
    told = {}
    for report in recorder.getreports("pytest_runtest_logreport"):
        if report.when == "call":
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr).partition("\n")[0]
            outcome = message_of(report).outcome
            told[report.nodeid] = (report.outcome, outcome.status if outcome else None, why)
    return told


def test_outcomes_are_the_same_with_and_without_workers(pytester, run_faulty):
    pytester.makepyfile(case_mixed=MIXED, test_plain=PLAIN)
    run_faulty(METHODS, "--collect-only")  # writes the conftest
    alone, shared = outcomes(pytester), outcomes(pytester, "-n", "2")
    assert shared == alone
    assert len(alone) == 9 * 4 + 3
    statuses = {status for _, status, _ in alone.values()}
    assert statuses == {None, "passed", "failed", "expected", "stale", "blocked", "unsupported", "error", "skipped"}


DEADLY = """
import os, signal, torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2),))
class Deadly(torch.nn.Identity):
    pass

@export_case(args=lambda: (torch.randn(2),))
def leaves():
    os._exit(3)

@export_case(args=lambda: (torch.randn(2),))
class Sound(torch.nn.Identity):
    pass
"""

CRASH = """
def decompose(self, program, decomp_table=None):
    if type(program.module()).__name__ == "Deadly":
        import os, signal
        os.kill(os.getpid(), signal.SIGSEGV)
    return program
"""


@pytest.fixture
def run_deadly(pytester, run_faulty):
    """Runs cases of which one crashes in an edge and one ends its process while it is set up."""
    pytester.makepyfile(case_deadly=DEADLY)

    def run(*arguments):
        return run_faulty(CRASH, MODES, "-p", "no:cacheprovider", "-p", "no:faulthandler", *arguments)

    return run


def test_a_worker_that_dies_costs_what_builds_on_its_stage(run_deadly):
    result = run_deadly("-n", "2", "-rs")
    result.assert_outcomes(passed=6, failed=2, skipped=4)
    assert result.stdout.str().count("replacing crashed worker") == 2
    assert result.stdout.str().count("\nengine    echo") == 1
    result.stdout.fnmatch_lines_random(
        [
            "*_ Deadly[[]echo-nonstrict-decompose] _*",
            "worker 'gw?' crashed while running 'case_deadly.py::Deadly[[]echo-nonstrict-decompose]'",
            "It was running echo-nonstrict-decompose of Deadly. Modes that depend on it are blocked in this run.",
            "worker 'gw?' crashed while running 'case_deadly.py::leaves[[]echo-nonstrict]'",
            "It was setting up leaves. Modes that depend on it are blocked in this run.",
            "  Deadly  . ! b      .",
            "  leaves  ! b b      b",
            "  Sound   . . .      .",
            "exportcheck: 3 cases, 12 items: 6 passed, 4 blocked, 2 interrupted",
            "SKIPPED [[]1] *: blocked: echo-nonstrict-decompose of Deadly ended worker gw? (crashed) in this run",
            "SKIPPED [[]3] *: blocked: setting up leaves ended worker gw? (crashed) in this run",
        ]
    )


def test_x_counts_a_worker_that_died(run_deadly):
    result = run_deadly("-n", "1", "-x")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*! stopping after 1 failures !*"])


def test_threads_are_divided_among_workers(echo, run_echo, linear):
    """The header of the controller, what a case meets in a worker, and how to have the same again."""
    text = linear.replace("return self.layer(x)", "raise ValueError(f'{torch.get_num_threads()} threads')")
    echo.makepyfile(case_linear=text)
    share = max(1, torch.get_num_threads() // 2)
    result = run_echo("-n", "2", "--exportcheck-modes=strict")
    result.stdout.fnmatch_lines(
        [f"exportcheck: *, seed 0, threads {share} in each of 2 workers", f"*ValueError: {share} threads"]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "no case found. Decorate a module class *"),
        (("--exportcheck-source=torchvison:resnet18",), "*torchvison*"),
        (("-o", "exportcheck_import=no_such_module"), "exportcheck_import names 'no_such_module', which cannot be *"),
    ],
)
def test_what_ends_the_collection_of_workers_is_told_by_the_controller(echo, run_echo, options, message):
    echo.makepyfile(test_plain="def test_passes(): pass")
    for workers in ((), ("-n", "2")):
        result = run_echo(*options, *workers)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        told = result.stdout if workers else result.stderr
        told.fnmatch_lines([f"ERROR: exportcheck: {message}"])
        assert str(told).count("ERROR: exportcheck") == 1


def test_the_rows_are_in_the_order_of_collection(echo, run_echo, linear):
    names = ["Last", "Middle", "First", "Another"]
    echo.makepyfile(case_linear="\n".join(linear.replace("Linear(torch", f"{name}(torch") for name in names))
    for workers in ((), ("-n", "2")):
        result = run_echo(*workers, "--exportcheck-modes=nonstrict,strict")
        result.stdout.fnmatch_lines([f"  {name:<7}  .          ." for name in names], consecutive=True)


def test_without_xdist_nothing_asks_for_it(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear)
    run_echo("-p", "no:xdist", "--exportcheck-modes=strict").assert_outcomes(passed=1)


FUZZED = """
import os, torch
from torch.export import Dim
from pytest_exportcheck import export_case

def leave():
    with open({deaths!r}, "a") as file:
        file.write("x")
    os._exit(3)

@export_case(args=(torch.ones(4, 3),), dynamic_shapes={{"x": {{0: Dim("batch", min=2, max=9)}}}})
class Net(torch.nn.Module):
    def forward(self, x):
        {body}
        return x * 2
"""
DIES = "if x.shape[0] != 4: leave()"

#: Only a program that was loaded ends its process at other sizes.
LOADED = """
def load(self, file, *, extra_files=None):
    import sys
    model = self.saved.module()
    class Loaded(torch.nn.Module):
        def forward(self, x):
            if x.shape[0] != 4:
                sys.modules["case_net"].leave()
            return model(x)
    return Program(Loaded())
"""
LONGER = "--exportcheck-modes=nonstrict,nonstrict-serdes,nonstrict-serdes-serdes"


@pytest.fixture
def run_fuzzed(pytester, run_faulty):
    """Runs a model that ends its process when its size is not the example's; gives the result, and how often it did."""
    deaths = pytester.path / "deaths"

    def run(*arguments, body=DIES, methods=""):
        pytester.makepyfile(case_net=FUZZED.format(deaths=str(deaths), body=body))
        options = ("-p", "no:cacheprovider", "-n", "1", "--exportcheck-fuzz=9", LONGER, "-rs", *arguments)
        result = run_faulty(methods or "pass", *options)
        return result, len(deaths.read_text())

    return run


def test_a_fuzz_stage_that_ends_its_worker_is_not_run_again(run_fuzzed):
    result, deaths = run_fuzzed()
    assert deaths == 1
    result.stdout.fnmatch_lines_random(
        [
            "worker 'gw?' crashed while running 'case_net.py::Net[[]echo-nonstrict-fuzz]'",
            "It was running echo-nonstrict-fuzz of Net. Modes that depend on it are blocked in this run.",
            "  Net    .! .b .b",
            "SKIPPED [[]2] *: blocked: echo-nonstrict-fuzz of Net ended worker gw0 (crashed) in this run",
        ]
    )


def test_a_fuzz_stage_that_ends_its_worker_inside_another_one_is_the_one_at_fault(run_fuzzed):
    result, deaths = run_fuzzed("-k", "serdes-fuzz")
    assert deaths == 1
    result.stdout.fnmatch_lines_random(
        [
            "worker 'gw?' crashed while running 'case_net.py::Net[[]echo-nonstrict-serdes-fuzz]'",
            "It was running echo-nonstrict-fuzz of Net. Modes that depend on it are blocked in this run.",
            "SKIPPED [[]1] *: blocked: echo-nonstrict-fuzz of Net ended worker gw0 (crashed) in this run",
        ]
    )


def test_a_stage_that_ran_another_one_is_known_when_it_ends_its_worker_later(run_fuzzed):
    result, deaths = run_fuzzed("-k", "serdes-fuzz", body="pass", methods=LOADED)
    assert deaths == 1
    result.stdout.fnmatch_lines_random(
        [
            "worker 'gw?' crashed while running 'case_net.py::Net[[]echo-nonstrict-serdes-fuzz]'",
            "It was running echo-nonstrict-serdes-fuzz of Net. Modes that depend on it are blocked in this run.",
            "SKIPPED [[]1] *: blocked: echo-nonstrict-serdes-fuzz of Net ended worker gw0 (crashed) in this run",
        ]
    )
