"""The examples of the docs do what the docs say."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from pytest_exportcheck.policy import CONTRACT, KNOWN, METADATA, TOLERATED
from pytest_exportcheck.policy.contract import COLUMNS, JUDGED
from pytest_exportcheck.records import FIELDS, Finding, Outcome, Report, Run
from pytest_exportcheck.reports.json_report import encoded
from pytest_exportcheck.reports.report import report_of_runs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]


def examples(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_page_leads_to_a_page_and_a_heading(page):
    links = re.findall(r"\]\(([\w./-]+\.md)(?:#([\w-]+))?\)", page.read_text())
    missing = [file for file, _ in links if not page.parent.joinpath(file).is_file()]
    lost = [(file, anchor) for file, anchor in links if anchor and anchor not in anchors_of(page.parent / file)]
    assert (missing, lost) == ([], [])


def test_the_first_screen_of_the_readme_shows_what_its_example_prints(pytester):
    readme = (ROOT / "README.md").read_text()
    case = re.search(r"```python\n(# case_normalizer\.py\n.*?)```", readme, re.DOTALL)[1]
    shown = re.search(r"```console\n(.*?)```", readme, re.DOTALL)[1].splitlines()
    pytester.makefile(".py", case_normalizer=case)
    result = pytester.runpytest_subprocess("--exportcheck", "--exportcheck-modes", "nonstrict")
    result.assert_outcomes(failed=2, skipped=1)
    printed = result.stdout.str().replace(str(pytester.path), "/home/you/shop").splitlines()
    values = re.compile(r"\d\.\d")  # they may differ between versions of torch
    comparable = [line for line in shown if not line.startswith(("$ ", "[...]")) and not values.search(line)]
    assert len(comparable) > 10
    assert [line for line in comparable if line not in printed] == []


def test_the_example_of_the_report_is_one():
    (text,) = re.findall(r"```json\n(.*?)```", (DOCS / "report.md").read_text(), re.DOTALL)
    report = msgspec.json.decode(text, type=Report)
    assert json.loads(encoded(report)) == json.loads(text)
    assert report_of_runs(report.runs, report.items) == report


def test_the_page_of_the_report_names_every_field():
    page = (DOCS / "report.md").read_text()
    names = {each.name for record in (Run, Outcome, Finding) for each in fields(record)}
    assert [name for name in sorted(names) if f'"{name}"' not in page] == []


def rows_of(table):
    """A contract table as the page shows it."""
    return [f"| `{name}` | " + " | ".join(row.get(each, "-") for each in COLUMNS) + " |" for name, row in table.items()]


def test_the_page_of_the_contract_shows_the_tables():
    page = (DOCS / "contract.md").read_text().splitlines()
    tolerated = [
        f"| {listed(row.names)} | {', '.join(row.columns) or 'any stage'} | {row.reason} |" for row in TOLERATED
    ]
    assert [line for line in [*rows_of(CONTRACT), *rows_of(METADATA), *tolerated] if line not in page] == []


def listed(names):
    return ", ".join(f"`{name}`" for name in names)


def test_the_page_of_the_contract_lists_the_fields_that_ini_options_may_name():
    page = (DOCS / "contract.md").read_text().split("| check | fields |")[1]
    rows = [f"| `{check}` | {listed(sorted(set(FIELDS[check].values())))} |" for check in JUDGED if FIELDS[check]]
    assert re.findall(r"^\| `.*$", page, re.MULTILINE) == rows


def test_the_table_of_known_defects_lists_every_row():
    listed = re.findall(
        r"^\| ([a-z0-9-]+) \|", (DOCS / "verdicts.md").read_text().split("# Known defects")[1], re.MULTILINE
    )
    assert sorted(set(listed) - {"id"}) == sorted(row.id for row in KNOWN)


def test_the_page_of_fuzzing_shows_what_is_found(whole_torch, pytester):
    case, _, _, strategies = examples("fuzzing.md")
    pytester.makepyfile(case_pool=case, test_strategies=strategies)
    result = pytester.runpytest(
        "--exportcheck", "--exportcheck-fuzz", "--exportcheck-modes", "nonstrict,nonstrict-serdes"
    )
    result.assert_outcomes(passed=4, failed=2, skipped=5)
    page = (DOCS / "fuzzing.md").read_text()
    shown = [
        line
        for line in result.stdout.lines
        if re.match(
            r"  outputs|  sizes: batch|    expected: ref|    to test|  Pool|nonstrict raised|    got:      pytest_|  +case_pool|  +A ",
            line,
        )
    ]
    assert len(shown) > 5
    assert [line for line in shown if line not in page] == []


def test_the_page_of_debugging_shows_where_the_difference_starts(whole_torch, pytester):
    page = (DOCS / "debugging.md").read_text()
    pytester.makepyfile(case_scores=examples("debugging.md")[0])
    result = pytester.runpytest("--exportcheck", "--exportcheck-modes", "nonstrict", "--exportcheck-engines", "torch")
    result.assert_outcomes(failed=1)
    shown = [line for line in result.stdout.lines if line.startswith("    ") and "." in line]
    values = re.compile(r"expected:|got:|elements differ")  # their last digits may differ between versions of torch
    comparable = [line for line in shown if not values.search(line)]
    assert len(comparable) >= 7
    assert [line for line in comparable if line not in page] == []


_ENGINE = ("--exportcheck-engines", "torch")


@pytest.mark.parametrize(
    ("name", "options", "cause", "cure"),
    [
        (
            "case_mlp.py",
            ("--exportcheck-modes", "nonstrict,nonstrict-lower"),
            "torch.randn(2, 4),)",
            "torch.randn(2, 4),), tolerance=0.02",
        ),
        (
            "case_quantized.py",
            ("--exportcheck-modes", "nonstrict"),
            "Round.apply(self.linear(x) * 8)",
            "(lambda y: y + (y.round() - y).detach())(self.linear(x) * 8)",
        ),
        (
            "case_pool.py",
            ("--exportcheck-fuzz", "--exportcheck-modes", "nonstrict"),
            "min=1",
            "min=2",
        ),
    ],
)
def test_the_failures_of_the_page_of_debugging_are_real_and_have_the_cure(
    whole_torch, pytester, name, options, cause, cure
):
    page = (DOCS / "debugging.md").read_text()
    files = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", page, re.DOTALL))
    case = pytester.path / name
    case.write_text(f"# {name}\n{files[name]}")
    if name == "case_mlp.py":
        pytester.makeconftest(files["conftest.py"])
    assert f"$ pytest --exportcheck {' '.join((*options, *_ENGINE))}\n" in page
    run = lambda: pytester.runpytest("--exportcheck", *options, *_ENGINE, "-p", "no:cacheprovider")  # noqa: E731
    result = run()
    result.assert_outcomes(failed=1, passed=0 if name == "case_quantized.py" else 1)
    shown = [line for line in result.stdout.lines if re.match(r"    starts at|      \w|    to test", line)]
    places = [re.sub(r"\d\.\d+", "", line) for line in shown]  # differences may differ between versions of torch
    known = {re.sub(r"\d\.\d+", "", line) for line in page.splitlines()}
    assert len(places) >= 5
    assert [line for line in places if line not in known] == []
    fixed = case.read_text().replace(cause, cure)
    assert fixed != case.read_text()
    case.write_text(fixed)
    run().assert_outcomes(failed=0, passed=1 if name == "case_quantized.py" else 2)


def test_the_guide_of_adopting_takes_a_repo_from_red_to_green_to_stale(whole_torch, pytester):
    """The files and the steps of the page, with the verdicts that it shows."""
    page = (DOCS / "adopting.md").read_text()
    for name, text in re.findall(r"```(?:python|ini)\n# (\S+)\n(.*?)```", page, re.DOTALL):
        pytester.path.joinpath(name).write_text(text)

    def run(*options):
        return pytester.runpytest("--exportcheck", "-p", "no:cacheprovider", *options)

    update = "--exportcheck-update-expectations"
    run().assert_outcomes(passed=5, failed=2)
    run("--exportcheck-expectations", "exportcheck.toml", update).assert_outcomes(passed=5, xfailed=2)
    with pytester.path.joinpath("pytest.ini").open("a") as ini:
        ini.write("exportcheck_expectations = exportcheck.toml\n")
    entry = re.search(r"```toml\n(.*?)```", page, re.DOTALL).group(1)
    assert entry in pytester.path.joinpath("exportcheck.toml").read_text()
    run().assert_outcomes(passed=5, xfailed=2)
    shop = pytester.path / "shop.py"
    mended = re.search(r"`(register_dataclass\(Prediction, .*?\))`", page).group(1)
    shop.write_text(shop.read_text().replace("register_dataclass(Prediction)", mended))
    result = run()
    result.assert_outcomes(passed=5, failed=2)
    result.stdout.fnmatch_lines(["*but no longer does: delete the [[][[]expect[]][]] at *exportcheck.toml:8"])
    run(update).assert_outcomes(passed=7)
    assert pytester.path.joinpath("exportcheck.toml").read_text() == ""
