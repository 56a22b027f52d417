"""``exportcheck reduce``: from a failing item to a script of a few lines, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_exportcheck.cli import main

PAGE = (Path(__file__).parents[2] / "docs/debugging.md").read_text().split("## Reduce a bundle")[1]
OPTIONS = ("--exportcheck-modes=nonstrict-serdes", "--exportcheck-engines=torch", "--exportcheck-repro-dir=repro")


@pytest.fixture
def bundle(whole_torch: None, pytester: pytest.Pytester) -> Path:
    """The bundle of a genuine defect of torch: saving loses the conjugate bit of a buffer."""
    pytester.makepyfile(case_filter=PAGE.split("```python\n")[1].split("```")[0])
    pytester.runpytest("--exportcheck", *OPTIONS)
    return Path("repro/Filter-torch-nonstrict-serdes")


def test_a_defect_of_torch_becomes_the_script_of_the_page(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: (bundle / file).read_bytes() for file in ("finding.json", "inputs.pt", "repro.py")}
    capsys.readouterr()
    assert main(["reduce", str(bundle)]) == 0
    shown = PAGE.split("-serdes\n")[1].split("```")[0]
    assert _without_costs(capsys.readouterr().out) == _without_costs(shown)
    assert before == {file: (bundle / file).read_bytes() for file in before}
    script = Path(f"{bundle}-reduced/repro.py").read_text()
    expected = PAGE.split("```text\n")[1].split("```")[0]
    assert script.splitlines()[1:] == expected.splitlines()[1:]
    assert main(["replay", f"{bundle}-reduced"]) == 1


def _without_costs(text: str) -> str:
    """Return a text without tries and seconds, which differ between versions of torch and machines."""
    return re.sub(r"\d+ (tries|s)\b", r"N \1", text)


def _refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_what_is_not_a_bundle_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _refused(["reduce", str(tmp_path / "none")], capsys) == (
        f"exportcheck: {tmp_path / 'none'} is not a folder. Name one that pytest --exportcheck-repro-dir wrote.\n"
    )


@pytest.mark.parametrize("option", ["--tries", "--seconds"])
@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_limit_that_is_not_a_number_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["reduce", "repro", f"{option}={value}"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"argument {option}: expected a whole number above 0, got {value!r}\n")
