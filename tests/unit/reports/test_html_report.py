"""The page of a report: what is on it, that it cannot be attacked, and several runs side by side."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.records import (
    DifferenceOrigin,
    FieldSurvival,
    Finding,
    KnownAs,
    NearNode,
    OriginNode,
    OriginRow,
    RunError,
    SizesTried,
)
from pytest_exportcheck.reports.html.report_page import page_of_files, report_page
from pytest_exportcheck.reports.json_report import write_report
from tests.unit.reports_of import TIED, VALUE, item, report, run

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
MUL = OriginNode(
    name="mul",
    operator="aten.mul.Tensor",
    call="aten.mul.Tensor(%relu, 3)",
    module="layers.0 (Block)",
    line="net.py:12 in forward: return x * 2",
)
ORIGIN = DifferenceOrigin(
    kind="changed",
    after=MUL,
    before=replace(MUL, call="aten.mul.Tensor(%relu, 2)"),
    rows=(
        OriginRow(node=MUL, difference="0.25", inputs_agree=True),
        OriginRow(node=replace(MUL, name="add"), difference="0.5", inputs_agree=False),
    ),
    near_before=(NearNode(name="mul", operator="aten.mul.Tensor", inputs=("relu",), is_origin=True),),
    near_after=(
        NearNode(name="relu", operator="aten.relu.default", inputs=("x",)),
        NearNode(name="mul", operator="aten.mul.Tensor", inputs=("relu",), is_origin=True),
        NearNode(name="add", operator="aten.add.Tensor", inputs=("mul",)),
    ),
)
STARTS = replace(VALUE, origin=ORIGIN, line="net.py:12 in forward: return x * 2", detail="3 of 4 elements differ")


class Reader(HTMLParser):
    """Keeps the tags with their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._code = False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._code = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._code = False

    def handle_data(self, data):
        self.text += "" if self._code else data


def read(given) -> Reader:
    reader = Reader()
    reader.feed(report_page(given).decode())
    reader.text = re.sub(r"\s+", " ", reader.text)
    return reader


def links(reader: Reader) -> list[str]:
    return [attributes["href"] or "" for tag, attributes in reader.tags if tag == "a"]


def two_versions(**options):
    runs = [run(torch="2.13.0"), run(1, torch="2.14.1")]
    items = [item(run=0), item(run=1, status="failed", findings=(VALUE,)), item("tied", run=0), item("tied", run=1)]
    return report(*items, runs=runs, **options)


def test_the_same_report_gives_the_same_bytes():
    given = report(item(findings=(STARTS,), status="failed"), item("b"))
    assert report_page(given) == report_page(given)


def test_the_heading_says_how_many_cases_fail():
    assert (
        "<h1>1 of 2 cases fails</h1>"
        in report_page(report(item(status="failed", findings=(VALUE,)), item("b"))).decode()
    )
    assert "<h1>None of 1 case fails</h1>" in report_page(report(item())).decode()
    assert "<h1>No item ran; 1 error</h1>" in report_page(report(errors=[RunError(nodeid="a", reason="b")])).decode()


def test_cases_that_fail_come_first_and_a_cell_leads_to_what_it_shows():
    page = report_page(report(item("a"), item("b", status="failed", findings=(VALUE,)))).decode()
    rows = re.findall(r'<tr id="row-\d+">.*', page)
    assert rows == [
        '<tr id="row-0"><th scope="row"><a href="#case-b">b</a> <small>case_a.py</small></th><td class="failed">'
        '<a href="#case-b:1" aria-label="failed: b, torch nonstrict" title="failed: b, torch nonstrict">F</a></td></tr>',
        '<tr id="row-1"><th scope="row">a <small>case_a.py</small></th><td class="passed" aria-label="passed">.</td></tr>',
    ]


def test_every_link_within_the_page_has_a_target_and_no_id_is_used_twice():
    cases = ("a", "a-1", "a 1", "a.b", "", "ä", "a:1", "a~2")
    items = [item(case, path=path, status="failed", findings=(VALUE, TIED)) for case in cases for path in ("p", "q")]
    reader = read(report(*items))
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {each[1:] for each in links(reader) if each.startswith("#")} <= set(ids)


def test_a_finding_of_several_modes_is_on_the_page_once():
    page = report_page(
        report(*(item(mode=mode, status="failed", findings=(STARTS,)) for mode in ("strict", "nonstrict")))
    )
    assert page.count(b'class="side got"') == 1
    assert b"torch: nonstrict, strict</li>" in page


def test_a_finding_has_its_values_its_origin_and_both_graphs():
    reader = read(report(item(status="failed", findings=(STARTS,), reproduce='pytest --exportcheck "case_a.py::net"')))
    for part in (
        "expected1 at [0]",
        "got2 at [0]",
        "3 of 4 elements differ",
        "%mul computes another value from the same inputs",
        "before the edge aten.mul.Tensor(%relu, 2) net.py:12 in forward return x * 2module layers.0 (Block)",
        "after the edge aten.mul.Tensor(%relu, 3) net.py:12 in forward return x * 2module layers.0 (Block)",
        "starts here",
        "its partner",
        "mulaten.mul.Tensornet.py:12 in forward0.25agree",
        'Reproduce pytest --exportcheck "case_a.py::net"',
    ):
        assert part in reader.text, part
    graphs = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert len(graphs) == 2


def test_only_failing_findings_are_unfolded():
    tolerated = replace(VALUE, verdict="tolerated", key="other")
    reader = read(report(item(status="failed", findings=(VALUE, TIED, tolerated))))
    blocks = [attributes for tag, attributes in reader.tags if tag == "details" and "id" in attributes]
    assert [(each["class"], "open" in each) for each in blocks] == [
        ("block failed fails", True),
        ("block known", False),
        ("block tolerated", False),
    ]


def test_an_item_without_findings_shows_its_reason():
    assert "blocked blocked by nonstrict" in read(report(item(status="blocked", reason="blocked by nonstrict"))).text


@pytest.mark.parametrize("where", ["case", "path", "reason", "expected", "origin", "error", "note", "size", "settings"])
def test_text_of_a_report_cannot_become_markup(where):
    node = OriginNode(name=HOSTILE, operator=HOSTILE, call=HOSTILE, module=HOSTILE, line=HOSTILE)
    near = (NearNode(name=HOSTILE, operator=HOSTILE, inputs=(HOSTILE,)),)
    origin = DifferenceOrigin(
        kind="changed", after=node, before=node, near_before=near, near_after=near, reason=HOSTILE
    )
    known = KnownAs(HOSTILE, HOSTILE, "javascript:alert(1)")
    finding = replace(
        VALUE, expected=HOSTILE, actual=HOSTILE, detail=HOSTILE, place=HOSTILE, known=known, verdict="known"
    )
    given = {
        "case": report(item(HOSTILE, findings=(VALUE,), status="failed")),
        "path": report(item(path=HOSTILE, findings=(VALUE,), status="failed", engine=HOSTILE, mode=HOSTILE)),
        "reason": report(item(status="skipped", reason=HOSTILE)),
        "expected": report(item(status="known", findings=(finding,))),
        "origin": report(item(status="failed", findings=(replace(VALUE, origin=origin, line=HOSTILE),))),
        "error": report(item(), errors=[RunError(nodeid=HOSTILE, reason=HOSTILE)]),
        "note": report(item(notes=(HOSTILE,), ledger=(FieldSurvival(field=HOSTILE, kept=1, dropped=1),))),
        "size": report(item(sizes=SizesTried(names=(HOSTILE,), failing=((1,),), accepted=(HOSTILE,)))),
        "settings": report(
            item(), runs=[run(allow=(HOSTILE,)), run(torch=HOSTILE, not_run=[HOSTILE], stopped=HOSTILE)]
        ),
    }[where]
    reader = read(given)
    assert [tag for tag, _ in reader.tags if tag in ("script", "img")] == ["script"]
    assert [key for _, attributes in reader.tags for key in attributes if key.startswith("on")] == []
    assert [each for each in links(reader) if not each.startswith(("#", "https://"))] == []


def test_a_known_defect_has_its_title_and_a_link_if_its_report_is_public():
    public = replace(
        TIED, place="v", known=KnownAs("other", "another defect", "https://github.com/pytorch/pytorch/issues/1")
    )
    reader = read(report(item(status="known", findings=(TIED, public))))
    assert "serdes-splitsa defectexportcheck explain serdes-splits1" in reader.text
    assert [each for each in links(reader) if not each.startswith("#")].count(
        "https://github.com/pytorch/pytorch/issues/1"
    ) == 2


def test_bars_and_strips_have_numbers_and_words():
    sizes = SizesTried(names=("batch",), agreed=((2,), (9,)), failing=((7,),), invalid=((1,),), left_out=3)
    ledger = (FieldSurvival(field="val", kept=3, changed=1, dropped=4), FieldSurvival(field="op", kept=8))
    reader = read(report(item(mode="nonstrict-fuzz", sizes=sizes, ledger=ledger)))
    widths = [attributes.get("style") for _, attributes in reader.tags if attributes.get("style")]
    assert widths[:3] == ["width:37.5%", "width:12.5%", "width:50.0%"]
    assert "1 of 2 fields not kept everywhere" in reader.text
    assert "net 1 item tried 4 sizes ✗ 1 fails torch nonstrict batch: " in reader.text
    assert "batch: \u2013 1 refused by eager 2 ✗ 7 fails 9 and 3 more" in reader.text


def test_runs_with_other_settings_are_side_by_side_and_what_differs_is_marked():
    reader = read(two_versions())
    assert "torch 2.13.0torch 2.14.1" in re.sub(r"> ?<| (?=torch)", "", reader.text)
    cells = [attributes for tag, attributes in reader.tags if tag == "td" and attributes.get("class")]
    assert [each["class"] for each in cells if "apart" in str(each["class"])] == ["passed apart", "failed apart"]
    assert [attributes["id"] for _, attributes in reader.tags if "data-differs" in attributes] == ["row-0"]
    assert "only with torch 2.14.1" in reader.text
    assert "torch2.13.02.14.1differs" in reader.text.replace(" ", "")


def test_runs_with_the_same_settings_share_a_column():
    given = report(item("a", run=0), item("b", run=1), runs=[run(), run(1)])
    assert read(given).text.count("differs") == 0


def test_a_report_that_is_not_complete_says_so():
    given = report(
        item(), runs=[run(selected=2, not_run=["case_a.py::other[torch-nonstrict]"], stopped="KeyboardInterrupt")]
    )
    assert "Not complete. 1 of 2 items did not run (KeyboardInterrupt)." in read(given).text
    assert "case_a.py::other[torch-nonstrict]" in read(given).text


def test_sizes_of_one_case_are_together_and_cases_with_failing_sizes_come_first():
    sizes = SizesTried(names=("batch",), agreed=((2,), (3,)))
    failing = SizesTried(names=("batch",), agreed=((2,),), failing=((3,),))
    reader = read(
        report(
            item("a", mode="nonstrict-fuzz", sizes=sizes),
            item("a", mode="strict-fuzz", sizes=sizes),
            item("b", mode="strict-fuzz", sizes=failing, status="known"),
            item("b", mode="nonstrict-fuzz", sizes=sizes),
        )
    )
    text = reader.text[reader.text.index("In order of size") :]
    assert (
        "refuses. b 2 items tried 2 sizes ✗ 1 fails torch nonstrict batch: 2 3 torch strict batch: 2 ✗ 3 fails" in text
    )
    assert "a 2 items tried 2 sizes torch nonstrict, torch strict batch: 2 3" in text


def test_tables_have_headings_with_a_scope():
    reader = read(two_versions())
    headings = [attributes for tag, attributes in reader.tags if tag == "th"]
    assert {each.get("scope") for each in headings} == {"col", "colgroup", "row"}
    assert [tag for tag, _ in reader.tags if tag in ("header", "nav", "main", "footer")] == [
        "header",
        "nav",
        "main",
        "footer",
    ]


def test_files_become_one_page(tmp_path):
    whole = two_versions()
    for number, version in enumerate(("2.13.0", "2.14.1")):
        items = [replace(each, run=0) for each in whole.items if each.run == number]
        write_report(tmp_path / f"{version}.json", report(*items, runs=[whole.runs[number]]))
    page_of_files(tmp_path / "page.html", sorted(tmp_path.glob("*.json")))
    assert (tmp_path / "page.html").read_bytes() == report_page(whole)


def test_a_file_that_is_not_a_report_is_refused_and_no_page_is_written(tmp_path):
    (tmp_path / "old.json").write_text('{"schema": "exportcheck-report", "version": "1.2"}')
    with pytest.raises(
        ReportError, match=r"old\.json has version 1\.2 of the report, and this pytest-exportcheck reads version 2\."
    ):
        page_of_files(tmp_path / "page.html", [tmp_path / "old.json"])
    assert not (tmp_path / "page.html").exists()


def test_a_finding_whose_texts_have_many_lines_can_be_scrolled_with_the_keyboard():
    long = Finding(check="nodes", place="graph", change="changed", expected="\n" * 30, actual="one")
    assert b'<pre class="cut" tabindex="0">' in report_page(report(item(status="failed", findings=(long,))))


def test_the_facts_of_packages_are_in_a_table():
    shown = report_page(
        report(item(mode="nonstrict-onnx", facts={"package bytes": 4240, "SQNR dB": 140.2}), item(mode="nonstrict"))
    ).decode()
    section = shown.partition('id="packages"')[2].partition("</section>")[0]
    assert re.findall(r"<t[hd][^>]*>(?:<code>)?([^<]+)", section) == [
        "Item",
        "package bytes",
        "SQNR dB",
        "net[torch-nonstrict-onnx]",
        "4240",
        "140.2",
    ]
    assert 'id="packages"' not in report_page(report(item())).decode()
