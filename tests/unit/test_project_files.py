"""The files for contributors and releases agree with each other, with the Makefile and with the code."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_exportcheck.expectations.file import KEYS
from pytest_exportcheck.records import results
from pytest_exportcheck.reference.pt2.convert.program import SUPPLEMENT_VERSION
from pytest_exportcheck.reference.pt2.schema import SCHEMA_VERSION

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

yaml = pytest.importorskip("yaml", reason="pyyaml is part of the dev extra; this environment was made without it")

ROOT = Path(__file__).parents[2]
WORKFLOWS = [*sorted((ROOT / ".github/workflows").glob("*.yml")), ROOT / "examples/shop/.github/workflows/test.yml"]
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


class Loader(yaml.SafeLoader):  # type: ignore[name-defined]  # yaml may be missing
    """Reads YAML as data. `on` is a key as GitHub reads it, not a truth value."""


Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:bool"]
    for letter, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_a_trigger_and_jobs_of_steps(path):
    workflow = read(path)
    assert workflow["on"]
    assert workflow["jobs"]
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert [step for step in job["steps"] if ("run" in step) == ("uses" in step)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_targets_of_the_makefile_and_files_that_exist(path):
    text = path.read_text()
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) - TARGETS == set()
    named = re.findall(r"(?<=\s)((?:scripts|cases)/\w+\.py)", text)
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_matrix_has_every_supported_python_and_the_oldest_torch():
    matrix = read(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    prefix = "Programming Language :: Python :: "
    classified = [each.removeprefix(prefix) for each in project()["project"]["classifiers"] if each.startswith(prefix)]
    assert matrix["python"] == [each for each in classified if re.fullmatch(r"3\.\d+", each)]
    (torch,) = (each for each in project()["project"]["dependencies"] if each.startswith("torch"))
    assert matrix["torch"] == [torch.removeprefix("torch>=") + ".*", "newest"]


def test_the_nightly_torch_may_fail_and_runs_on_schedule():
    workflow = read(ROOT / ".github/workflows/ci.yml")
    assert "schedule" in workflow["on"]
    job = workflow["jobs"]["nightly-torch"]
    assert (job["continue-on-error"], "schedule" in job["if"]) == ("true", True)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_has_questions_with_names(path):
    form = read(path)
    assert form["name"]
    assert form["description"]
    questions = [each for each in form["body"] if each["type"] != "markdown"]
    assert len({each["id"] for each in questions}) == len(questions) > 0
    assert [each["id"] for each in questions if not each["attributes"]["label"]] == []


def test_there_is_a_form_for_each_kind_of_report():
    assert [path.stem for path in FORMS] == ["bug", "false_alarm", "known_defect", "missed_fault"]


@pytest.mark.parametrize(
    "name", [".pre-commit-config.yaml", ".github/dependabot.yml", ".github/ISSUE_TEMPLATE/config.yml"]
)
def test_other_yaml_can_be_read(name):
    assert read(ROOT / name)


def test_pre_commit_checks_what_make_lint_checks():
    hooks = [hook["id"] for repo in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {"ruff", "ruff-format", "mypy", "lint-imports"} <= set(hooks)


def pages_of(nav: Any) -> list[str]:
    """The pages that a part of the navigation lists."""
    if isinstance(nav, str):
        return [nav]
    return [page for part in (nav.values() if isinstance(nav, dict) else nav) for page in pages_of(part)]


def test_the_site_lists_every_page_of_the_docs_once():
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    reports = [page for page in pages if page.startswith("known-defects/") and page != "known-defects/README.md"]
    assert sorted(pages_of(read(ROOT / "mkdocs.yml")["nav"])) == sorted(set(pages) - set(reports))


def test_every_folder_that_the_sdist_includes_exists():
    included = project()["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert [name for name in included if not list(ROOT.glob(name.lstrip("/")))] == []


def test_the_changelog_has_a_section_per_kind_of_change():
    sections = re.findall(r"^(?:## \[(.+?)\]|### (.+))", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == ("Unreleased", "")
    kinds = [kind for _, kind in sections if kind]
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def newest_row(page: str, heading: str) -> str:
    """The first cell of the first row of the table below a heading or a bold name."""
    text = (ROOT / "docs" / page).read_text().split(heading, 1)[1]
    return re.split(r"\|(?:---\|)+\n", text, maxsplit=1)[1].split("|")[1].strip()


def test_each_version_of_a_format_is_the_newest_in_its_log():
    assert newest_row("report.md", "## Versions") == f"{results.MAJOR}.{results.MINOR}"
    assert newest_row("stability.md", "**The supplement of PT2 files**") == str(SUPPLEMENT_VERSION)
    assert newest_row("stability.md", "**The schema of PT2 files**") == ".".join(map(str, SCHEMA_VERSION))


def test_the_log_of_the_expectations_file_names_every_key():
    log = (ROOT / "docs/stability.md").read_text().split("**The expectations file**")[1].split("**The journal**")[0]
    assert re.findall(r"`(\w+)`", log) == list(KEYS)


def test_a_comment_logs_each_version_of_the_supplement():
    source = (ROOT / "pytest_exportcheck/reference/pt2/convert/program.py").read_text()
    logged = re.findall(r"^#: - (\d+), ", source, re.MULTILINE)
    assert logged == [str(number) for number in range(SUPPLEMENT_VERSION, 0, -1)]


@pytest.mark.parametrize(
    ("page", "text", "shown"),
    [
        ("decisions.md", "[it](../ARCHITECTURE.md)", "[it](https://repo/blob/main/ARCHITECTURE.md)"),
        ("pt2-format.md", "[it](differences.md#how)", "[it](differences.md#how)"),
        ("known-defects/README.md", "[it](../verdicts.md#table)", "[it](../verdicts.md#table)"),
        ("known-defects/README.md", "[it](../../README.md#cases)", "[it](https://repo/blob/main/README.md#cases)"),
        ("differences.md", "- **a**: [0][0]: [b](args = (c,))", r"- **a**: \[0]\[0]: [b]\(args = (c,))"),
        ("differences.md", "text [0] and [it](report.md)", "text [0] and [it](report.md)"),
    ],
)
def test_a_link_that_leaves_the_docs_leads_to_the_repository(page, text, shown):
    hooks = runpy.run_path(str(ROOT / "mkdocs_hooks.py"))
    given = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert hooks["on_page_markdown"](text, page=given, config={"repo_url": "https://repo"}) == shown


def test_the_roles_of_docstrings_are_removed_from_the_site():
    hooks = runpy.run_path(str(ROOT / "mkdocs_hooks.py"))
    assert hooks["on_page_content"]("from :func:<code>rejection</code>: it") == "from <code>rejection</code>: it"
