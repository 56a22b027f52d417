"""The language of docstrings and comments: a verb or a noun comes first, and words have their usual sense."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_exportcheck
from tests.unit.test_language import banned_phrases

PACKAGE = Path(pytest_exportcheck.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

#: Verbs that docstrings of functions begin with. A new verb is added here; a noun or "What ..." is rewritten.
VERBS = re.compile(
    r"(?:"
    r"Add|Assign|Attach|Bind|Blame|Build|Call|Capture|Check|Clean|Clone|Collect|Compare|Compile|Compute|"
    r"Convert|Copy|Count|Declare|Describe|Disable|Distribute|Draw|Drop|End|Enter|Escape|Evaluate|Explain|"
    r"Explore|Find|Flatten|Fold|Freeze|Fuzz|Give|Import|Insert|Isolate|Judge|Keep|Leave|List|Load|Look|"
    r"Make|Map|Mark|Match|Move|Name|Note|Observe|Open|Pair|Parse|Plan|Put|Quote|Raise|Read|Rebuild|"
    r"Receive|Record|Refuse|Register|Remember|Remove|Render|Replace|Report|Resolve|Restore|Return|Rewrite|"
    r"Run|Save|Seed|Set|Show|Shut|Solve|Spell|Split|Stop|Store|Take|Treat|Turn|Use|Visit|Warn|Watch|Wrap|"
    r"Word|Write|Yield"
    r")\b"
)
#: Words that no docstring and no description of a constant begins with, because no noun or verb follows.
HEADLESS = re.compile(r"(?:What|Whatever|Whether|Which|Who|Whose|When|Where|Why|How|Of|Those)\b")
#: The third person, which a class or a module would use in place of a noun: "Writes one graph."
THIRD_PERSON = re.compile(
    r"(?:Adapts|Builds|Carries|Compares|Converts|Does|Evaluates|Holds|Keeps|Leaves|Makes|Says|Stands|Visits|Watches)\b"
)
#: "alone" in the sense of "only"; the other phrases are those of the documentation.
ALONE = re.compile(r"\balone\b", re.IGNORECASE)
#: Code in prose: it may hold any word.
CODE = re.compile(r"``[^`]*``|:\w+:`[^`]*`|^```.*?^```", re.DOTALL | re.MULTILINE)


def documented(tree: ast.Module) -> Iterator[tuple[Documented, str]]:
    """Yield everything that has a docstring, with the docstring."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node, text


def comments(source: str) -> Iterator[tuple[str, str]]:
    """Yield the sign and the text of comments; consecutive lines with one sign are one text."""
    end, sign, text = 0, "", ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            mark = "#:" if token.string.startswith("#:") else "#"
            if text and (token.start[0], mark) != (end + 1, sign):
                yield sign, text
                text = ""
            end, sign, text = token.start[0], mark, f"{text} {token.string.removeprefix(mark).strip()}".strip()
    if text:
        yield sign, text


def wrong_openings(source: str) -> Iterator[str]:
    """Yield the docstrings and the descriptions of constants that no verb or noun begins."""
    for node, text in documented(ast.parse(source)):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if not VERBS.match(text) if is_function else HEADLESS.match(text) or THIRD_PERSON.match(text):
            yield text.splitlines()[0]
    for sign, text in comments(source):
        if sign == "#:" and HEADLESS.match(text):
            yield text


def wrong_words(source: str) -> Iterator[str]:
    """Yield the banned phrases in docstrings and comments."""
    texts = [text for _, text in documented(ast.parse(source))] + [text for _, text in comments(source)]
    for text in texts:
        prose = CODE.sub("", text)
        yield from (phrase for _, phrase in banned_phrases(prose))
        yield from ALONE.findall(prose)


def undocumented(source: str) -> Iterator[str]:
    """Yield the public functions of a module without a docstring."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not ast.get_docstring(node):
            yield node.name


def unencodable(source: str) -> Iterator[str]:
    """Yield the docstrings with a lone surrogate, which Python 3.13 refuses to compile."""
    for _, text in documented(ast.parse(source)):
        try:
            text.encode()
        except UnicodeEncodeError:
            yield text.splitlines()[0]


def of_package(check) -> dict[str, list[str]]:
    """Return what a check finds, by the file of the package."""
    found = {str(path.relative_to(PACKAGE)): list(check(path.read_text(encoding="utf-8"))) for path in FILES}
    return {path: each for path, each in found.items() if each}


@pytest.mark.parametrize("check", [wrong_openings, wrong_words, undocumented, unencodable])
def test_docstrings_and_comments_of_the_package_are_plain(check):
    assert of_package(check) == {}


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """What it yields."""',
        'def f():\n    """Whether it is one."""',
        'def f():\n    """The result."""',
        'def f():\n    """Of the last one."""',
        'def f():\n    """``x`` as text."""',
        'class A:\n    """What one stage did."""',
        'class A:\n    """Holds one stage."""',
        '"""Where a difference starts."""',
        "#: How many there are.\nA = 1",
    ],
)
def test_an_opening_without_a_verb_or_a_noun_is_found(source):
    assert len(list(wrong_openings(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Return whether it is one."""',
        'async def f():\n    """Read the file."""',
        'class A:\n    """The result of one stage."""',
        '"""Runs of a program, node by node."""',
        "#: Number of elements.\nA = 1",
        "# how it is done\nA = 1",
    ],
)
def test_a_sound_opening_passes(source):
    assert list(wrong_openings(source)) == []


@pytest.mark.parametrize(
    ("source", "phrases"),
    [
        ('def f():\n    """Return what stands beside it."""', ["stands", "beside"]),
        ("A = 1  # nobody knows", ["nobody"]),
        ("# a class that is\n# no name\nA = 1", ["is no"]),
        ('"""Values alone."""', ["alone"]),
        ("# the names of ``beside``\nA = 1", []),
        ('B = "told anew"', []),
    ],
)
def test_banned_words_are_found_in_docstrings_and_comments_only(source, phrases):
    assert list(wrong_words(source)) == phrases


def test_a_public_function_without_a_docstring_is_found():
    assert list(undocumented("def f():\n    return 1\ndef _g():\n    return 2")) == ["f"]


def test_a_docstring_with_a_lone_surrogate_is_found():
    assert list(unencodable('def name():\n    "Return \\udc80."\n')) == ["Return \udc80."]
    assert list(unencodable('def name():\n    r"Return \\udc80."\n')) == []
