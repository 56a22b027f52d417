"""A page in Markdown for GitHub's summary of a job: counts, the matrix, and what failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_exportcheck.modes import Mode, in_order
from pytest_exportcheck.records import Outcome, Report, RunSettings, Status
from pytest_exportcheck.reports.failure import body_lines
from pytest_exportcheck.reports.lines import count
from pytest_exportcheck.reports.terminal import defects_of
from pytest_exportcheck.reports.wording import defect_text

_FAILURES = 20  # shown with their text
_LINES = 40  # of one text; GitHub takes a page of one MiB
_CASES = 40  # rows of a matrix before those without any failure are left out


def job_summary(report: Report) -> str:
    """Return the page. It ends in an empty line, so that another may follow."""
    return "\n".join([*_page(report), "", ""])


def _page(report: Report) -> Iterator[str]:
    counts = ", ".join(f"{number} {status}" for status, number in report.counts.items())
    yield f"## exportcheck: {counts or 'no item ran'}"
    yield ""
    yield from (settings_text(run.settings) for run in report.runs)
    for run in report.runs:
        if not report.complete:
            why = f" ({run.stopped})" if run.stopped else ""
            yield f"\n**Not complete{why}: {not_run_text(len(run.not_run), run.selected)}.**"
    for engine in dict.fromkeys(item.engine for item in report.items):
        yield from _matrix(engine, [item for item in report.items if item.engine == engine])
    yield from _legend(report)
    yield from _known(report)
    yield from _failures(report)


def settings_text(settings: RunSettings) -> str:
    """Return a run's settings in one line."""
    return (
        f"torch {settings.torch}, python {settings.python}, {settings.platform}, exportcheck {settings.exportcheck}, "
        f"profile {settings.profile}, seed {settings.seed}, threads {settings.threads}"
    )


def not_run_text(not_run: int, selected: int | None) -> str:
    """Return how many items of a run have no outcome."""
    return "it is unknown which items did not run" if selected is None else f"{not_run} of {selected} items did not run"


def _matrix(engine: str, items: Sequence[Outcome]) -> Iterator[str]:
    modes = [str(mode) for mode in in_order(Mode.parse(item.mode) for item in items)]
    rows: dict[tuple[str, str], dict[str, Status]] = {}
    for item in items:
        rows.setdefault((item.path, item.case), {})[item.mode] = item.status
    shown = rows if len(rows) <= _CASES else {key: row for key, row in rows.items() if not _is_green(row)}
    yield ""
    yield f"| {engine} | " + " | ".join(modes) + " |"
    yield "|---|" + ":-:|" * len(modes)
    for (path, case), row in shown.items():
        yield f"| `{path}` {case} | " + " | ".join(_sign(row.get(mode)) for mode in modes) + " |"
    if len(shown) < len(rows):
        yield f"\nand {count(len(rows) - len(shown), 'more case')} without a failure"


def _is_green(row: dict[str, Status]) -> bool:
    return all(status.judged and not status.fails for status in row.values())


def _sign(status: Status | None) -> str:
    if status is None:
        return ""
    return f"**{status.sign}**" if status.fails else status.sign


def _legend(report: Report) -> Iterator[str]:
    if report.counts:
        yield ""
        yield ", ".join(f"{status.sign} {status.legend}" for status in report.counts)


def _known(report: Report) -> Iterator[str]:
    """Yield a list of the known defects that explain findings."""
    defects = defects_of(report.items)
    if defects:
        yield ""
    for defect, number in defects.items():
        text = re.sub(r"([*_`<|])", r"\\\1", defect_text(defect))
        report_of_it = f" ([report]({defect.issue}))" if defect.issue else ""
        yield f"- {text}{report_of_it}: {count(number, 'item')}"


def _failures(report: Report) -> Iterator[str]:
    texts = [(error.nodeid, error.reason.splitlines()) for error in report.errors]
    texts += [(item.nodeid, list(body_lines(item))) for item in report.items if item.status.fails]
    for nodeid, lines in texts[:_FAILURES]:
        yield from _details(nodeid, lines)
    if len(texts) > _FAILURES:
        yield f"\nand {count(len(texts) - _FAILURES, 'more failure')}"


def _details(title: str, lines: Sequence[str]) -> Iterator[str]:
    shown = [*lines[:_LINES], *([f"... {len(lines) - _LINES} more lines"] if len(lines) > _LINES else [])]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    name = title.replace("&", "&amp;").replace("<", "&lt;")
    yield from ("", f"<details><summary><code>{name}</code></summary>", "", fence, *shown, fence, "", "</details>")
