"""Small reports for tests of what is made of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from pytest_exportcheck.reports.report import FindingReport, ItemReport, Report, Run, Settings, report_of_runs

VALUE = FindingReport(check="outputs", place="output", kind="value", expected="1 at [0]", actual="2 at [0]")
TIED = FindingReport(
    check="state", place="w", kind="untied", expected="one", actual="two", verdict="known", known_as="serdes-splits"
)


def settings(torch="2.14.1", **options) -> Settings:
    given = {"exportcheck": "0.1.0", "python": "3.11.7", "platform": "linux-x86_64", "profile": "ship"}
    return Settings(**{**given, "seed": 0, "threads": 2, "torch": torch, **options})


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


def item(case="net", mode="nonstrict", status="passed", *, path="case_a.py", run=0, **options) -> ItemReport:
    return ItemReport(
        nodeid=f"{path}::{case}[torch-{mode}]",
        run=run,
        path=path,
        case=case,
        engine="torch",
        mode=mode,
        status=status,
        file=path,
        line=3,
        **options,
    )


def report(*items, runs=None, errors=(), overruled=()) -> Report:
    return report_of_runs(runs or [run(selected=len(items))], items, errors, overruled)
