"""Reports of several runs as one."""

from __future__ import annotations

import itertools
import os

import pytest

from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.records import FieldSurvival, RunError
from pytest_exportcheck.reports.json_report import read_report, write_report
from pytest_exportcheck.reports.merge import merge_files, merged, merged_lines
from tests.unit.reports_of import VALUE, item, report, run

SETTINGS = "torch 2.14.1, python 3.11.7, linux-x86_64, exportcheck 0.1.0, profile ship, seed 0, threads 2"


def told(joined):
    return [(each.case, each.status, each.run) for each in joined.items]


def lines(*reports):
    return list(merged_lines(merged(reports)))


def test_shards_become_one_run_after_the_other_with_all_items():
    joined = merged([report(item("b"), runs=[run(1)]), report(item("a", status="failed"), runs=[run(0)])])
    assert told(joined) == [("a", "failed", 0), ("b", "passed", 1)]
    assert joined.counts == {"passed": 1, "failed": 1}
    assert joined.runs == (run(0), run(1))


def test_ledgers_of_shards_are_summed():
    ledger = (FieldSurvival(field="val", kept=1),)
    one, other = (report(item(name, ledger=ledger), runs=[run(n)]) for n, name in enumerate("ab"))
    assert [(line.field, line.kept) for line in merged([one, other]).ledger] == [("val", 2)]


def test_an_outcome_that_two_runs_share_stands_once():
    joined = merged([report(item(duration=1.0), runs=[run(0)]), report(item(duration=2.0), runs=[run(1)])])
    assert (told(joined), joined.overruled) == ([("net", "passed", 0)], ())


WORST_FIRST = (
    *("error", "failed", "stale", "interrupted"),
    *("engine_error", "known", "expected", "passed", "blocked", "unsupported", "skipped"),
)


@pytest.mark.parametrize(("worse", "better"), list(itertools.pairwise(WORST_FIRST)))
def test_of_two_outcomes_the_worse_counts_and_the_other_is_kept(worse, better):
    joined = merged([report(item(status=better), runs=[run(0)]), report(item(status=worse), runs=[run(1)])])
    assert told(joined) == [("net", worse, 1)]
    assert [(each.status, each.run) for each in joined.overruled] == [(better, 0)]


def test_two_failures_that_differ_are_both_kept():
    failures = [item(status="failed", findings=(VALUE,) * n) for n in (1, 2)]
    joined = merged([report(each, runs=[run(n)]) for n, each in enumerate(failures)])
    assert (len(joined.items), len(joined.overruled)) == (1, 1)


def test_the_same_item_under_another_torch_is_another_item():
    joined = merged([report(item(), runs=[run()]), report(item(status="failed"), runs=[run(torch="2.13.0")])])
    assert told(joined) == [("net", "failed", 0), ("net", "passed", 1)]
    assert [each.settings.torch for each in joined.runs] == ["2.13.0", "2.14.1"]
    assert joined.overruled == ()


def test_neither_the_order_of_files_nor_their_grouping_matters():
    parts = [
        report(item("a"), item("b", status="blocked"), runs=[run(0)], errors=[RunError(nodeid="x", reason="no")]),
        report(item("a"), item("b", status="failed"), runs=[run(1)], errors=[RunError(nodeid="x", reason="no")]),
        report(item("a", status="failed"), item("c"), runs=[run(2)]),
        report(item("a", status="failed"), item("c"), runs=[run(2, torch="2.13.0")]),
    ]
    whole = merged(parts)
    assert all(merged(order) == whole for order in itertools.permutations(parts))
    assert merged([merged(parts[:2]), merged(parts[2:])]) == whole
    assert merged([whole, parts[0], whole]) == whole


def test_an_item_that_one_run_left_out_and_another_ran_is_not_missing():
    stopped = report(item("a"), runs=[run(0, selected=2, not_run=[item("b").nodeid], stopped="KeyboardInterrupt")])
    assert lines(stopped)[0] == "run 0 is not complete (KeyboardInterrupt): 1 of 2 items did not run"
    assert merged([stopped]).failed
    rest = report(item("b"), runs=[run(1)])
    assert lines(stopped, rest)[0].endswith("1 of 2 items did not run; other runs ran them")
    assert not merged([stopped, rest]).failed


def test_what_a_run_under_another_torch_ran_does_not_complete_it():
    stopped = report(item("a"), runs=[run(0, selected=2, not_run=[item("b").nodeid])])
    assert not merged([stopped, report(item("b"), runs=[run(torch="2.13.0")])]).complete


def test_the_text_names_failures_disagreements_and_counts():
    one = report(
        item("a", status="failed", findings=(VALUE,)),
        item("b", status="error", reason="its factory raised\nmore"),
        item("c"),
        runs=[run(0)],
        errors=[RunError(nodeid="case_b.py::import", reason="could not be imported\nmore")],
    )
    other = report(item("c", status="interrupted"), runs=[run(1)])
    assert lines(one, other) == [
        "error case_b.py::import: could not be imported",
        "failed case_a.py::a[torch-nonstrict]: nonstrict broke outputs",
        "error case_a.py::b[torch-nonstrict]: its factory raised",
        "interrupted case_a.py::c[torch-nonstrict]: no reason was reported",
        "overruled case_a.py::c[torch-nonstrict]: passed in run 0, but interrupted in run 1, which is counted",
        f"{SETTINGS}: 2 runs",
        "exportcheck: 3 cases, 3 items: 1 failed, 1 error, 1 interrupted",
    ]


def test_each_kind_of_settings_has_its_counts():
    one = report(item(status="failed", findings=(VALUE,)), runs=[run()])
    assert lines(one, report(item(), runs=[run(torch="2.13.0")])) == [
        "failed case_a.py::net[torch-nonstrict] (torch 2.14.1): nonstrict broke outputs",
        f"{SETTINGS.replace('2.14.1', '2.13.0')}: 1 run",
        "exportcheck: 1 case, 1 item: 1 passed",
        f"{SETTINGS}: 1 run",
        "exportcheck: 1 case, 1 item: 1 failed",
    ]


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"shard{n}.json" for n in range(2)]
    for number, path in enumerate(paths):
        write_report(path, report(item(f"net{number}"), runs=[run(number)]))
    return paths


def test_files_become_a_file(tmp_path, files):
    joined, _ = merge_files(tmp_path / "all.json", files)
    assert read_report(tmp_path / "all.json") == joined
    assert told(joined) == [("net0", "passed", 0), ("net1", "passed", 1)]


def test_merging_again_replaces_what_was_merged(tmp_path, files):
    joined, _ = merge_files(tmp_path / "all.json", files)
    assert merge_files(tmp_path / "all.json", files)[0] == joined
    assert merge_files(tmp_path / "all.json", [tmp_path / "all.json", files[0]])[0] == joined


def test_a_shard_is_not_overwritten_by_the_others(files):
    before = files[0].read_bytes()
    with pytest.raises(ReportError) as caught:
        merge_files(files[0], files[1:])
    assert str(caught.value) == (
        f"{files[0]} would be overwritten, but is the report of one run and not among those to merge. "
        "Write the name of the merged file first: exportcheck merge OUT IN [IN ...]."
    )
    assert files[0].read_bytes() == before


def test_another_file_is_not_overwritten(tmp_path, files):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ReportError) as caught:
        merge_files(path, files)
    assert str(caught.value).startswith(
        f"{path} would be overwritten, but is not a merged report. Delete it, or name another file. ("
    )
    assert path.read_text() == "mine"


def test_a_pipe_is_no_report(tmp_path):
    """It may never end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ReportError, match=r"pipe cannot be read: it is not a file\."):
        merge_files(tmp_path / "all.json", [tmp_path / "pipe"])
