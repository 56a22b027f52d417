"""Any HTML page: escaped, without a network, the same bytes for the same values, and never in place of another file."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.reports.html.page import page, write_page

HOSTILE = "<script>alert(1)</script>"


def test_text_is_escaped():
    text = page("base.html.j2", title=HOSTILE).decode()
    assert HOSTILE not in text
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt;</h1>" in text


def test_characters_that_change_how_others_are_shown_are_spelled_out():
    title = "a\x00\x1b[31m\u202eb\udc80 c\u00a0d"
    assert "<h1>a\\x00\\x1b[31m\\u202eb\\udc80 c\u00a0d</h1>" in page("base.html.j2", title=title).decode()


def test_the_same_values_give_the_same_bytes():
    assert page("base.html.j2", title="one") == page("base.html.j2", title="one")


def test_the_page_runs_its_script_only_and_loads_nothing():
    text = page("base.html.j2", title="one").decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.+?)"', text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.split("; ")[:3] == [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
    ]
    assert re.findall(r"""(?:https?:|//\w|@import|url\()""", text) == []


def test_the_page_has_a_language_landmarks_and_a_way_to_skip_the_links():
    text = page("base.html.j2", title="one").decode()
    assert '<html lang="en">' in text
    assert '<a class="skip" href="#main">' in text
    assert [text.count(f"<{each}") for each in ("header", "main", "footer")] == [1, 1, 1]


def test_a_page_replaces_an_older_page_and_an_empty_file(tmp_path):
    path = tmp_path / "new" / "page.html"
    write_page(path, page("base.html.j2", title="one"))
    write_page(path, page("base.html.j2", title="two"))
    assert "<h1>two</h1>" in path.read_text()
    path.write_bytes(b"")
    write_page(path, b"<!DOCTYPE html>")
    assert path.read_bytes() == b"<!DOCTYPE html>"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "the page cannot be written to {path}: it is a folder. Name a file in it."),
        (
            "report.json",
            "{path} would be overwritten, but is not an HTML page. Delete it, or name another file.",
        ),
        ("report.json/page.html", "the page cannot be written to {path}: File exists."),
    ],
    ids=["folder", "another file", "in a file"],
)
def test_a_path_that_cannot_be_written_is_refused_and_nothing_is_lost(tmp_path, name, message):
    (tmp_path / "report.json").write_text("{}")
    path = tmp_path / name
    with pytest.raises(ReportError) as caught:
        write_page(path, b"<!doctype html>")
    assert str(caught.value) == message.format(path=path)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("report.json", "{}")]
