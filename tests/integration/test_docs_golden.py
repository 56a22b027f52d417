"""The page of golden programs shows what the plugin prints, apart from the version of torch."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.golden_of import VERSION

PAGE = Path(__file__).parents[2] / "docs" / "golden.md"


def test_the_page_shows_what_an_update_and_a_change_of_the_model_print(pytester: pytest.Pytester) -> None:
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (code,) = [text for language, text in blocks if language == "python"]
    first, *_, node, accepted = [text for language, text in blocks if not language]
    case = pytester.path / "case_shop.py"
    case.write_text(code, encoding="utf-8")
    options = ("--exportcheck", "--exportcheck-golden=golden", "-p", "no:cacheprovider", "-W", "ignore")
    new = pytester.runpytest_inprocess(*options, "--exportcheck-update-golden")
    assert first.strip().replace("2.13.0", VERSION) in new.outlines
    case.write_text(code.replace("torch.relu", "torch.nn.functional.gelu"), encoding="utf-8")
    changed = pytester.runpytest_inprocess(*options, "-k", "golden")
    left_out = ("expected:", "got:", "...")  # digits that depend on the machine
    shown = [line.replace("2.14.1", VERSION) for line in node.splitlines() if not line.strip().startswith(left_out)]
    assert [line for line in shown if line not in changed.outlines] == []
    update = pytester.runpytest_inprocess(*options, "--exportcheck-update-golden")
    lines = [line.replace("2.14.1", VERSION) for line in accepted.splitlines() if "2.13.0" not in line]
    assert [line for line in lines if line not in update.outlines] == []
