"""``exportcheck reduce``: from a failing item to a script of a few lines, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exportcheck.cli import main

FILTER = """
import torch

from pytest_exportcheck import export_case


@export_case(args=lambda: (torch.arange(8.0).reshape(2, 4),))
class Filter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.polar(torch.ones(4), torch.arange(4.0)).conj())

    def forward(self, x):
        return torch.fft.ifft(torch.fft.fft(x.sin()) * self.window).real
"""
OPTIONS = ("--exportcheck-modes=nonstrict-serdes", "--exportcheck-engines=torch", "--exportcheck-repro-dir=repro")


@pytest.fixture
def bundle(whole_torch: None, pytester: pytest.Pytester) -> Path:
    """The bundle of a genuine defect of torch: saving loses the conjugate bit of a buffer."""
    pytester.makepyfile(case_filter=FILTER)
    pytester.runpytest("--exportcheck", *OPTIONS)
    return Path("repro/Filter-torch-nonstrict-serdes")


def test_a_defect_of_torch_becomes_a_script_that_needs_torch_only(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: (bundle / file).read_bytes() for file in ("finding.json", "inputs.pt", "repro.py")}
    capsys.readouterr()
    assert main(["reduce", str(bundle)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "written: repro/Filter-torch-nonstrict-serdes-reduced"
    assert lines[-2].endswith(" lines, needs torch only, exits with 1")
    assert before == {file: (bundle / file).read_bytes() for file in before}
    script = Path(f"{bundle}-reduced/repro.py")
    assert len(script.read_text().splitlines()) < 40
    assert "pytest" not in script.read_text()
    assert main(["replay", f"{bundle}-reduced"]) == 1


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
