"""Command line -> options: fuzzing and runtimes."""

from __future__ import annotations

import pytest

from pytest_exportcheck.options import (
    ALSO,
    EXAMPLES,
    MOST_EXAMPLES,
    Fuzzing,
    Options,
    RuntimeCache,
    read_options,
    settings,
)


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
        (["--exportcheck-fuzz", "--exportcheck-fuzz-time=90"], Fuzzing(examples=MOST_EXAMPLES, seconds=90.0)),
        (["--exportcheck-fuzz=7", "--exportcheck-fuzz-time", "0.5"], Fuzzing(examples=7, seconds=0.5)),
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


@pytest.mark.parametrize("text", ["0", "-3", "10m", "", "nan", "inf", "1000001"])
def test_a_time_is_a_number_of_seconds(config_of, text):
    with pytest.raises(pytest.UsageError) as raised:
        read_options(config_of("--exportcheck", "--exportcheck-fuzz", f"--exportcheck-fuzz-time={text}"))
    assert str(raised.value) == (
        "exportcheck: --exportcheck-fuzz-time takes a number of seconds, more than 0 and at most 1000000, "
        f"got {text!r}. Write --exportcheck-fuzz-time=600, for example."
    )


def test_a_time_in_the_ini_file_is_for_runs_that_fuzz(config_of, pytester):
    pytester.makeini("[pytest]\nexportcheck_fuzz_time = 60")
    assert read_options(config_of("--exportcheck")).fuzz is None
    assert read_options(config_of("--exportcheck", "--exportcheck-fuzz=9")).fuzz == Fuzzing(examples=9, seconds=60.0)
    given = config_of("--exportcheck", "--exportcheck-fuzz=9", "--exportcheck-fuzz-time=5")
    assert read_options(given).fuzz == Fuzzing(examples=9, seconds=5.0)


def test_a_wrong_time_in_the_ini_file_is_named(config_of, pytester):
    pytester.makeini("[pytest]\nexportcheck_fuzz_time = soon")
    with pytest.raises(pytest.UsageError) as raised:
        read_options(config_of("--exportcheck", "--exportcheck-fuzz"))
    assert str(raised.value) == (
        "exportcheck: exportcheck_fuzz_time takes a number of seconds, more than 0 and at most 1000000, "
        "got 'soon'. Write exportcheck_fuzz_time=600, for example."
    )


def test_the_fixture_has_numbers_only(config_of):
    config = config_of("--exportcheck-fuzz", "--exportcheck-fuzz-time=90")
    assert settings(config).fuzz == Fuzzing()
    assert settings(config, fuzz=3).fuzz == Fuzzing(examples=3)


def test_unknown_words_are_refused(config_of):
    with pytest.raises(pytest.UsageError) as raised:
        read_options(config_of("--exportcheck", "--exportcheck-fuzz", "--exportcheck-fuzz-also=size,layout,color"))
    assert str(raised.value) == (
        "exportcheck: --exportcheck-fuzz-also takes layout, special, dtype, rank, got color, size."
    )


@pytest.mark.parametrize("word", ["also=layout", "time=60"])
def test_words_without_fuzzing_are_refused(config_of, word):
    with pytest.raises(pytest.UsageError) as raised:
        read_options(config_of("--exportcheck", f"--exportcheck-fuzz-{word}"))
    name = word.partition("=")[0]
    assert str(raised.value) == f"exportcheck: --exportcheck-fuzz-{name} needs --exportcheck-fuzz. Add it."


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
        (
            Fuzzing(examples=MOST_EXAMPLES, seconds=90.0, processes=2),
            ("--exportcheck-fuzz", "--exportcheck-fuzz-time=90"),
        ),
        (Fuzzing(examples=7, seconds=0.5), ("--exportcheck-fuzz=7", "--exportcheck-fuzz-time=0.5")),
    ],
)
def test_an_item_runs_again_with_the_same_words(fuzzing, words):
    assert Options(fuzz=fuzzing).arguments == ("--exportcheck", *words)


@pytest.mark.parametrize(
    "fuzzing",
    [
        Fuzzing(examples=7, also=frozenset(["special", "layout"])),
        Fuzzing(examples=MOST_EXAMPLES, seconds=90.0, also=frozenset(["layout"])),
    ],
)
def test_the_words_mean_what_they_were_made_of(config_of, fuzzing):
    assert read_options(config_of(*Options(fuzz=fuzzing).arguments)).fuzz == fuzzing


def test_packages_are_kept_in_the_cache_of_pytest(config_of):
    options = read_options(config_of("--exportcheck"))
    assert options.runtime_cache == RuntimeCache(folder="", size=2_000_000_000)
    assert options.runtime_timeout == 120


def test_a_folder_and_a_time_of_runtimes_are_relative_to_where_they_are_given(config_of, pytester):
    pytester.makeini(
        "[pytest]\nexportcheck_runtime_cache = kept\nexportcheck_runtime_cache_size = 5\nexportcheck_runtime_timeout = 7.5"
    )
    options = read_options(config_of("--exportcheck"))
    assert options.runtime_cache == RuntimeCache(folder=str(pytester.path / "kept"), size=5_000_000)
    assert options.runtime_timeout == 7.5
    assert options.arguments == ("--exportcheck", "--exportcheck-runtime-timeout=7.5")
    given = read_options(
        config_of("--exportcheck", "--exportcheck-runtime-cache=other", "--exportcheck-runtime-timeout=9")
    )
    assert given.runtime_cache == RuntimeCache(folder=str(pytester.path / "other"), size=5_000_000)
    assert given.runtime_timeout == 9
    assert read_options(config_of("--exportcheck", "--exportcheck-runtime-cache=off")).runtime_cache is None


@pytest.mark.parametrize(
    ("words", "ini", "message"),
    [
        (
            ["--exportcheck-runtime-timeout=soon"],
            "",
            "--exportcheck-runtime-timeout takes a number of seconds, more than 0 and at most 1000000, got 'soon'. Write "
            "--exportcheck-runtime-timeout=120, for example.",
        ),
        (
            [],
            "exportcheck_runtime_timeout = 0",
            "exportcheck_runtime_timeout takes a number of seconds, more than 0 and at most 1000000, got '0'. Write "
            "exportcheck_runtime_timeout=120, for example.",
        ),
        (
            ["--exportcheck-runtime-cache="],
            "",
            "--exportcheck-runtime-cache takes the path of a folder or 'off', got an empty one.",
        ),
        (
            ["--exportcheck-runtime-cache=a-file"],
            "",
            "--exportcheck-runtime-cache takes the path of a folder, got 'a-file', which is not one. Name another.",
        ),
        (
            [],
            "exportcheck_runtime_cache = a-file",
            "exportcheck_runtime_cache takes the path of a folder, got 'a-file', which is not one. Name another.",
        ),
        (
            [],
            "exportcheck_runtime_cache_size = 2GB",
            "exportcheck_runtime_cache_size takes a number of megabytes from 1 to 1000000000, got '2GB'. Write "
            "exportcheck_runtime_cache_size=2000, for example.",
        ),
    ],
)
def test_wrong_options_of_runtimes_are_refused(config_of, pytester, words, ini, message):
    (pytester.path / "a-file").write_text("")
    pytester.makeini(f"[pytest]\n{ini}")
    with pytest.raises(pytest.UsageError) as raised:
        read_options(config_of("--exportcheck", *words))
    assert str(raised.value) == f"exportcheck: {message}"
