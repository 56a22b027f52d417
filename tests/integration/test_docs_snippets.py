"""Every Python snippet of the docs runs when it is pasted alone, and does what its page says.

A snippet whose first line is ``# continues the snippet above`` is pasted after that one. A first line such as ``# shop.py``
names the file that the other snippets of the page import.
"""

from __future__ import annotations

import builtins
import dis
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from pytest_exportcheck.harness._torch import takes_specifications

pytestmark = pytest.mark.usefixtures("whole_torch")

ROOT = Path(__file__).parents[2]
CONTINUES = "# continues the snippet above\n"


@dataclass(frozen=True)
class Snippet:
    page: str
    line: int
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that the first line gives."""
        named = re.match(r"# (\w+\.py)\b", self.text)
        return named and named[1]


def snippets_of(page: Path) -> Iterator[Snippet]:
    text, before = page.read_text(), ""
    for found in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        before = before + found[1] if found[1].startswith(CONTINUES) else found[1]
        yield Snippet(str(page.relative_to(ROOT)), text.count("\n", 0, found.start()) + 1, before)


#: The reports of known defects are left out: ``tests/test_known_defect_reports.py`` runs each of their reproducers.
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
specified = pytest.mark.skipif(not takes_specifications(), reason="torch.export takes specifications since torch 2.14")
SNIPPETS = [snippet for page in PAGES for snippet in snippets_of(page)]


def the_snippet(page: str, holding: str) -> Snippet:
    (snippet,) = (each for each in SNIPPETS if each.page == page and holding in each.text)
    return snippet


def write_files(folder: Path, page: str) -> None:
    """Write the files that the page names, for its other snippets to import."""
    for each in SNIPPETS:
        if each.page == page and each.file is not None:
            folder.joinpath(each.file).write_text(each.text)


def unknown_names(code: CodeType, module: ModuleType) -> Iterator[str]:
    """Yield the names that a snippet reads somewhere, also in functions that nothing calls, and that nothing defines."""
    instructions = list(dis.get_instructions(code))
    here = {each.argval for each in instructions if each.opname == "STORE_NAME"}
    for each in instructions:
        defined = each.argval in here or hasattr(module, str(each.argval)) or hasattr(builtins, str(each.argval))
        if each.opname in ("LOAD_NAME", "LOAD_GLOBAL") and not defined:
            yield each.argval
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from unknown_names(inner, module)


@pytest.fixture(autouse=True)
def _one_page():
    """Forget the modules of a page after the test: another page has a module of the same name."""
    known = set(sys.modules)
    yield
    for name in (set(sys.modules) - known) & {"shop", "the_snippet"}:
        del sys.modules[name]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda each: f"{each.page}:{each.line}")
def test_a_snippet_imports_and_defines_all_that_it_uses(tmp_path, monkeypatch, snippet):
    write_files(tmp_path, snippet.page)
    path = tmp_path / "the_snippet.py"
    path.write_text(snippet.text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.spec_from_file_location("the_snippet", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert sorted(set(unknown_names(compile(snippet.text, str(path), "exec"), module))) == []


def test_a_name_that_only_a_function_reads_is_seen():
    module = ModuleType("the_snippet")
    text = "class A:\n    one = 1\n    two = one\n    def f(self):\n        return lambda: (len, torch)\n"
    exec(text, vars(module))
    assert list(unknown_names(compile(text, "the_snippet", "exec"), module)) == ["torch"]


LINEAR = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2, 3),))
class Linear(torch.nn.Linear):
    def __init__(self):
        super().__init__(3, 3)
"""
TABLE = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2),))
class Table(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.few, self.many = torch.ones(1000), torch.ones(1001)

    def forward(self, x):
        return x + self.few.sum() + self.many.sum()
"""


@pytest.fixture
def run_with(pytester):
    """Run cases with one snippet of the page of hooks as the whole conftest."""

    def run_with(holding, cases, *options):
        options = options or ("--exportcheck-engines=torch", "--exportcheck-modes=nonstrict")
        pytester.makeconftest(the_snippet("docs/hooks.md", holding).text)
        pytester.makepyfile(case_one=cases)
        return pytester.runpytest("--exportcheck", *options)

    return run_with


def test_the_engine_of_the_page_captures_strictly(run_with):
    result = run_with("exportcheck_engines", LINEAR, "--exportcheck-engines=strict_only", "-rs")
    result.stdout.fnmatch_lines(
        ["  Linear  u u u  u   u   . . .", "SKIPPED * unsupported by strict_only: we export with strict=True"]
    )


def test_the_case_of_the_page_is_collected(run_with):
    result = run_with("exportcheck_cases", "")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["exportcheck_cases", "  identity *"])


def test_the_edge_of_the_page_is_a_mode(run_with):
    result = run_with("exportcheck_edges", LINEAR, "--exportcheck-engines=torch", "--exportcheck-modes=nonstrict-dce")
    result.assert_outcomes(passed=1)


def test_the_check_of_the_page_finds_the_large_constant(run_with):
    result = run_with("exportcheck_checks", TABLE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no_large_constants: many: *", "*expected: at most 1,000 elements", "*got: *1001"])
    result.stdout.no_fnmatch_line("*no_large_constants: few: *")


def test_the_outcome_of_the_page_is_printed(run_with):
    cases = TABLE.replace("return x", "self.few = self.few + 1\n        return x")
    result = run_with(
        "exportcheck_outcome", cases, "--exportcheck-engines=torch", "--exportcheck-modes=nonstrict", "-s"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Table torch nonstrict failed *"])


@pytest.mark.parametrize(
    ("page", "holding", "outcomes"),
    [
        ("README.md", "class MLP", {"passed": 1}),
        ("README.md", "class Timed", {"xfailed": 1}),
        ("README.md", "def normalizer", {"passed": 1}),
        ("README.md", "def test_normalizer", {"passed": 1}),
        ("docs/adopting.md", "rejection(", {"passed": 1}),
        ("docs/adopting.md", "def test_ranker", {"failed": 1}),  # its model is the broken one that the page begins with
        ("docs/fuzzing.md", "class Pick", {"passed": 2}),
        pytest.param("docs/fuzzing.md", "class Stacked", {"passed": 2}, marks=specified),
    ],
)
def test_a_case_of_the_docs_has_the_outcome_that_its_page_says(pytester, page, holding, outcomes):
    write_files(pytester.path, page)
    pytester.makepyfile(test_snippet=the_snippet(page, holding).text)
    mode = "strict" if holding == "class Timed" else "nonstrict"
    options = ["--exportcheck-engines=torch", f"--exportcheck-modes={mode}"]
    options += ["--exportcheck-fuzz=3"] if page == "docs/fuzzing.md" else []
    result = pytester.runpytest("--exportcheck", *options, "test_snippet.py")
    result.assert_outcomes(**outcomes)
