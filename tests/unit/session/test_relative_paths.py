"""Paths in texts lose the folders of the machine."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from pytest_exportcheck.records import (
    Expectation,
    ExpectationMatch,
    Finding,
    Judgement,
    Origin,
    Outcome,
    Raised,
    Status,
)
from pytest_exportcheck.session.relative_paths import RelativePaths

ROOT = Path("/srv/ci/shop")
PATHS = RelativePaths(ROOT)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("raised at /srv/ci/shop/net.py:3 in forward", "raised at net.py:3 in forward"),
        ("'/srv/ci/shop/a/b.py' and '/srv/ci/shop/c.py'", "'a/b.py' and 'c.py'"),
        ("/srv/ci/shopping/net.py", "/srv/ci/shopping/net.py"),
        ("/mnt/srv/ci/shop/net.py", "/mnt/srv/ci/shop/net.py"),
        (f"{sysconfig.get_path('purelib')}/timm/layers/drop.py:3", "timm/layers/drop.py:3"),
        (f"{sysconfig.get_path('stdlib')}/json/decoder.py", "json/decoder.py"),
        (f"{Path.home()}/data/x.bin is not there", "~/data/x.bin is not there"),
        ("no path", "no path"),
    ],
)
def test_a_path_is_cut(text, short):
    assert PATHS.of(text) == short


def test_a_root_folder_below_the_home_folder_is_cut_first():
    assert RelativePaths(Path.home() / "shop").of(f"{Path.home()}/shop/net.py") == "net.py"


def test_the_root_of_the_file_system_is_not_cut():
    assert RelativePaths(Path("/")).of("/srv/ci/shop/net.py") == "/srv/ci/shop/net.py"


LONG, SHORT = "at /srv/ci/shop/net.py:3", "at net.py:3"


def finding(text):
    return Finding(
        check="stage",
        place=text,
        change="raised",
        expected=text,
        actual=text,
        detail=text,
        line=text,
        error=Raised("ValueError", text, text, logged=(text,)),
    )


def outcome(text):
    return Outcome(
        case="net",
        engine="torch",
        mode="strict",
        status=Status.FAILED,
        file=text,
        reason=text,
        notes=(text,),
        findings=(finding(text),),
    )


def test_every_text_of_an_outcome_is_cut():
    assert PATHS.of_outcome(outcome(LONG)) == outcome(SHORT)


def test_what_is_written_into_the_file_of_expected_failures_is_cut():
    entry = Expectation(mode="strict", reason="r", origin=Origin("m", "f", 1))

    def judged(text):
        match = ExpectationMatch(mode="strict", unexcused=(finding(text),), excused=((entry, finding(text)),))
        return Judgement(outcome=outcome(text), reckoning=match)

    assert PATHS.of_judgement(judged(LONG)) == judged(SHORT)


def test_a_judgement_without_expectations_is_cut():
    assert PATHS.of_judgement(Judgement(outcome=outcome(LONG))) == Judgement(outcome=outcome(SHORT))
