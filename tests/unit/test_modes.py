"""Modes are paths of stages; a lattice is what an engine can run of them."""

from __future__ import annotations

import pytest

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.modes import CAPTURES, DEFAULT, EDGES, Lattice, Mode, check_names, narrow, select

ALL = Lattice.of(CAPTURES, EDGES)
SMALL = Lattice.of(["nonstrict"], ["serdes", "unflatten", "retrace"])


def mode(text):
    return Mode(tuple(text.split("-")))


def texts(modes):
    return [str(each) for each in modes]


def test_a_mode_reads_as_its_stages():
    assert str(Mode(("strict", "decompose", "serdes"))) == "strict-decompose-serdes"


def test_a_bare_capture_has_no_edge_and_no_parent():
    assert (mode("strict").capture, mode("strict").edge, mode("strict").parent) == ("strict", None, None)


def test_a_longer_mode_judges_its_last_edge_behind_its_parent():
    longer = mode("strict-decompose-serdes")
    assert (longer.capture, longer.edge, longer.parent) == ("strict", "serdes", mode("strict-decompose"))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("strict", "strict-serdes", True),
        ("strict", "strict", True),
        ("strict-serdes", "strict", False),
        ("strict", "strict_postdispatch-serdes", False),
        ("strict-serdes", "strict-decompose-serdes", False),
        ("strict", "strict-fuzz", True),
        ("strict-fuzz", "strict-fuzz", True),
        ("strict-fuzz", "strict-serdes-fuzz", True),
        ("strict-serdes-fuzz", "strict-serdes-retrace-fuzz", True),
        ("strict-serdes-fuzz", "strict-fuzz", False),
        ("strict-fuzz", "strict_postdispatch-fuzz", False),
        ("strict-fuzz", "strict-serdes", False),
        ("strict-serdes", "strict-fuzz", False),
    ],
)
def test_prefixes_are_told_by_whole_stages(one, other, expected):
    assert mode(one).is_prefix_of(mode(other)) is expected


def test_lattice_puts_names_in_canonical_order_and_own_names_last():
    lattice = Lattice.of(["mine", "strict", "nonstrict"], ["unflatten", "special", "decompose"])
    assert lattice == Lattice(("nonstrict", "strict", "mine"), ("decompose", "unflatten", "special"))


def test_depth_one_is_the_captures():
    assert texts(ALL.to_depth(1)) == list(CAPTURES)


def test_depth_two_adds_every_edge_once():
    assert len(list(ALL.to_depth(2))) == len(CAPTURES) * (1 + len(EDGES))


def test_to_depth_yields_each_mode_after_its_parent_and_once():
    seen = []
    for each in ALL.to_depth(3):
        assert each.parent is None or each.parent in seen
        assert each not in seen
        seen.append(each)


def test_behind_unflatten_only_retrace_is_possible():
    assert texts(SMALL.to_depth(3)) == [
        "nonstrict",
        "nonstrict-serdes",
        "nonstrict-serdes-serdes",
        "nonstrict-serdes-retrace",
        "nonstrict-serdes-unflatten",
        "nonstrict-retrace",
        "nonstrict-retrace-serdes",
        "nonstrict-retrace-retrace",
        "nonstrict-retrace-unflatten",
        "nonstrict-unflatten",
        "nonstrict-unflatten-retrace",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nonstrict", True),
        ("nonstrict-serdes-serdes-serdes-serdes", True),
        ("nonstrict-unflatten-retrace-serdes", True),
        ("strict", False),
        ("serdes", False),
        ("nonstrict-decompose", False),
        ("nonstrict-unflatten-serdes", False),
        ("nonstrict-nonstrict", False),
    ],
)
def test_a_lattice_has_what_its_engine_can_run(text, expected):
    assert SMALL.has(mode(text)) is expected


def test_order_is_depth_first_without_repetitions():
    given = ["strict", "nonstrict-serdes", "nonstrict-decompose-serdes", "nonstrict", "nonstrict-decompose", "strict"]
    assert texts(ALL.order(map(mode, given))) == [
        "nonstrict",
        "nonstrict-decompose",
        "nonstrict-decompose-serdes",
        "nonstrict-serdes",
        "strict",
    ]


def test_order_of_the_whole_lattice_is_how_to_depth_walks_it():
    walked = list(ALL.to_depth(3))
    assert ALL.order(reversed(walked)) == walked


def test_the_default_set_is_within_the_lattice():
    assert texts(select(["default"], [ALL])) == list(DEFAULT)
    assert all(ALL.has(each) for each in select(["default"], [ALL]))


def test_all_is_the_lattice_to_depth_three():
    assert select(["all"], [ALL]) == list(ALL.to_depth(3))


def test_a_glob_picks_from_depth_three():
    assert texts(select(["*-unflatten-*"], [SMALL])) == ["nonstrict-unflatten-retrace"]


def test_a_plain_name_may_go_deeper():
    deep = "nonstrict-serdes-serdes-serdes"
    assert mode(deep) not in list(SMALL.to_depth(3))
    assert texts(select([deep], [SMALL])) == [deep]


def test_names_are_united_in_the_order_given():
    assert texts(select(["nonstrict-serdes", "nonstrict", "nonstrict-s*s"], [SMALL]))[:2] == [
        "nonstrict-serdes",
        "nonstrict",
    ]


def test_a_mode_that_only_one_of_the_engines_has_can_be_selected():
    other = Lattice.of(["mine"], [])
    assert texts(select(["mine", "nonstrict"], [SMALL, other])) == ["mine", "nonstrict"]


def test_a_misspelt_mode_names_the_nearest():
    with pytest.raises(SelectionError) as raised:
        select(["nonstrict-serde"], [SMALL])
    assert str(raised.value) == (
        "unknown mode 'nonstrict-serde'; did you mean 'nonstrict-serdes'? A mode is a capture, then edges, joined by "
        "'-'. Captures: nonstrict. Edges: serdes, retrace, unflatten. Or a glob, 'default' or 'all'."
    )


def test_a_mode_like_no_other_gets_no_guess():
    with pytest.raises(SelectionError) as raised:
        select(["qqqq"], [Lattice.of(["nonstrict"], ["serdes"])])
    assert str(raised.value) == (
        "unknown mode 'qqqq'. A mode is a capture, then edges, joined by '-'. Captures: nonstrict. Edges: serdes. "
        "Or a glob, 'default' or 'all'."
    )


@pytest.mark.parametrize("name", ["x*", "nonstrict-unflatten-serdes", "-nonstrict", "nonstrict-", ""])
def test_what_matches_nothing_is_an_error(name):
    with pytest.raises(SelectionError, match=r"^unknown mode "):
        select([name], [SMALL])


def test_without_globs_nothing_is_narrowed():
    modes = [mode("nonstrict"), mode("nonstrict-serdes")]
    assert narrow(modes, [], SMALL, may_add=True) == modes


def test_globs_keep_what_they_match():
    modes = [mode("nonstrict"), mode("nonstrict-serdes")]
    assert texts(narrow(modes, ["*-serdes"], SMALL, may_add=True)) == ["nonstrict-serdes"]


def test_a_name_in_full_adds_a_mode_where_that_is_allowed():
    modes, named = [mode("nonstrict")], ["nonstrict-unflatten-retrace"]
    assert texts(narrow(modes, named, SMALL, may_add=True)) == named
    assert narrow(modes, named, SMALL, may_add=False) == []


def test_a_glob_adds_no_mode():
    assert narrow([mode("nonstrict")], ["nonstrict-*"], SMALL, may_add=True) == []


def test_a_name_that_the_engine_cannot_run_is_not_added():
    assert narrow([mode("nonstrict")], ["strict"], SMALL, may_add=True) == []


def test_a_mode_that_is_kept_and_named_comes_once():
    modes = narrow([mode("nonstrict")], ["nonstrict"], SMALL, may_add=True)
    assert texts(SMALL.order(modes)) == ["nonstrict"]


def test_what_is_fuzzed_is_the_path_with_one_more_stage():
    fuzzed = mode("strict-serdes").fuzzed
    assert (str(fuzzed), fuzzed.parent, fuzzed.edge) == ("strict-serdes-fuzz", mode("strict-serdes"), "fuzz")


def test_fuzzing_is_no_edge_of_a_lattice():
    assert not ALL.has(mode("strict-fuzz"))
    with pytest.raises(SelectionError, match=r"^unknown mode 'strict-fuzz'"):
        select(["strict-fuzz"], [ALL])


@pytest.mark.parametrize(
    "names",
    [[], ["*"], ["nonstrict-fuzz"], ["nonstrict-serdes-retrace-fuzz"], ["*-fuzz"], ["*-serdes-fuzz", "nonstrict"],
     ["nonstrict-s*"], ["nonstrict-serdes-serdes-serdes"]],
)  # fmt: skip
def test_a_case_may_name_modes_and_what_is_fuzzed_behind_them(names):
    check_names(names, [SMALL])


@pytest.mark.parametrize(
    "name", ["strict-fuzz", "nonstrict-fuzz-serdes", "nonstrict-fuzz-fuzz", "fuzz", "nonstrict-fuz", "strict*", ""]
)
def test_a_case_may_not_name_what_no_engine_can_run(name):
    with pytest.raises(SelectionError) as raised:
        check_names(["nonstrict", name], [SMALL])
    assert str(raised.value).startswith(f"unknown mode {name!r}")
