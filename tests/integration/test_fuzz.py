"""Fuzzing as a user sees it: which items there are, what they print, options, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CASES = """
import torch
from torch.export import Dim
from pytest_exportcheck import export_case, expect_failure

BATCH = Dim("batch", min=2, max=9)

class Double(torch.nn.Module):
    def forward(self, x):
        return x * 2

@export_case(args=(torch.arange(12.0).reshape(4, 3),), dynamic_shapes={{"x": {{0: BATCH}}}}{options})
def double():
    return Double()

@export_case(args=(torch.ones(4, 3),))
def static():
    return Double()
"""

#: A program that computes something else where its input has five rows, and refuses seven.
WRONG = """
def export(self, module, args, kwargs=None, **_):
    class Wrong(torch.nn.Module):
        def forward(self, x):
            if x.shape[0] == 7:
                raise RuntimeError("no sevens")
            return module(x) + (x.shape[0] == {size})
    return Program(Wrong())
"""


@pytest.fixture
def run(pytester, run_faulty):
    def run(*arguments, options="", size=5, fuzz="--exportcheck-fuzz=40", engine=WRONG, modes="nonstrict"):
        pytester.makepyfile(case_double=CASES.format(options=options))
        text = engine.format(size=size)
        return run_faulty(text, fuzz, f"--exportcheck-modes={modes}", "-p", "no:cacheprovider", *arguments)

    return run


def test_a_case_with_a_dynamic_dim_gains_an_item_per_mode(run):
    result = run("--co", "-q", modes="nonstrict,nonstrict-serdes")
    result.stdout.fnmatch_lines(
        [
            "case_double.py::double[[]echo-nonstrict[]]",
            "case_double.py::double[[]echo-nonstrict-fuzz[]]",
            "case_double.py::double[[]echo-nonstrict-serdes[]]",
            "case_double.py::double[[]echo-nonstrict-serdes-fuzz[]]",
            "case_double.py::static[[]echo-nonstrict[]]",
            "case_double.py::static[[]echo-nonstrict-serdes[]]",
        ],
        consecutive=True,
    )


def test_without_the_option_there_is_none(run):
    result = run("--co", "-q", fuzz="-q")
    result.stdout.no_fnmatch_line("*fuzz*")


def test_the_smallest_sizes_are_shown_as_what_to_paste_and_how_to_run_again(run):
    result = run()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "fuzz broke outputs and sizes",
            "  outputs: output: value  (on batch=5)",
            "    expected: * at [[]0, 0[]]",
            "    got:      * at [[]0, 0[]]",
            "    15 of 15 elements differ, by at most 1",
            "    to test these sizes in every run, write in the case: sizes=[[]{'batch': 5}[]]",
            "  sizes: batch: narrowed  (on batch=7)",
            "    expected: accepted, as by eager: batch 2..9",
            "    got:      RuntimeError: no sevens",
            "    to test these sizes in every run, write in the case: sizes=[[]{'batch': 7}[]]",
            'Reproduce with: pytest --exportcheck * --exportcheck-fuzz=40 "case_double.py::double[[]echo-nonstrict-fuzz[]]"',
        ]
    )


def test_a_pinned_size_is_run_with_a_single_example(run):
    result = run(options=', sizes=[{"batch": 5}]', fuzz="--exportcheck-fuzz=1")
    result.stdout.fnmatch_lines(["  outputs: output: value  (on batch=5)"])


def test_what_a_capture_computes_wrongly_is_told_once(run):
    result = run("-rs", modes="nonstrict,nonstrict-serdes")
    result.assert_outcomes(passed=4, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*blocked by nonstrict-fuzz*"])


def test_the_mode_before_is_fuzzed_though_it_is_no_part_of_the_run(run):
    result = run("-k", "serdes-fuzz", modes="nonstrict,nonstrict-serdes")
    result.assert_outcomes(failed=1, deselected=5)
    result.stdout.fnmatch_lines(["nonstrict-fuzz is broken; this mode builds on it, and it is not part of this run:"])


def test_a_program_that_takes_more_and_computes_the_same_passes(run):
    """Sizes 0, 1 and 10 are not declared, nor is another width."""
    result = run("--exportcheck-json=out.json", size=-1, engine=WRONG.replace("== 7", "== -7"))
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["  sizes.undeclared_refused  fuzz kept 0 of 2"])


def test_a_program_that_takes_more_and_computes_something_else_fails(run):
    result = run(size=10, engine=WRONG.replace("== 7", "== -7"))
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "  sizes: batch: accepted and computed otherwise  (on args[[]0[]].size(0)=10)",
            "    expected: refused: declared are batch 2..9",
            "    got:      accepted",
            "    outputs: output: value: expected * at [[]0, 0[]], got * at [[]0, 0[]]",
        ]
    )


def test_an_expected_failure_of_fuzzing(run):
    both = ', expect=[expect_failure("*-fuzz", check="outputs", reason="a"), expect_failure("*-fuzz", check="sizes", reason="b")]'
    run(options=both).assert_outcomes(passed=2, xfailed=1)


def test_inputs_that_eager_refuses_are_counted(run, pytester):
    pytester.makepyfile(
        case_index="""
import torch
from torch.export import Dim
from pytest_exportcheck import export_case

class Fourth(torch.nn.Module):
    def forward(self, x):
        return x[3] * 2

@export_case(args=(torch.arange(4.0),), dynamic_shapes={"x": {0: Dim("n", max=9)}})
def fourth():
    return Fourth()
"""
    )
    result = run("-k", "fourth", engine="pass")
    result.stdout.fnmatch_lines(["note: fourth: fuzz: eager itself refused 4 of 10 inputs (IndexError)"])


TOGETHER = ", inputs=lambda batch: (torch.full((batch, 3), {value}),)"


def test_inputs_that_belong_together_come_from_the_case(run):
    result = run(options=TOGETHER.format(value="float(batch)"))
    result.stdout.fnmatch_lines(["    expected: 10 at [[]0, 0[]]", "    got:      11 at [[]0, 0[]]"])


def test_an_argument_may_be_a_strategy(run):
    strategy = ", inputs=lambda batch: (__import__('hypothesis').strategies.integers(3, 8).map(lambda n: torch.full((batch, 3), float(n))),)"
    result = run(options=strategy)
    result.stdout.fnmatch_lines(["    expected: 6 at [[]0, 0[]]", "    got:      7 at [[]0, 0[]]"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ', sizes=[{"batch": 10}]',
            "case 'double' (*:11): sizes=[[]{'batch': 10}[]] is not among the declared sizes: batch 2..9. Pin declared sizes, or declare these.",
        ),
        (
            ', sizes=[{"rows": 3}]',
            "case 'double' (*:11): sizes=[[]{'rows': 3}[]] names 'rows', which dynamic_shapes does not. Its dims: batch.",
        ),
        (
            ", inputs=lambda rows: (torch.ones(rows, 3),)",
            "case 'double' (*:11): its inputs callable is called with the sizes of batch by name, but takes (rows): missing a "
            "required argument: 'rows'.",
        ),
        (
            ", inputs=lambda batch: torch.ones(batch, 3)",
            "case 'double' (*:11): its inputs callable must return a tuple of positional arguments, a dict of keyword arguments, "
            "or a tuple of both, got Tensor. For one argument write (x,).",
        ),
        (
            ", inputs=lambda batch: 1 / 0",
            "case 'double' (*:11): its inputs callable raised ZeroDivisionError: division by zero",
        ),
    ],
)
def test_what_is_declared_wrongly_is_told_once(run, options, message):
    result = run(options=options, modes="nonstrict,nonstrict-serdes")
    result.stdout.fnmatch_lines([message])
    assert result.parseoutcomes()["failed"] == 1
    assert "Traceback" not in result.stdout.str()


def test_dynamic_shapes_that_admit_no_size(run, pytester):
    pytester.makepyfile(
        case_none="""
import torch
from torch.export import Dim
from pytest_exportcheck import export_case

@export_case(args=(torch.ones(4),), dynamic_shapes=({0: Dim("n", max=9) - 10},))
def none():
    return torch.nn.Identity()
"""
    )
    result = run("-k", "none", engine="pass")
    result.stdout.fnmatch_lines(["case 'none' (*:5): dynamic_shapes allows no size: n *. Correct its bounds."])


@pytest.mark.parametrize(
    ("fuzz", "also", "message"),
    [
        (
            "--exportcheck-fuzz=many",
            "-q",
            "*--exportcheck-fuzz takes a number of examples, at least 1, got 'many'. Before a path, write the number: --exportcheck-fuzz=25.",
        ),
        ("--exportcheck-fuzz=0", "-q", "*--exportcheck-fuzz takes a number of examples, at least 1, got '0'.*"),
        ("-q", "--exportcheck-fuzz-also=layout", "*--exportcheck-fuzz-also needs --exportcheck-fuzz. Add it."),
        (
            "--exportcheck-fuzz",
            "--exportcheck-fuzz-also=layout,colour",
            "*--exportcheck-fuzz-also takes layout, special, dtype, rank, got colour.",
        ),
    ],
)
def test_options_that_cannot_be_read(run, fuzz, also, message):
    result = run(also, fuzz=fuzz)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


#: A program that takes the memory of its input for contiguous.
FLAT = """
def export(self, module, args, kwargs=None, **_):
    class Flat(torch.nn.Module):
        def forward(self, x):
            {body}
            return module(x)
    return Program(Flat())
"""


@pytest.mark.parametrize(
    ("also", "body", "shown"),
    [
        ("layout", "x = torch.as_strided(x, x.shape, (x.shape[1], 1), 0)", "*value*(on batch=2, args[[]0[]] *)"),
        ("layout", "x.view(-1)", "*narrowed*(on batch=2, args[[]0[]] *)"),
        ("special", "x = x.nan_to_num()", "*value*(on batch=2, args[[]0[]] with nan)"),
        ("dtype", "x = x.float()", "*dtype*(on batch=2, args[[]0[]] as *)"),
        ("rank", "x = x if x.dim() == 2 else x.flatten()", "*shape*(on batch=2, args[[]0[]] *dim*)"),
    ],
)
def test_what_else_is_drawn_on_request(run, also, body, shown):
    run(engine=FLAT.replace("{body}", body)).assert_outcomes(passed=3)
    result = run(f"--exportcheck-fuzz-also={also}", engine=FLAT.replace("{body}", body))
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([f"  {shown}"])


def test_a_program_may_refuse_what_nobody_declared(run):
    """A dtype and a rank are no promise, a layout is."""
    body = "assert x.dtype == torch.float32 and x.dim() == 2"
    run("--exportcheck-fuzz-also=dtype,rank", engine=FLAT.replace("{body}", body)).assert_outcomes(passed=3)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one process", "workers"])
def test_seed_statistics_and_database_are_hypothesis_own(pytester, run, workers):
    pytester.makepyfile(conftest="")
    run("--co")  # writes the files
    arguments = (
        "--exportcheck",
        "--exportcheck-engines=echo",
        "--exportcheck-modes=nonstrict",
        "--hypothesis-profile=default",  # where CI is set, hypothesis takes a profile without a database
        *workers,
    )
    seeded = ("--exportcheck-fuzz=30", "--hypothesis-show-statistics", "--hypothesis-seed=1")
    first = pytester.runpytest_subprocess(*arguments, *seeded)
    first.stdout.fnmatch_lines(["  outputs: output: value  (on batch=5)"])
    assert first.parseoutcomes()["failed"] == 1
    if not workers:  # pytest-xdist's workers do not hand statistics on
        first.stdout.fnmatch_lines(["case_double::double[[]echo-nonstrict-fuzz[]]:", "*passing*failing*"])
    assert (pytester.path / ".hypothesis" / "examples").is_dir()
    again = pytester.runpytest_subprocess(*arguments, "--exportcheck-fuzz=2")
    again.stdout.fnmatch_lines(["  outputs: output: value  (on batch=5)"])


def test_a_case_of_a_source_is_fuzzed(pytester, run):
    run("--co")
    (pytester.path / "case_double.py").rename(pytester.path / "shop.py")
    pytester.makeini("[pytest]\npythonpath = .")
    result = pytester.runpytest(
        "--exportcheck",
        "--exportcheck-engines=echo",
        "--exportcheck-modes=nonstrict",
        "--exportcheck-fuzz=30",
        "--exportcheck-source=import:shop:double",
        "-p",
        "no:cacheprovider",
    )
    result.stdout.fnmatch_lines(["  outputs: output: value  (on batch=5)"])


def test_the_fixture_fuzzes_too(pytester, run):
    run("--co")
    pytester.makepyfile(
        test_model="""
import torch
from case_double import Double, BATCH

def test_model(exportcheck):
    exportcheck(Double(), (torch.ones(4, 3),), dynamic_shapes=({0: BATCH},), engines=["echo"], modes=["nonstrict"], fuzz=30)
"""
    )
    result = pytester.runpytest("-p", "no:cacheprovider", "test_model.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*1 of 2 modes failed", "*outputs: output: value  (on batch=5)"])


def test_a_time_ends_fuzzing_and_the_summary_counts_examples(run, pytester):
    result = run("--exportcheck-fuzz-time=1.5", "--exportcheck-json=out.json", fuzz="--exportcheck-fuzz", size=-1)
    result.assert_outcomes(passed=2, failed=1)  # it refuses seven rows
    result.stdout.fnmatch_lines(
        [
            "  sizes: batch: narrowed  (on batch=7)",
            "Reproduce with: pytest --exportcheck * --exportcheck-fuzz --exportcheck-fuzz-time=1.5 *",
            "examples tried by fuzzing, with 1.5 s for the run:",
            "  double[[]echo[]]: nonstrict [1-9]*",
        ]
    )
    items = {each["mode"]: each["examples"] for each in json.loads(Path("out.json").read_text())["items"]}
    assert items["nonstrict"] == 0
    assert items["nonstrict-fuzz"] >= 8


def test_a_time_that_is_too_short_is_named(run):
    engine = WRONG.replace("== 7", "== -7")
    result = run("--exportcheck-fuzz-time=0.000001", fuzz="--exportcheck-fuzz", size=-1, engine=engine)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "examples tried by fuzzing, with 1e-06 s for the run:",
            "  double[[]echo[]]: nonstrict 2",
            "note: double: fuzz: its part of the time, 0.0 s, was enough for 1 example of",
            "  declared sizes; without a time it tries 25. Give more seconds with",
            "  --exportcheck-fuzz-time.",
        ]
    )


def test_a_time_that_is_enough_for_every_size_is_not_named(run):
    engine = WRONG.replace("== 7", "== -7")
    result = run("--exportcheck-fuzz-time=2", fuzz="--exportcheck-fuzz", size=-1, engine=engine)
    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*part of the time*")
