"""The page in a real browser: it opens, filters, leads from a cell to its finding, prints, and works without a script."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from pytest_exportcheck.records import Finding
from pytest_exportcheck.reports.html.report_page import report_page
from tests.unit.reports.test_html_report import HOSTILE, STARTS
from tests.unit.reports_of import TIED, VALUE, item, report, run

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is part of the dev extra; this environment was made without it"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # which Chromium refuses to root
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Any) -> Iterator[Open]:
    """Open the page of a report; what its console reports fails the test."""
    contexts, reported = [], []

    def opened(given: Any, **options: Any) -> Any:
        path = tmp_path / "page.html"
        path.write_bytes(report_page(given))
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: reported.append(message.text))
        page.on("pageerror", lambda error: reported.append(str(error)))
        page.on("request", lambda request: reported.append(request.url) if "page.html" not in request.url else None)
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [each for each in reported if not each.startswith("data:")] == []


def small() -> Any:
    """Two cases of two engines: one fails in two modes, the other has a known defect."""
    return report(
        item("net", status="failed", findings=(STARTS, TIED), run=0),
        item("net", mode="strict", status="failed", findings=(STARTS,)),
        item("net", engine="reference"),
        item("tied"),
        item("tied", engine="reference", mode="nonstrict-serdes", status="known", findings=(TIED,)),
        runs=[replace(run(selected=5), engines=("torch", "reference"))],
    )


def seen(page: Any, selector: str) -> list[str]:
    """The texts of the elements that can be seen."""
    return [each.inner_text().split("\n")[0] for each in page.locator(selector).all() if each.is_visible()]


def test_a_cell_leads_to_its_finding_and_back(opened):
    page = opened(small())
    page.locator("details.known").first.evaluate("each => each.open = false")
    page.get_by_role("link", name="known: tied, reference nonstrict-serdes").click()
    playwright.expect(page.locator("#case-tied\\:1 .body")).to_be_visible()
    page.wait_for_function("(document.activeElement.closest('details') || {}).id === 'case-tied:1'")
    page.locator("#case-tied .back").click()
    page.wait_for_function("location.hash === '#row-1'")


def test_the_filters_hide_rows_columns_and_findings(opened):
    page = opened(small())
    rows, articles, headings = ".matrix tbody th", "article.case h3", ".matrix .engine"
    assert seen(page, rows) == ["net case_a.py", "tied case_a.py"]
    page.get_by_role("searchbox", name="Case").fill("TIE")
    playwright.expect(page.locator("output")).to_have_text("1 of 2 cases")
    assert (seen(page, rows), seen(page, articles)) == (["tied case_a.py"], ["tied case_a.py:3"])
    page.get_by_role("button", name="Reset").click()
    playwright.expect(page.locator(rows)).to_have_count(2)
    playwright.expect(page.locator(rows).first).to_be_visible()
    page.locator("select[name=status]").select_option("failed")
    playwright.expect(page.locator(rows).last).to_be_hidden()
    assert seen(page, rows) == ["net case_a.py"]
    page.locator("select[name=status]").select_option("")
    page.locator("select[name=engine]").select_option("reference")
    playwright.expect(page.locator(headings).first).to_be_hidden()
    assert seen(page, headings) == ["reference"]
    assert seen(page, ".matrix tbody td:has-text('F')") == []
    assert seen(page, articles) == ["tied case_a.py:3"]


def test_cases_that_differ_between_runs_can_be_selected(opened):
    runs = [run(torch="2.13.0"), run(1, torch="2.14.1")]
    failed = item("a", run=1, status="failed", findings=(VALUE,))
    page = opened(report(item("a", run=0), failed, item("b", run=0), item("b", run=1), runs=runs))
    page.get_by_role("checkbox", name="Differs between runs").check()
    playwright.expect(page.locator(".matrix tbody th").last).to_be_hidden()
    assert seen(page, ".matrix tbody th") == ["a case_a.py"]


def test_all_that_can_be_done_can_be_done_with_the_keyboard(opened):
    page = opened(small())
    visited = []
    for _ in range(40):
        page.keyboard.press("Tab")
        visited.append(page.evaluate("document.activeElement.tagName"))
        assert page.evaluate(
            "(each => each === document.body || getComputedStyle(each).outlineStyle !== 'none')(document.activeElement)"
        )
    assert {"A", "INPUT", "SELECT", "BUTTON", "SUMMARY"} <= set(visited)
    page.locator("#case-tied\\:1 > summary").focus()
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#case-tied\\:1 .body")).to_be_visible()


def test_the_colours_follow_the_theme_and_can_be_read(opened):
    for scheme, dark in (("light", False), ("dark", True)):
        page = opened(small(), color_scheme=scheme)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, background[4:-1].split(","))) < 200) is dark
        assert page.evaluate(CONTRASTS) == []


#: Texts whose contrast to their background is below 4.5, which WCAG requires.
CONTRASTS = """() => {
  const parts = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = each => {
    for (; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return Array.from(document.querySelectorAll("main *, header *"))
    .filter(each => !(each instanceof SVGElement) && Array.from(each.childNodes).some(n => n.nodeType === 3 && n.data.trim()))
    .filter(each => {
      const [one, other] = [luminance(parts(getComputedStyle(each).color)), luminance(behind(each))];
      return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) < 4.5;
    }).map(each => `${each.tagName}.${each.className}: ${each.textContent.slice(0, 40)}`);
}"""


def test_paper_shows_all_failing_findings(opened):
    findings = tuple(replace(VALUE, place=f"output[{number}]") for number in range(14))
    page = opened(report(item(status="failed", findings=(*findings, TIED))))
    folded = page.locator("details.fails:not([open]) .body")
    assert folded.count() == 4
    assert not folded.first.is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.fails[open]").count() == 14
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert folded.count() == 4
    assert page.pdf()[:5] == b"%PDF-"


def test_failing_findings_can_be_read_without_a_script(opened):
    page = opened(small(), java_script_enabled=False)
    playwright.expect(page.locator("#case-net\\:1 .body")).to_be_visible()
    playwright.expect(page.get_by_text("3 of 4 elements differ")).to_be_visible()
    assert not page.locator("form.filters").is_visible()
    page.locator("#case-tied\\:1 > summary").click()
    playwright.expect(page.locator("#case-tied\\:1 .body")).to_be_visible()


def test_a_hostile_report_runs_nothing(opened):
    finding = Finding(check=HOSTILE, place=HOSTILE, change="changed", expected=HOSTILE, actual=HOSTILE)
    page = opened(report(item(HOSTILE, path=HOSTILE, status="failed", findings=(finding,), reason=HOSTILE)))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    assert page.locator("img").count() == 0
    assert HOSTILE in page.locator("article h3").inner_text()


def test_a_narrow_page_does_not_scroll_sideways(opened):
    page = opened(small(), viewport={"width": 400, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
