"""The merge of the reports of several runs: shards of one run, retries, or runs with other settings (a second torch,
say).

An item is identified by its id and the settings of its run. Each outcome that the runs have for one item is kept: the
worst among the items, the others as ``overruled``. So the order and the grouping of files do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.records import Outcome, Report, Run, RunError, RunSettings
from pytest_exportcheck.reports.failure import headline
from pytest_exportcheck.reports.job_summary import not_run_text, settings_text
from pytest_exportcheck.reports.json_report import read_report, write_report
from pytest_exportcheck.reports.lines import WIDTH, count
from pytest_exportcheck.reports.report import report_of_runs
from pytest_exportcheck.reports.terminal import counts_lines


def merge_files(out: Path, files: Sequence[Path]) -> tuple[Report, list[str]]:
    """Read the files, merge them and write the result; return the report and the lines to print.

    Raises
    ------
    ReportError
        For a file that cannot be read or written, or where writing would lose something.
    """
    joined = merged([read_report(path) for path in files])
    if out.exists() and out.resolve() not in {path.resolve() for path in files}:
        _refuse_to_lose(out, joined)
    write_report(out, joined)
    return joined, list(merged_lines(joined))


def _refuse_to_lose(out: Path, joined: Report) -> None:
    """Refuse to overwrite a report: ``exportcheck merge shard-*.json`` names a shard as the file to write. A merge of
    the same runs may be replaced.
    """
    try:
        runs = read_report(out).runs
    except ReportError as error:
        raise ReportError(
            f"{out} would be overwritten, but is not a merged report. Delete it, or name another file. ({error})"
        ) from None
    if len(runs) == 1 and runs[0] not in joined.runs:
        raise ReportError(
            f"{out} would be overwritten, but is the report of one run and not among those to merge. "
            "Write the name of the merged file first: exportcheck merge OUT IN [IN ...]."
        )


def merged(reports: Sequence[Report]) -> Report:
    """Return one report with the content of all. A run that is in several files counts once."""
    runs = sorted({run for report in reports for run in report.runs}, key=_order)
    index = {run: number for number, run in enumerate(runs)}
    groups: dict[tuple[str, RunSettings], list[Outcome]] = {}
    errors: list[RunError] = []
    for report in reports:
        moved = [index[run] for run in report.runs]
        for item in (*report.items, *report.overruled):
            key = (item.nodeid, report.runs[item.run].settings)
            groups.setdefault(key, []).append(replace(item, run=moved[item.run]))
        errors += (replace(error, run=moved[error.run]) for error in report.errors)
    outcomes = [_outcomes(group) for group in groups.values()]
    return report_of_runs(
        runs,
        [first for first, *_ in outcomes],
        dict.fromkeys(errors),
        [item for _, *others in outcomes for item in others],
    )


def _order(run: Run) -> tuple[bytes, bytes]:
    """Return a sort key: settings, then time, then the rest, so that the order is total."""
    return (msgspec.json.encode(run.settings), msgspec.json.encode([run.started, run]))


def _outcomes(group: Sequence[Outcome]) -> list[Outcome]:
    """Return one item for each different outcome, that of the earliest run; the worst first."""
    different: dict[bytes, Outcome] = {}
    for item in sorted(group, key=lambda item: item.run):
        different.setdefault(msgspec.json.encode((item.status, item.reason, item.findings)), item)
    return sorted(different.values(), key=_badness)


def _badness(item: Outcome) -> tuple[int, int]:
    return (item.status.rank, item.run)


def merged_lines(report: Report) -> Iterator[str]:
    """Yield the lines of ``exportcheck merge``: what failed and what is missing, then the counts for each kind of
    settings.
    """
    for error in report.errors:
        yield f"error {error.nodeid}: {_first_line(error.reason)}"
    for item in report.items:
        if item.status.fails:
            text = headline(item) if item.findings or item.reason else "no reason was reported"
            yield f"{item.status} {_named(report, item)}: {_first_line(text).removesuffix(':')}"
    kept = {_key(report, item): item for item in report.items}
    for item in report.overruled:
        other = kept[_key(report, item)]
        yield (
            f"overruled {_named(report, item)}: {item.status} in run {item.run}, but {other.status} in run {other.run}, "
            "which is counted"
        )
    for number, run in enumerate(report.runs):
        if run.selected is None or run.not_run:
            why = f" ({run.stopped})" if run.stopped else ""
            elsewhere = "; other runs ran them" if report.complete else ""
            yield f"run {number} is not complete{why}: {not_run_text(len(run.not_run), run.selected)}{elsewhere}"
    for settings in dict.fromkeys(run.settings for run in report.runs):
        numbers = [number for number, run in enumerate(report.runs) if run.settings == settings]
        yield f"{settings_text(settings)}: {count(len(numbers), 'run')}"
        items = [each for each in report.items if each.run in numbers]
        yield from (line.text for line in counts_lines(items, WIDTH))


def _key(report: Report, item: Outcome) -> tuple[str, RunSettings]:
    return (item.nodeid, report.runs[item.run].settings)


def _named(report: Report, item: Outcome) -> str:
    """Return the id, and the torch version where the report has several."""
    several = len({run.settings.torch for run in report.runs}) > 1
    return f"{item.nodeid} (torch {report.runs[item.run].settings.torch})" if several else item.nodeid


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
