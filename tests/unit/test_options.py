"""Command line -> options: fuzzing."""

from __future__ import annotations

import pytest

from pytest_exportcheck.options import ALSO, EXAMPLES, Fuzzing, Options, read_options, settings


@pytest.fixture
def config_of(pytester):
    """The configuration that a command line makes."""

    def make(*words):
        return pytester.parseconfig(*words)

    return make


@pytest.mark.parametrize(
    ("words", "fuzzing"),
    [
        ([], None),
        (["--exportcheck-fuzz"], Fuzzing(examples=EXAMPLES)),
        (["--exportcheck-fuzz=7"], Fuzzing(examples=7)),
        (["--exportcheck-fuzz", "7"], Fuzzing(examples=7)),
        (["--exportcheck-fuzz", "--exportcheck-fuzz-also=layout"], Fuzzing(also=frozenset(["layout"]))),
        (
            ["--exportcheck-fuzz=3", "--exportcheck-fuzz-also", " rank, special ,"],
            Fuzzing(examples=3, also=frozenset(["rank", "special"])),
        ),
        (["--exportcheck-fuzz", "--exportcheck-fuzz-also="], Fuzzing()),
        (["--exportcheck-fuzz", f"--exportcheck-fuzz-also={','.join(ALSO)}"], Fuzzing(also=frozenset(ALSO))),
    ],
)
def test_fuzzing_is_asked_for_with_a_number_and_with_words(config_of, words, fuzzing):
    assert read_options(config_of("--exportcheck", *words)).fuzz == fuzzing


def test_without_the_checks_nothing_is_fuzzed(config_of):
    assert read_options(config_of("--exportcheck-fuzz=7")).fuzz is None


@pytest.mark.parametrize("number", ["0", "-3", "many", "1.5", "tests", ""])
def test_a_number_of_examples_is_at_least_one(config_of, number):
    with pytest.raises(pytest.UsageError) as raised:
        read_options(config_of("--exportcheck", f"--exportcheck-fuzz={number}"))
    assert str(raised.value) == (
        f"exportcheck: --exportcheck-fuzz takes a number of examples, at least 1, got {number!r}. Before a path, write the "
        "number: --exportcheck-fuzz=25."
    )


def test_unknown_words_are_refused(config_of):
    with pytest.raises(pytest.UsageError) as raised:
        read_options(config_of("--exportcheck", "--exportcheck-fuzz", "--exportcheck-fuzz-also=size,layout,color"))
    assert str(raised.value) == (
        "exportcheck: --exportcheck-fuzz-also takes layout, special, dtype, rank, got color, size."
    )


def test_words_without_fuzzing_are_refused(config_of):
    with pytest.raises(pytest.UsageError) as raised:
        read_options(config_of("--exportcheck", "--exportcheck-fuzz-also=layout"))
    assert str(raised.value) == "exportcheck: --exportcheck-fuzz-also needs --exportcheck-fuzz. Add it."


def test_a_number_that_is_given_goes_before_the_command_line(config_of):
    config = config_of("--exportcheck-fuzz=7", "--exportcheck-fuzz-also=layout")
    assert settings(config, fuzz=3).fuzz == Fuzzing(examples=3, also=frozenset(["layout"]))
    assert settings(config).fuzz == Fuzzing(examples=7, also=frozenset(["layout"]))


@pytest.mark.parametrize(
    ("fuzzing", "words"),
    [
        (None, ()),
        (Fuzzing(), ("--exportcheck-fuzz=25",)),
        (
            Fuzzing(examples=7, also=frozenset(["special", "layout"])),
            ("--exportcheck-fuzz=7", "--exportcheck-fuzz-also=layout,special"),
        ),
    ],
)
def test_an_item_runs_again_with_the_same_words(fuzzing, words):
    assert Options(fuzz=fuzzing).arguments == ("--exportcheck", *words)


def test_the_words_mean_what_they_were_made_of(config_of):
    fuzzing = Fuzzing(examples=7, also=frozenset(["special", "layout"]))
    assert read_options(config_of(*Options(fuzz=fuzzing).arguments)).fuzz == fuzzing
