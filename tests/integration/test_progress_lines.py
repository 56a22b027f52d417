"""Lines about the progress of a long run, in a terminal: a pseudo terminal here."""

from __future__ import annotations

import os
import re
import sys
import threading

import pytest

CASES = """
import torch
from pytest_exportcheck import export_case

class Double(torch.nn.Module):
    def forward(self, x):
        {body}
        return x * 2

for number in range(4):
    export_case(args=(torch.ones(2),), name=f"double{{number}}")(Double)
"""
EVERY = r"exportcheck: (\d) of 4 items done in \d+ s(, about 10 s left \(by the .*\))?"


@pytest.fixture(autouse=True)
def after_every_item(monkeypatch):
    """Lines after every item, not only in runs of more than half a minute."""
    monkeypatch.setattr("pytest_exportcheck.session.progress._FIRST", 0.0)
    monkeypatch.setattr("pytest_exportcheck.session.progress._MOST", 0.0)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def in_terminal(pytester, monkeypatch, run_faulty):
    """Run pytest in this process with a pseudo terminal as its standard output, and return the lines there."""

    def run(*arguments, body="pass"):
        pytester.makepyfile(case_double=CASES.format(body=body))
        master, slave = os.openpty()
        text: list[bytes] = []
        reader = threading.Thread(target=lambda: text.extend(iter(lambda: _read(master), b"")))
        reader.start()
        with os.fdopen(slave, "w") as terminal, monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", terminal)
            patched.setattr(pytester, "runpytest", pytester.inline_run)
            run_faulty("pass", "--exportcheck-modes=nonstrict", "--color=no", *arguments)
        reader.join()
        os.close(master)
        return b"".join(text).decode().replace("\r\n", "\n").split("\n")

    return run


def _read(master):
    """Read from a pseudo terminal until its other end is closed."""
    try:
        return os.read(master, 4096)
    except OSError:
        return b""


def of_run(lines):
    """The lines between the collection and the summary."""
    first = next(number for number, line in enumerate(lines) if "collected 4 items" in line)
    last = next(number for number, line in enumerate(lines) if re.match(r"=+ exportcheck =+", line))
    return lines[first + 2 : last]  # a blank line is before the first item


def test_a_line_of_its_own_counts_items_and_estimates_the_rest(in_terminal):
    lines = of_run(in_terminal())
    counted = [re.sub(r"in \d+ s", "in 0 s", line) for line in lines]
    assert counted == [
        "case_double.py .",
        "exportcheck: 1 of 4 items done in 0 s",
        "case_double.py .",
        "exportcheck: 2 of 4 items done in 0 s",
        "case_double.py .",
        "exportcheck: 3 of 4 items done in 0 s, about 10 s left (by the items so far)",
        f"case_double.py .{'[100%]':>83}",
    ]


def test_the_next_run_estimates_from_the_last_one(in_terminal):
    in_terminal()
    lines = of_run(in_terminal())
    assert re.sub(r"in \d+ s", "in 0 s", lines[1]) == (
        "exportcheck: 1 of 4 items done in 0 s, about 10 s left (by the last run)"
    )


def test_names_and_results_stay_in_one_line_with_v(in_terminal):
    lines = of_run(in_terminal("-v"))
    items = [re.sub(r"double\d", "double", line) for line in lines if not re.fullmatch(EVERY, line)]
    assert items == [
        f"case_double.py::double[echo-nonstrict] PASSED{f'[{share:3}%]':>53}" for share in (25, 50, 75, 100)
    ]
    assert len(lines) == 7


@pytest.mark.parametrize("arguments", [(), ("-v",)])
def test_what_a_model_prints_stays_apart(in_terminal, arguments):
    lines = of_run(in_terminal("--capture=no", *arguments, body="print('in forward')"))
    assert len([line for line in lines if re.fullmatch(EVERY, line)]) == 3
    assert not [line for line in lines if "exportcheck:" in line and not re.fullmatch(EVERY, line)]


def test_q_is_quiet(in_terminal):
    assert not [line for line in in_terminal("-q") if "items done" in line]


def test_a_file_gets_no_lines(pytester, run_faulty):
    pytester.makepyfile(case_double=CASES.format(body="pass"))
    result = run_faulty("pass", "--exportcheck-modes=nonstrict")
    result.assert_outcomes(passed=4)
    result.stdout.no_fnmatch_line("*items done*")
