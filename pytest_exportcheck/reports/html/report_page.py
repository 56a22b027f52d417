"""The page of a report, of one run or of several merged ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_exportcheck.records import Report
from pytest_exportcheck.reports.html import tables
from pytest_exportcheck.reports.html.columns import Settings, cases_of, matrix_of
from pytest_exportcheck.reports.html.findings import articles_of
from pytest_exportcheck.reports.html.page import page, write_page
from pytest_exportcheck.reports.job_summary import not_run_text
from pytest_exportcheck.reports.json_report import read_report
from pytest_exportcheck.reports.lines import count
from pytest_exportcheck.reports.merge import merged


def report_page(report: Report) -> bytes:
    """Render the page. The same report gives the same bytes."""
    settings, cases = Settings.of(report), cases_of(report)
    kinds = {kind: number for number, kind in enumerate(settings.kinds)}

    def number(part: Any) -> int:
        return kinds[report.runs[part.run].settings]

    articles = articles_of(cases, settings, number)
    heading = _heading(report, len(cases))
    return page(
        "report.html.j2",
        title=f"exportcheck: {heading}",
        heading=heading,
        report=report,
        settings=settings,
        matrix=matrix_of(report, settings, cases, articles.targets, articles.shown_at),
        articles=articles.articles,
        incomplete=list(_incomplete(report, settings)),
        defects=tables.defects(report, settings, number),
        ledger=tables.ledger(report, settings, number),
        packages=tables.packages(report.items),
        sizes=tables.sizes(report, settings, number),
        stages=tables.stage_times(report, settings, number),
        slowest=tables.slowest(report, settings, number),
        notes=tables.notes(report.items),
        settings_rows=tables.settings_table(settings),
        not_run=_not_run(report),
    )


def write_report_page(path: Path, report: Report) -> None:
    """Write the page of a report whole or not at all.

    Raises
    ------
    ReportError
        Where the file cannot be written, or another file would be lost.
    """
    write_page(path, report_page(report))


def page_of_files(path: Path, files: Sequence[Path]) -> Report:
    """Read reports, and write the page of all of them.

    Raises
    ------
    ReportError
        For a file that cannot be read or written.
    """
    report = merged([read_report(each) for each in files])
    write_report_page(path, report)
    return report


def _heading(report: Report, cases: int) -> str:
    failing = len({(item.path, item.case) for item in report.items if item.status.fails})
    errors = f"; {count(len(report.errors), 'error')}" if report.errors else ""
    if not report.items:
        return f"No item ran{errors}"
    if failing:
        return f"{failing} of {count(cases, 'case')} {'fails' if failing == 1 else 'fail'}{errors}"
    return f"None of {count(cases, 'case')} fails{errors}"


def _incomplete(report: Report, settings: Settings) -> Iterator[str]:
    for run in report.runs if not report.complete else ():
        if run.selected is None or run.not_run:
            why = f" ({run.stopped})" if run.stopped else ""
            text = not_run_text(len(run.not_run), run.selected)
            where = f"{settings.labels[settings.kinds.index(run.settings)]}: " if settings.several else ""
            yield f"{where}{text}{why}."


def _not_run(report: Report) -> list[str]:
    judged = {(item.nodeid, report.runs[item.run].settings) for item in report.items}
    return [nodeid for run in report.runs for nodeid in run.not_run if (nodeid, run.settings) not in judged]
