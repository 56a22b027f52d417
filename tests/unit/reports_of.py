"""Small reports for tests of what is made of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from pytest_exportcheck.records import Finding, KnownAs, Outcome, Report, Run, RunSettings, Status
from pytest_exportcheck.reports.report import report_of_runs

VALUE = Finding(check="outputs", place="output", change="changed", key="value", expected="1 at [0]", actual="2 at [0]")
TIED = Finding(
    check="state",
    place="w",
    change="untied",
    expected="one",
    actual="two",
    verdict="known",
    known=KnownAs("serdes-splits", "a defect"),
)


def settings(torch="2.14.1", **options) -> RunSettings:
    given = {"exportcheck": "0.1.0", "python": "3.11.7", "platform": "linux-x86_64", "profile": "ship"}
    return RunSettings(**{**given, "seed": 0, "threads": 2, "torch": torch, **options})


def run(minute=0, *, torch="2.14.1", selected=1, not_run=(), stopped="", **options) -> Run:
    return Run(
        settings=settings(torch, **options),
        engines=("torch",),
        modes=("nonstrict", "nonstrict-serdes", "strict"),
        started=datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc) + timedelta(minutes=minute),
        seconds=1.5,
        exit_status=0,
        selected=selected,
        not_run=tuple(not_run),
        stopped=stopped,
    )


def item(
    case="net", mode="nonstrict", status="passed", findings=(), *, path="case_a.py", engine="torch", run=0, **options
) -> Outcome:
    return Outcome(
        nodeid=f"{path}::{case}[{engine}-{mode}]",
        run=run,
        path=path,
        case=case,
        engine=engine,
        mode=mode,
        status=Status(status),  # type: ignore[call-arg]  # by value, not a new member
        file=path,
        line=3,
        findings=findings,
        failing=sum(each.verdict == "broken" for each in findings),
        **options,
    )


def report(*items, runs=None, errors=(), overruled=()) -> Report:
    return report_of_runs(runs or [run(selected=len(items))], items, errors, overruled)
