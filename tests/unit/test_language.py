"""The language of pages and messages: plain technical English, as far as a program can check it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import pytest

ROOT = Path(__file__).parents[2]
NAMES = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "RELEASING.md",
    "SECURITY.md",
    "examples/README.md",
)
PACKAGE = sorted((ROOT / "pytest_exportcheck").rglob("*.py"))
PAGES = [
    *(ROOT / name for name in NAMES),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("docs/known-defects/*.md")),
]

#: A phrase to avoid, as a regular expression -> what to write instead. A phrase matches whole words, in any case.
BANNED = {
    r"(?<!there )(?:is|are|was|were) no(?! longer| more)": "is not a",
    r"tells?|told": "report, show, print",
    r"stands?|stood|standing": "is, are; for 'stands for': selects, means, replaces",
    r"lies?|lay|lying": "is; for 'lies behind': depends on, comes after",
    r"anew": "again",
    r"beside": "next to, in addition to",
    r"of (?:its|their|your|our|one's) own": "a separate one, or nothing",
    r"whoever|whomever": "the subject itself: the user, the worker, the engine",
    r"nobody|somebody": "the subject itself, or the passive",
    r"meanwhile": "while ... runs",
    r"ere": "before",
    r"mend(?:s|ed|ing)?": "fix",
    r"t(?:ake|akes|aken|ook) (?:it |them )?for(?! good)": "treat as",
    r"but for": "except",
    r"at last": "then, finally",
    r"for ever": "always",
    r"we|us|our(?! current)|ours": "the part that acts: the plugin, the reference reader",
    r"design page": "the page of this repository that explains it",
    r"work ran": "nothing: the project does not describe how it was made",
}
#: More phrases to avoid in messages, which a reader meets when something has just failed.
BANNED_IN_MESSAGES = {
    r"behind": "after, in addition to",
    r"otherwise": "differently, or else",
    r"(?:is|are) none": "does not exist, is missing",
    r"(?<!with )no (?:file|program|model|reader|torch) (?:can|may|has|does)": "a file cannot",
    r"put together": "constructed, rebuilt",
    r"(?:is|are) (?:said|spoken)": "is given, is declared",
    r"need not": "may not, does not have to",
}


def _pattern(phrases: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(rf"\b(?:{phrase})\b" for phrase in phrases), re.IGNORECASE)


_PHRASES = _pattern(BANNED)
_MESSAGE_PHRASES = _pattern([*BANNED, *BANNED_IN_MESSAGES])
#: Parts of Markdown that quote a program: fenced and indented blocks, inline code, the targets of links, comments.
_BLOCKS = re.compile(r"^```.*?^```$|^    .*?$|<!--.*?-->", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`[^`\n]*`|\]\([^)\n]*\)")


def prose_of(markdown: str) -> str:
    """Remove what a page quotes from programs, and keep the number of every line."""
    return _INLINE.sub("", _BLOCKS.sub(lambda found: "\n" * found[0].count("\n"), markdown))


def banned_phrases(text: str, phrases: re.Pattern[str] = _PHRASES) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every banned phrase. A phrase may continue on the next line."""
    for found in phrases.finditer(text.replace("\n", " ")):
        yield text.count("\n", 0, found.start()) + 1, found[0]


def messages(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every string in code that has a space: messages, and parts of messages. A value
    in an f-string is left out. Docstrings have a test of their own.
    """
    nodes = list(ast.walk(ast.parse(source)))
    documented = [node for node in nodes if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    left_out = {id(each.value) for node in documented for each in node.body if isinstance(each, ast.Expr)}
    left_out |= {id(each) for node in nodes if isinstance(node, ast.JoinedStr) for each in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            text = "".join(cast("str", each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield node.lineno, text


def banned_in_messages(source: str) -> list[tuple[int, str, str]]:
    return [
        (line, phrase, text) for line, text in messages(source) for _, phrase in banned_phrases(text, _MESSAGE_PHRASES)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_uses_plain_technical_english(page):
    assert list(banned_phrases(prose_of(page.read_text()))) == []


@pytest.mark.parametrize("file", PACKAGE, ids=lambda file: str(file.relative_to(ROOT)))
def test_messages_use_plain_technical_english(file):
    assert banned_in_messages(file.read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise ValueError(f"{name} is no {kind}.")', "is no"),
        ('raise ValueError(\n    f"the file {name} stands "\n    f"in {folder}."\n)', "stands"),
        ('text = ("the writer " "is told")', "told"),
        ('HELP = {"option": "what else to draw beside sizes"}', "beside"),
        ('yield f"{first} and {count(number)} behind it"', "behind"),
        ("found = f\"{'is ' if name else f'it is no {kind}'}\"", "is no"),
        ('reason = "a value that no program can say"', "no program can"),
    ],
)
def test_a_banned_phrase_in_a_message_is_found(source, found):
    assert [phrase for _, phrase, _ in banned_in_messages(f'"""A file."""\n{source}\n')] == [found]


@pytest.mark.parametrize(
    "source",
    [
        '"""A function that is told something."""',
        'def told(behind):\n    """Is no message."""\n    return behind',
        'kind = "stands"',
        'raise ValueError(f"there is no {told} upper bound")',
    ],
)
def test_code_and_docstrings_are_no_messages(source):
    assert banned_in_messages(source) == []


@pytest.mark.parametrize(
    ("sentence", "phrase"),
    [
        ("This is no name.", "is no"),
        ("The engine is told.", "told"),
        ("The field stands in the ledger.", "stands"),
        ("The modes that lie behind it are blocked.", "lie"),
        ("The model assigns it anew.", "anew"),
        ("It runs beside torch.", "beside"),
        ("Each has a name of its own.", "of its own"),
        ("Whoever is at fault.", "Whoever"),
        ("Nobody sees it.", "Nobody"),
        ("Meanwhile the worker waits.", "Meanwhile"),
        ("Torch mends it.", "mends"),
        ("A tensor is taken for a constant.", "taken for"),
        ("We read it.", "We"),
        ("A name of\ntheir own.", "of their own"),
    ],
)
def test_a_banned_phrase_is_found(sentence, phrase):
    assert list(banned_phrases(f"The first line.\n{sentence}")) == [(2, phrase)]


@pytest.mark.parametrize(
    "sentence",
    [
        "There is no upper bound.",
        "The entry is no longer needed.",
        "The standard library, an understanding, a belief.",
        "The branch is taken for good.",
        "`told` is the name of a field.",
        "```console\n$ told anew\n```",
        "[a page](docs/told.md)",
    ],
)
def test_a_sound_sentence_passes(sentence):
    assert list(banned_phrases(prose_of(sentence))) == []
