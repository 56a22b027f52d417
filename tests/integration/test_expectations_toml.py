"""Expected failures of cases that one cannot decorate: a TOML file, and writing it from a run."""

from __future__ import annotations

import pytest

BROKEN = """
def decompose(self, program, decomp_table=None):
    raise ValueError("no table")
"""
ENTRY = """\
[[expect]]
case = "case_linear.py::Linear"
mode = "nonstrict-decompose"
check = "stage"
error = "ValueError: no t.ble"
reason = "issue 12"
"""
WRITTEN = """\
[[expect]]
case = "case_linear.py::Linear"
engine = "echo"
mode = "nonstrict-decompose"
check = "stage"
reason = "known since this file was written: ValueError: no table"
"""


@pytest.fixture
def shop(pytester, linear):
    pytester.makepyfile(case_linear=linear)
    return pytester


def test_an_entry_excuses_what_it_names(shop, run_faulty):
    shop.path.joinpath("expected.toml").write_text(ENTRY)
    result = run_faulty(BROKEN, "--exportcheck-expectations=expected.toml", "-rx")
    result.assert_outcomes(passed=8, xfailed=1, skipped=1)
    result.stdout.fnmatch_lines(["XFAIL *Linear[[]echo-nonstrict-decompose[]] - *issue 12"])


def test_the_ini_file_names_it_relative_to_itself(shop, run_faulty):
    shop.path.joinpath("expected.toml").write_text(ENTRY)
    shop.makeini("[pytest]\nexportcheck_expectations = expected.toml\n")
    run_faulty(BROKEN, str(shop.path)).assert_outcomes(passed=8, xfailed=1, skipped=1)


@pytest.mark.parametrize(("key", "value"), [("error", "TypeError"), ("check", "outputs"), ("torch", "<2.0")])
def test_what_it_does_not_name_still_fails(shop, run_faulty, key, value):
    lines = [line for line in ENTRY.splitlines() if not line.startswith(key)]
    shop.path.joinpath("expected.toml").write_text("\n".join([*lines, f'{key} = "{value}"\n']))
    result = run_faulty(BROKEN, "--exportcheck-expectations=expected.toml")
    result.assert_outcomes(passed=8, failed=1, skipped=1)


def test_an_entry_that_no_longer_holds_fails_and_is_named(shop, run_echo):
    shop.path.joinpath("expected.toml").write_text(ENTRY)
    result = run_echo("--exportcheck-expectations=expected.toml")
    result.assert_outcomes(passed=9, failed=1)
    result.stdout.fnmatch_lines(
        [
            "expected to fail (check 'stage': issue 12), but no longer does: "
            "delete the [[][[]expect[]][]] at expected.toml:1, or narrow it to the items that still fail",
            'Reproduce with: pytest --exportcheck --exportcheck-engines=echo --exportcheck-expectations=expected.toml "*"',
        ]
    )


def test_items_that_did_not_run_count_neither_way(shop, run_echo):
    shop.path.joinpath("expected.toml").write_text(ENTRY)
    run_echo("--exportcheck-expectations=expected.toml", "-k", "serdes and not decompose").assert_outcomes(
        passed=3, deselected=7
    )


def test_a_repo_adopts_the_plugin_with_failures_on_board(shop, run_faulty, run_echo):
    """Written, green, mended, reported as stale, written again: gone."""
    path = shop.path / "expected.toml"
    option = "--exportcheck-expectations=expected.toml"
    result = run_faulty(BROKEN, option, "--exportcheck-update-expectations")
    result.assert_outcomes(passed=8, xfailed=1, skipped=1)
    result.stdout.fnmatch_lines(["wrote expected.toml: 1 entry (1 new, 0 deleted)"])
    assert path.read_text() == WRITTEN
    run_faulty(BROKEN, option).assert_outcomes(passed=8, xfailed=1, skipped=1)
    run_faulty(BROKEN, option, "--exportcheck-update-expectations")
    assert path.read_text() == WRITTEN
    mended = "pass"
    run_faulty(mended, option).assert_outcomes(passed=9, failed=1)
    result = run_faulty(mended, option, "--exportcheck-update-expectations")
    result.assert_outcomes(passed=10)
    result.stdout.fnmatch_lines(["wrote expected.toml: 0 entries (0 new, 1 deleted)"])
    assert path.read_text() == ""


def test_what_did_not_run_keeps_its_entry(shop, run_faulty):
    path = shop.path / "expected.toml"
    path.write_text("# of the shop\n\n" + ENTRY)
    options = ("--exportcheck-expectations=expected.toml", "--exportcheck-update-expectations", "-k", "strict-retrace")
    run_faulty("pass", *options).assert_outcomes(passed=2, deselected=8)
    assert path.read_text() == "# of the shop\n\n" + ENTRY


def test_a_blocked_item_is_written_for_the_mode_that_blocks_it(shop, run_faulty):
    options = ("--exportcheck-expectations=e.toml", "--exportcheck-update-expectations")
    run_faulty(BROKEN, *options, "-k", "decompose-serdes").assert_outcomes(xfailed=1, deselected=9)
    assert shop.path.joinpath("e.toml").read_text() == WRITTEN


def test_a_case_that_cannot_be_set_up_is_written_once(pytester, run_faulty):
    pytester.makepyfile(
        case_net="""
        import torch
        from pytest_exportcheck import export_case

        @export_case(args=(torch.ones(2),))
        class Net(torch.nn.Module):
            def forward(self, x):
                raise ValueError("not yet")
        """
    )
    options = ("--exportcheck-expectations=e.toml", "--exportcheck-update-expectations")
    run_faulty("pass", *options).assert_outcomes(xfailed=1, skipped=9)
    text = pytester.path.joinpath("e.toml").read_text()
    assert text.count("[[expect]]") == 1 and 'mode = "*"' in text and 'check = "case"' in text
    run_faulty("pass", "--exportcheck-expectations=e.toml", "-k", "strict-serdes").assert_outcomes(
        xfailed=1, skipped=2, deselected=7
    )


def test_it_is_the_same_on_two_workers(shop, run_faulty):
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    options = ("--exportcheck-expectations=e.toml", "--exportcheck-update-expectations", "-n", "2")
    run_faulty(BROKEN, *options).assert_outcomes(passed=8, xfailed=1, skipped=1)
    assert shop.path.joinpath("e.toml").read_text() == WRITTEN


NO_CASE = (
    "expected.toml:1: no case is called 'Linaer'; did you mean 'Linear'? Correct or delete the entry; "
    "--exportcheck-update-expectations deletes it."
)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_an_entry_for_no_case_fails_and_an_update_deletes_it(shop, run_echo, workers):
    path = shop.path / "expected.toml"
    path.write_text('[[expect]]\ncase = "Linaer"\nreason = "r"\n')
    result = run_echo("--exportcheck-expectations=expected.toml", *workers)
    result.assert_outcomes(passed=10, failed=1)
    assert NO_CASE in result.outlines
    update = run_echo("--exportcheck-expectations=expected.toml", "--exportcheck-update-expectations", *workers)
    update.assert_outcomes(passed=11)
    update.stdout.fnmatch_lines(["wrote expected.toml: 0 entries (0 new, 1 deleted)"])
    assert path.read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "stale"),
    [
        (["case_linear.py"], ["case_linear.py::Gone"]),
        (["case_linear.py::Linear"], []),
        (["case_other.py"], []),
        (["case_linear.py", "case_other.py"], ["case_linear.py::Gone"]),
        ([], ["Gone", "case_linear.py::Gone", "gone.py::Linear"]),
        (["-k", "Other"], []),
        (["--ignore=gone.py"], ["case_linear.py::Gone"]),
    ],
)
def test_an_entry_is_stale_where_every_case_that_it_may_mean_was_collected(shop, run_echo, linear, arguments, stale):
    shop.makepyfile(case_other=linear.replace("class Linear", "class Other"))
    entries = ["Gone", "case_linear.py::Gone", "gone.py::Linear"]
    text = "".join(f'[[expect]]\ncase = "{entry}"\nreason = "r"\n' for entry in entries)
    shop.path.joinpath("expected.toml").write_text(text)
    result = run_echo("--exportcheck-expectations=expected.toml", "--exportcheck-modes=nonstrict", *arguments)
    told = [line.split("'")[1] for line in result.outlines if line.startswith("expected.toml:")]
    assert told == stale


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("mode = 'strct'", "expected.toml:4: unknown mode 'strct'; did you mean 'strict'[?]*"),
        ("engine = 'torhc'", "expected.toml:4: unknown engine 'torhc'. Engines: torch, reference, echo."),
        (
            "check = 'output'",
            "expected.toml:4: unknown check 'output'. Checks: outputs, *, stage, case, sizes, golden.",
        ),
        ("mod = 'x'", "expected.toml:4: unknown key 'mod'; did you mean 'mode'[?] Keys: *"),
    ],
)
def test_a_wrong_entry_ends_the_session_before_anything_runs(shop, run_echo, entry, message):
    shop.path.joinpath("expected.toml").write_text(f"[[expect]]\ncase = 'Linear'\nreason = 'r'\n{entry}\n")
    result = run_echo("--exportcheck-expectations=expected.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: exportcheck: {message}"])


def test_an_empty_path_is_no_file(shop, run_echo):
    result = run_echo("--exportcheck-expectations=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: exportcheck: --exportcheck-expectations takes the path of a TOML file, got *"])


def test_a_linked_file_is_written_where_it_lies(shop, run_faulty):
    shop.mkdir("shared")
    shop.path.joinpath("e.toml").symlink_to("shared/e.toml")
    shop.path.joinpath("shared/e.toml").write_bytes(b"# ours\r\n")
    run_faulty(BROKEN, "--exportcheck-expectations=e.toml", "--exportcheck-update-expectations")
    assert shop.path.joinpath("e.toml").is_symlink()
    written = shop.path.joinpath("shared/e.toml").read_bytes().decode()
    assert written == ("# ours\n\n" + WRITTEN).replace("\n", "\r\n")


def test_update_needs_a_file(shop, run_echo):
    result = run_echo("--exportcheck-update-expectations")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: exportcheck: --exportcheck-update-expectations needs the file to write: "
            "--exportcheck-expectations=PATH, or exportcheck_expectations in the ini file."
        ]
    )


def test_a_file_that_cannot_be_written_is_told_after_the_run(shop, run_faulty):
    shop.path.joinpath("taken").write_text("")
    result = run_faulty(BROKEN, "--exportcheck-expectations=taken/e.toml", "--exportcheck-update-expectations")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["the expectations file taken/e.toml cannot be written (*)."])


def test_a_part_of_its_items_deletes_no_entry(shop, run_faulty):
    """The entry holds for another item, which is not part of this run: it stays, and the item that passes says so."""
    path = shop.path / "e.toml"
    path.write_text(ENTRY.replace("nonstrict-decompose", "nonstrict*"))
    options = ("--exportcheck-expectations=e.toml", "--exportcheck-update-expectations")
    before = path.read_text()
    run_faulty(BROKEN, *options, "-k", "nonstrict-retrace").assert_outcomes(failed=1, deselected=9)
    assert path.read_text() == before
    run_faulty(BROKEN, *options).assert_outcomes(passed=8, xfailed=1, skipped=1)
    assert 'mode = "nonstrict-decompose"' in path.read_text() and "issue 12" in path.read_text()


def test_the_file_is_as_readable_as_any_other(shop, run_faulty):
    run_faulty(BROKEN, "--exportcheck-expectations=e.toml", "--exportcheck-update-expectations")
    other = shop.path / "other"
    other.write_text("")
    assert (shop.path / "e.toml").stat().st_mode == other.stat().st_mode


ALL = '[[expect]]\ncase = "*"\nreason = "all"\n'
UPDATE = (
    "--exportcheck-expectations=e.toml",
    "--exportcheck-update-expectations",
    "--exportcheck-modes=nonstrict-decompose",
)


@pytest.fixture
def two(shop, linear):
    """A case that fails in a file that comes last, one that is sound, and a test that fails between them."""
    shop.path.joinpath("case_linear.py").rename(shop.path / "zz_cases.py")
    shop.makepyfile(case_other=linear.replace("class Linear", "class Other"), test_m="def test_fail(): assert 0")
    shop.path.joinpath("e.toml").write_text(ALL)
    return shop


ONLY_LINEAR = """
def decompose(self, program, decomp_table=None):
    if type(program.module()).__name__ == "Linear":
        raise ValueError("no table")
    return program
"""


def test_what_lf_does_not_collect_deletes_no_entry(two, run_faulty):
    run_faulty(ONLY_LINEAR, *UPDATE[::2], "-p", "cacheprovider").assert_outcomes(failed=2, xfailed=1)
    result = run_faulty(ONLY_LINEAR, *UPDATE, "--lf")
    assert two.path.joinpath("e.toml").read_text() == ALL
    result.stdout.no_fnmatch_line("*no case is called*")


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_what_an_early_end_leaves_out_deletes_no_entry(two, run_faulty, workers):
    run_faulty(ONLY_LINEAR, *UPDATE, "-x", *workers)
    assert two.path.joinpath("e.toml").read_text() == ALL


@pytest.mark.parametrize(
    ("entry", "arguments", "told"),
    [
        ("zz_cases.py::Linear", ("--ignore=zz_cases.py",), False),
        ("torchvision::resnet18", (), False),
        ("gone.py::Linear", (), True),
        ("Linaer", (), True),
    ],
)
def test_an_entry_for_no_case_is_told_where_all_cases_are_there(two, run_faulty, entry, arguments, told):
    two.path.joinpath("e.toml").write_text(f'[[expect]]\ncase = "{entry}"\nreason = "r"\n')
    result = run_faulty(ONLY_LINEAR, *UPDATE[::2], *arguments)
    assert ("no case is called" in result.stdout.str()) == told


def test_a_case_file_that_cannot_be_imported_has_its_entries(two, run_faulty):
    two.makepyfile(case_new="import nothing_such")
    two.path.joinpath("e.toml").write_text('[[expect]]\ncase = "case_new.py::thing"\nreason = "r"\n')
    run_faulty(ONLY_LINEAR, *UPDATE[::2]).stdout.no_fnmatch_line("*no case is called*")
