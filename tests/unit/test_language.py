"""The language of the documentation: plain technical English, as far as a program can check it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

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
PAGES = [*(ROOT / name for name in NAMES), *sorted(ROOT.glob("docs/*.md"))]

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
    r"we|us|our|ours": "the part that acts: the plugin, the reference reader",
    r"design page": "the page of this repository that explains it",
    r"work ran": "nothing: the project does not describe how it was made",
}
_PHRASES = re.compile("|".join(rf"\b(?:{phrase})\b" for phrase in BANNED), re.IGNORECASE)
#: Parts of Markdown that quote a program: fenced and indented blocks, inline code, the targets of links, comments.
_BLOCKS = re.compile(r"^```.*?^```$|^    .*?$|<!--.*?-->", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`[^`\n]*`|\]\([^)\n]*\)")


def prose_of(markdown: str) -> str:
    """Remove what a page quotes from programs, and keep the number of every line."""
    return _INLINE.sub("", _BLOCKS.sub(lambda found: "\n" * found[0].count("\n"), markdown))


def banned_phrases(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every banned phrase. A phrase may continue on the next line."""
    for found in _PHRASES.finditer(text.replace("\n", " ")):
        yield text.count("\n", 0, found.start()) + 1, found[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_uses_plain_technical_english(page):
    assert list(banned_phrases(prose_of(page.read_text()))) == []


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
