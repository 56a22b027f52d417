"""Every shell command of the docs runs, in the order of its page, or is listed here with the reason why it does not.

A run of pytest is made cheap: it uses the engine ``echo``; a run with workers, on drawn sizes, for runtimes or on models of the zoo only
collects.
``test_docs.py`` runs the commands whose output a page shows, on the engines that the page names.
"""

from __future__ import annotations

import glob
import importlib.util
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from pytest_exportcheck import reference
from pytest_exportcheck.cli import main
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.reports.json_report import encoded
from pytest_exportcheck.sources import cases_from
from tests.unit.bundles_of import Shifting, bundle_of, doubled
from tests.unit.reports_of import item, report, run

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])

#: The first words of commands that do not run, and why.
NOT_RUN = {
    "pip install": "downloads torch; the workflows run it",
    "pre-commit install": "writes a hook into the repository of the contributor",
    "git tag": "publishes a release",
    "git push": "publishes a release",
}
#: What a page writes in place of a name.
STANDINS = {"NAME": "outputs", "ID": "serdes-str-output", "FILE": "net.pt2", "FILE.pt2": "net.pt2", "OUT": "all.json"}
STANDINS |= {
    "FOLDER": "repro/Scores-torch-nonstrict",
    "REPORT...": "shard-1.json",
    "PAGE": "page.html",
    "IN": "shard-1.json",
    "[IN": "",
    "...]": "",
    "OTHER_CHECKOUT": ".",
}
STANDINS |= {"OLD.json": "shard-1.json", "NEW.json": "torch-2.14.json", "A.pt2": "net.pt2", "B.pt2": "net.pt2"}

FENCED = re.compile(r"^ *```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^ *\$ ((?:.*\\\n)*.*)$", re.MULTILINE)
STEP = re.compile(r"^ *- run: (.+)$", re.MULTILINE)
INLINE = re.compile(r"`((?:pytest --|exportcheck (?=[a-z-])|make [a-z]|python -m (?:benchmarks|tests)|\.ci/)[^`]*)`")


@dataclass(frozen=True)
class Command:
    page: str
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        """The words of the command without its comment, with names in place of stand-ins."""
        return [word for each in shlex.split(self.text, comments=True) if (word := STANDINS.get(each, each))]

    @property
    def start(self) -> str:
        return " ".join(self.words[:2])

    @property
    def sources(self) -> bool:
        """True if the command checks models of the zoo."""
        return any(each.startswith(("--exportcheck-source", "timm::")) for each in self.words)


def commands_of(page: Path) -> Iterator[Command]:
    """Yield the commands of a page in its order, each text once."""
    text = page.read_text()
    found = [
        (match.start(1) + each.start(), each[1]) for match in FENCED.finditer(text) for each in SHOWN.finditer(match[1])
    ]
    found += [(match.start(), match[1]) for pattern in (STEP, INLINE) for match in pattern.finditer(text)]
    name = str(page.relative_to(ROOT))
    yield from (
        Command(name, text.count("\n", 0, position) + 1, command.replace("\\\n", " "))
        for position, command in sorted(found)
    )


COMMANDS = [command for page in PAGES for command in commands_of(page)]


def run_pytest(command: Command, scratch: pytest.Pytester) -> None:
    arguments = command.words[1:] if command.words[0] == "pytest" else command.words[3:]
    own_edge = any(
        each.endswith("-lower") for each in arguments
    )  # of a page's conftest.py: the engine echo has no programs
    collects = (
        command.sources or own_edge or {"-n", "--exportcheck-fuzz", "--exportcheck-runtime"}.intersection(arguments)
    )
    cheap = ["--co"] if collects else ["--exportcheck-engines=echo"]
    result = scratch.runpytest(*arguments, *cheap, "-p", "no:cacheprovider")
    assert result.ret == 0, result.stdout.str() + result.stderr.str()


def run_exportcheck(command: Command, scratch: pytest.Pytester) -> None:
    words = [name for word in command.words[1:] for name in (sorted(glob.glob(word)) or [word])]
    arguments = words[: words.index(">")] if ">" in words else words
    if arguments[0] == "reduce":  # takes a while: test_reduce.py runs it on the example of the page
        arguments = ["reduce", "--help"]
    if arguments in (["inspect"], ["merge"], ["html"], ["explain"], ["compare"], ["diff"], ["replay"]):  # only names
        arguments = [*arguments, "--help"]
    printed = StringIO()
    with redirect_stdout(printed):
        try:
            status = main(arguments)
        except SystemExit as stopped:  # argparse ends --help and --version so
            status = int(stopped.code or 0)
    assert (status, printed.getvalue() != "") == (0, True), printed.getvalue()


def dry_run(command: Command, _: pytest.Pytester) -> None:
    """Run make so that it prints what it would run: most targets set up an environment first."""
    result = subprocess.run(["make", "--dry-run", *command.words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def find_module(command: Command, _: pytest.Pytester) -> None:
    """Find the module only: benchmarks and tables take minutes."""
    assert importlib.util.find_spec(command.words[2]) is not None


def in_a_shell(command: Command, scratch: pytest.Pytester) -> None:
    result = subprocess.run(command.text, shell=True, cwd=scratch.path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def find_folder(command: Command, _: pytest.Pytester) -> None:
    assert (ROOT / command.words[1]).is_dir()


def parse(command: Command, _: pytest.Pytester) -> None:
    """Parse a script that takes an hour."""
    result = subprocess.run(["bash", "-n", command.words[0]], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


#: The ways to run a command, by how it begins; the first that fits is taken.
WAYS: dict[str, Callable[[Command, pytest.Pytester], None]] = {
    "pytest ": run_pytest,
    "python -m pytest ": run_pytest,
    "python -m ": find_module,
    "exportcheck ": run_exportcheck,
    "make ": dry_run,
    "echo ": in_a_shell,
    "cd ": find_folder,
    ".ci/run": parse,
}


def way_of(command: Command) -> Callable[[Command, pytest.Pytester], None] | None:
    return next((way for start, way in WAYS.items() if command.text.startswith(start)), None)


@pytest.fixture(scope="module")
def saved() -> bytes:
    """A saved program, made before pytester: it forgets modules that are first imported in a test."""
    file = BytesIO()
    reference.save(reference.export(torch.nn.Linear(4, 4), (torch.ones(1, 4),)), file)
    return file.getvalue()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of an engine that was wrong, so that a replay finds it fixed."""
    tanh = doubled(build=torch.nn.Tanh)
    return bundle_of(tmp_path_factory.mktemp("bundles"), tanh, "nonstrict-decompose", as_engine(Shifting())).folder


@pytest.fixture
def scratch(saved: bytes, bundle: Path, echo: pytest.Pytester) -> pytest.Pytester:
    """A folder with the engine ``echo``, programs, a bundle, the reports of two shards and two versions of torch, and a
    file that expects no failure.
    """
    shutil.copytree(bundle, echo.path / "repro/Scores-torch-nonstrict")
    echo.path.joinpath("exportcheck.toml").touch()
    echo.path.joinpath("net.pt2").write_bytes(saved)
    for minute, version in enumerate(("2.13", "2.14")):
        echo.path.joinpath(f"torch-{version}.pt2").write_bytes(saved)
        runs = [run(minute, torch=version)]
        (echo.path / f"torch-{version}.json").write_bytes(encoded(report(item(case="net1"), runs=runs)))
    for shard in (1, 2):
        (echo.path / f"shard-{shard}.json").write_bytes(encoded(report(item(case=f"net{shard}"))))
    return echo


def write_files(page: str, folder: Path, linear: str) -> None:
    """Write the files that the page names, and one case more."""
    folder.joinpath("case_linear.py").write_text(linear)
    for name, text in re.findall(
        r"```(?:python|ini)\n# (\w+\.(?:py|ini))\n(.*?)```", (ROOT / page).read_text(), re.DOTALL
    ):
        with folder.joinpath(name).open("a" if name == "conftest.py" else "w") as file:  # the engine echo is in one
            file.write(f"\n{text}")


@pytest.fixture(scope="module")
def _zoo() -> None:
    """Import the libraries and their models once: pytester forgets what a run imports."""
    for library in ("torchvision", "timm", "transformers"):
        pytest.importorskip(library, reason=f"{library} is part of the zoo extra")
    for command in COMMANDS:
        for option, value in pairwise(command.words):
            if option == "--exportcheck-source":
                cases_from(value)


def test_every_command_has_a_way_to_run_or_a_reason():
    unknown = [each for each in COMMANDS if way_of(each) is None and each.start not in NOT_RUN]
    assert unknown == [], "give each command a way in WAYS, or the reason why it does not run in NOT_RUN"


def test_every_way_and_every_reason_is_used():
    used = {start for each in COMMANDS for start in (*WAYS, *NOT_RUN) if each.text.startswith(start)}
    assert sorted({*WAYS, *NOT_RUN} - used) == []


@pytest.mark.parametrize(
    ("text", "way"),
    [("pytest --exportcheck", run_pytest), ("make test", dry_run), ("tox -e docs", None), ("python setup.py", None)],
)
def test_a_command_of_a_new_kind_is_unknown(text, way):
    assert way_of(Command("new.md", 1, text)) is way


RUN = {each.page: None for each in COMMANDS if way_of(each) is not None and not each.sources}


@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_run_in_its_order(scratch, linear, page):
    write_files(page, scratch.path, linear)
    done: set[str] = set()
    for command in COMMANDS:
        way = way_of(command)
        if command.page == page and way is not None and not command.sources and command.text not in done:
            done.add(command.text)
            try:
                way(command, scratch)
            except AssertionError as error:
                raise AssertionError(f"{page}:{command.line}: {command.text}") from error


@pytest.mark.zoo
@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if each.sources], ids=lambda each: f"{each.page}:{each.line}"
)
def test_a_command_finds_its_models(_zoo, scratch, linear, command):
    scratch.makepyfile(case_linear=linear)
    run_pytest(command, scratch)


def test_the_extras_that_are_installed_exist():
    project = (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1]
    named = {extra for each in COMMANDS for extra in re.findall(r"pytest-exportcheck\[([a-z,]+)\]", each.text)}
    assert [extra for extra in named if f"\n{extra} = [" not in project] == []


def test_a_command_over_several_lines_is_one(tmp_path):
    assert [each.words for each in COMMANDS if each.page == "docs/sources.md" and len(each.words) > 6] == [
        [
            *("pytest", "--exportcheck", "--exportcheck-source", "timm:test_vit,size=96,dynamic=none"),
            *("--exportcheck-source", "transformers:MistralForCausalLM"),
            *("--exportcheck-modes", "nonstrict,nonstrict-serdes,strict"),
        ]
    ]
