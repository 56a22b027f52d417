"""The table of runtimes: its models, and the cell of each outcome."""

from __future__ import annotations

import subprocess

import pytest

from benchmarks.runtime_table import checked, is_unknown, models, table, word_of
from tests.unit.reports_of import TIED, VALUE, item


def test_every_model_of_the_file_is_in_the_table():
    found = models()
    assert (len(found), found[0], found[-1]) == (20, "resnet18", "KeepsConfident")


@pytest.mark.parametrize(
    ("outcome", "word", "unknown"),
    [
        (item(), "green", False),
        (item(status="unsupported"), "unsupported", False),
        (item(status="known", findings=(TIED,)), "known: serdes-splits", False),
        (item(status="failed", findings=(TIED,)), "**known: serdes-splits**", False),
        (item(status="failed", findings=(TIED, VALUE)), "**failed**", True),
        (item(status="failed"), "**failed**", True),
        (item(status="blocked"), "blocked", True),
    ],
)
def test_the_cell_of_an_outcome_is_bold_if_it_fails(outcome, word, unknown):
    assert (word_of(outcome), is_unknown(outcome)) == (word, unknown)


def test_a_model_that_takes_too_long_is_not_run(monkeypatch, capsys):
    def stopped(command, *, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", stopped)
    assert checked("onnx", "resnet18", 240) is None
    assert capsys.readouterr().err == "onnx, resnet18: stopped after 240 seconds\n"
    lines = list(table({"onnx": {}}, ["resnet18"]))
    assert lines[:3] == ["| model | onnx |", "|---|---|", "| resnet18 | not run |"]
