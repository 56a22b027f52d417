"""Nothing that is written into the user's repo names a folder of the machine."""

from __future__ import annotations

import pytest

#: An edge that raises an error with a path in its message, from a line of the user's repo.
RAISING = """
def decompose(self, program, decomp_table=None):
    import broken
    return broken.decompose()
"""
BROKEN = """
def decompose():
    raise ValueError(f"cannot read {__file__}")
"""


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_reports_and_expectations_have_paths_from_the_root_folder(pytester, run_faulty, linear, workers, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    pytester.syspathinsert()
    pytester.makepyfile(case_linear=linear, case_wrong="import no_such_module", broken=BROKEN)
    modes = "--exportcheck-modes=nonstrict,nonstrict-decompose"
    result = run_faulty(RAISING, modes, "--exportcheck-json=report.json", *workers)
    result.stdout.fnmatch_lines(
        ["    got:      ValueError: cannot read broken.py", "              (raised at broken.py:*"]
    )
    run_faulty(
        RAISING,
        modes,
        "--exportcheck-expectations=expected.toml",
        "--exportcheck-update-expectations",
        *workers,
    )
    for name in ("report.json", "expected.toml", "summary.md"):
        text = pytester.path.joinpath(name).read_text()
        assert "broken.py" in text, name
        assert str(pytester.path) not in text, name
