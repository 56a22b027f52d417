"""The file of expected failures: what it may say, and on which line it is wrong."""

from __future__ import annotations

import pytest

from pytest_exportcheck.errors import ExpectationsError
from pytest_exportcheck.expectations.file import read
from pytest_exportcheck.records import Expectation, Origin

GOOD = """\
# Expected failures of the shop.

# prints in forward
[[expect]]
case = "case_shop.py::mlp"
mode = "strict*"
engine = "torch"
check = "stage"
error = "graph break"
torch = "<2.99"
reason = "issue 12"

[[ expect ]]  # short
case = "norm*"
reason = "issue 13"
"""


@pytest.fixture
def reading(tmp_path):
    def write_and_read(text):
        path = tmp_path / "expected.toml"
        path.write_text(text, encoding="utf-8")
        return read(path)

    return write_and_read


def test_an_entry_has_its_line_and_its_words(reading):
    first, second = reading(GOOD).entries
    assert first.expectation == Expectation(
        case=first.case,
        mode="strict*",
        engine="torch",
        check="stage",
        error="graph break",
        torch="<2.99",
        reason="issue 12",
        origin=Origin("", first.expectation.origin.file, 4),
        form="[[expect]]",
    )
    assert (second.line, second.expectation.mode, second.expectation.check) == (13, "*", "*")


def test_comments_stay_with_what_they_stand_above(reading):
    file = reading(GOOD)
    assert file.preamble == "# Expected failures of the shop.\n\n"
    assert file.entries[0].text.startswith("# prints in forward\n[[expect]]\n")
    assert file.entries[1].text.startswith("[[ expect ]]  # short\n")


def test_a_case_is_named_with_its_path_or_without(reading):
    file = reading(GOOD)
    assert [each.reason for each in file.of("case_shop.py", "mlp")] == ["issue 12"]
    assert [each.reason for each in file.of("other.py", "mlp")] == []
    assert [each.reason for each in file.of("other.py", "normalizer")] == ["issue 13"]


def test_an_empty_file_expects_nothing(reading):
    assert reading("# nothing yet\n").entries == ()


ENTRY = '[[expect]]\ncase = "net"\n'


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "\n[[expect]\n",
            2,
            "not valid TOML: Expected ']]' at the end of an array declaration",
        ),
        (
            ENTRY + 'reason = "r"\n[expect.sub]\nmode = "strict"\n',
            4,
            "unknown key 'sub'. Keys: case, mode, engine, check, error, torch, reason.",
        ),
        ("\nexpected = 1\n", 2, "unknown key 'expected'. The file holds [[expect]] tables."),
        (
            'expect = [{case = "a", reason = "b"}]\n',
            1,
            "write each expected failure as a separate table that begins with a line [[expect]].",
        ),
        ("expect = 5\n", 1, "write each expected failure as a separate table that begins with a line [[expect]]."),
        (
            ENTRY + 'modes = "strict"\nreason = "r"\n',
            3,
            "unknown key 'modes'; did you mean 'mode'? Keys: case, mode, engine, check, error, torch, reason.",
        ),
        (
            ENTRY + "quux = 1\n",
            3,
            "unknown key 'quux'. Keys: case, mode, engine, check, error, torch, reason.",
        ),
        (ENTRY + "reason = 5\n", 3, "reason takes a string, got 5."),
        (ENTRY, 1, "[[expect]] needs a reason. Write why the failure is expected."),
        (ENTRY + 'reason = "  "\n', 3, "[[expect]] needs a reason. Write why the failure is expected."),
        (
            '\n# why\n[[expect]]\nreason = "r"\n',
            3,
            "[[expect]] needs a case: write case = 'path::name' or case = 'name'; globs work.",
        ),
        (
            ENTRY + 'reason = "r"\ntorch = "2.x"\n',
            4,
            "torch='2.x' is not a version specifier. Write for example torch='>=2.13,<2.15'.",
        ),
        (
            ENTRY + 'reason = "r"\nerror = "a(b"\n',
            4,
            "error='a(b' is not a valid regular expression: missing ), unterminated subpattern at position 1. "
            "It is searched for in the text of a finding; escape literal text with a backslash.",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(reading, tmp_path, text, line, message):
    with pytest.raises(ExpectationsError) as caught:
        reading(text)
    assert str(caught.value) == f"{tmp_path / 'expected.toml'}:{line}: {message}"


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ExpectationsError) as caught:
        read(tmp_path / "none.toml")
    path = tmp_path / "none.toml"
    assert str(caught.value) == (
        f"the expectations file {path} cannot be read (No such file or directory). Correct the path, or create the file "
        f"with --exportcheck-expectations={path} --exportcheck-update-expectations."
    )


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "expected.toml"
    path.write_bytes(b"# nothing\n\xff\xfe")
    message = r"expected.toml:2: not UTF-8 \('utf-8' codec can't decode byte 0xff .*\). Save the file as UTF-8\."
    with pytest.raises(ExpectationsError, match=message):
        read(path)


def test_a_file_from_a_windows_editor(tmp_path):
    path = tmp_path / "expected.toml"
    path.write_bytes(
        '\ufeff[[expect]]\r\ncase = "a"\r\nreason = "r"\r\n\r\n[[expect]]\r\ncase = "b"\r\nreason = "r"\r\n'.encode()
    )
    assert [(entry.case, entry.line) for entry in read(path).entries] == [("a", 1), ("b", 5)]
