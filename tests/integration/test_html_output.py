"""``--exportcheck-html`` and ``exportcheck html``: when the page is written, where, and what is refused."""

from __future__ import annotations

import pytest

from pytest_exportcheck.cli import main
from pytest_exportcheck.reports.html.report_page import report_page
from pytest_exportcheck.reports.json_report import read_report, write_report
from tests.unit.reports_of import item, report


def test_the_page_is_that_of_the_report(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear)
    result = run_echo(
        "--exportcheck-html=out/page.html", "--exportcheck-json=report.json", "--exportcheck-modes=strict"
    )
    result.stdout.fnmatch_lines(
        ["exportcheck: report written to report.json", "exportcheck: page written to out/page.html"]
    )
    page = (echo.path / "out/page.html").read_text()
    assert "<h1>None of 1 case fails</h1>" in page
    assert main(["html", str(echo.path / "report.json"), "-o", str(echo.path / "again.html")]) == 0
    assert (echo.path / "again.html").read_bytes() == report_page(read_report(echo.path / "report.json"))


def test_ini_options_name_both_files_relative_to_the_ini_file(echo, run_echo, linear):
    echo.makeini("[pytest]\nexportcheck_html = out/page.html\nexportcheck_json = report.json\n")
    folder = echo.mkdir("inner")
    (folder / "case_linear.py").write_text(linear)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_echo("--exportcheck-modes=strict")
    assert sorted(each.name for each in echo.path.glob("**/*.[hj]*")) == ["page.html", "report.json"]
    assert (echo.path / "out/page.html").exists()


def test_the_command_line_comes_before_the_ini_file(echo, run_echo, linear):
    echo.makeini("[pytest]\nexportcheck_html = ini.html\n")
    echo.makepyfile(case_linear=linear)
    run_echo("--exportcheck-html=given.html", "--exportcheck-modes=strict")
    assert [each.name for each in echo.path.glob("*.html")] == ["given.html"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "--exportcheck-html takes the path of a file to write, got an empty one."),
        (".", "--exportcheck-html: the page cannot be written to *: it is a folder. Name a file in it."),
        ("conftest.py/a.html", "--exportcheck-html: the page cannot be written to *a.html: *."),
        (
            "conftest.py",
            "--exportcheck-html: *conftest.py would be overwritten, but is not an HTML page. Delete it, or name another file.",
        ),
        (
            "report.json",
            "--exportcheck-html: *report.json would be overwritten, but is not an HTML page. Delete it, or name another file.",
        ),
    ],
)
def test_a_path_that_cannot_be_written_ends_the_session_at_its_start(echo, run_echo, linear, path, message):
    echo.makepyfile(case_linear=linear)
    before = (echo.path / "conftest.py").read_bytes()
    result = run_echo(f"--exportcheck-html={path}", "--exportcheck-json=report.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: exportcheck: {message}"])
    assert (echo.path / "conftest.py").read_bytes() == before


def test_a_failed_item_has_its_command_in_the_report_and_on_the_page(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    raising = "def decompose(self, program, decomp_table=None):\n    raise ValueError('<b>no</b>')"
    run_faulty(
        raising, "--exportcheck-modes=nonstrict-decompose", "--exportcheck-json=a.json", "--exportcheck-html=a.html"
    )
    (found,) = read_report(pytester.path / "a.json").items
    assert found.reproduce.startswith("pytest --exportcheck ")
    assert found.reproduce.endswith('"case_linear.py::Linear[echo-nonstrict-decompose]"')
    page = (pytester.path / "a.html").read_text()
    assert found.reproduce.replace('"', "&#34;") in page
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in page


def test_fuzzing_leaves_the_sizes_that_it_tried(echo, run_echo):
    echo.makepyfile(
        case_double="""
        import torch
        from torch.export import Dim
        from pytest_exportcheck import export_case

        @export_case(args=(torch.ones(4, 3),), dynamic_shapes={"x": {0: Dim("batch", min=2, max=9)}})
        class Double(torch.nn.Module):
            def forward(self, x):
                return x * 2
        """
    )
    run_echo("--exportcheck-fuzz=5", "--exportcheck-modes=nonstrict", "--exportcheck-json=a.json")
    plain, fuzzed = sorted(read_report(echo.path / "a.json").items, key=lambda each: each.mode)
    assert plain.sizes is None
    assert (fuzzed.sizes.names, fuzzed.sizes.failing, fuzzed.sizes.invalid) == (("batch",), (), ())
    assert {(2,), (4,), (9,)} <= set(fuzzed.sizes.agreed) <= {(size,) for size in range(2, 10)}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "the page cannot be written to {path}: it is a folder. Name a file in it."),
        ("one.json", "{path} would be overwritten, but is not an HTML page. Delete it, or name another file."),
    ],
)
def test_the_command_refuses_what_would_lose_a_file(tmp_path, capsys, output, message):
    write_report(tmp_path / "one.json", report(item()))
    before = (tmp_path / "one.json").read_bytes()
    assert main(["html", str(tmp_path / "one.json"), "-o", str(tmp_path / output)]) == 2
    assert capsys.readouterr().err == f"exportcheck: {message.format(path=tmp_path / output)}\n"
    assert (tmp_path / "one.json").read_bytes() == before


def test_the_command_refuses_reports_of_other_versions(tmp_path, capsys):
    old = tmp_path / "old.json"
    old.write_text('{"schema": "exportcheck-report", "version": "1.2"}')
    assert main(["html", str(old), "-o", str(tmp_path / "page.html")]) == 2
    assert capsys.readouterr().err == (
        f"exportcheck: {old} has version 1.2 of the report, and this pytest-exportcheck reads version 2. "
        "Run the checks again, or read it with the version of pytest-exportcheck that wrote it.\n"
    )
    assert not (tmp_path / "page.html").exists()
