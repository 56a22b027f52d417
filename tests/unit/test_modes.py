"""Modes are paths of stages; a mode tree is what an engine can run of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pytest_exportcheck import modes
from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.modes import (
    CAPTURES,
    DEFAULT,
    EDGES,
    Mode,
    ModeTree,
    check_names,
    in_order,
    narrow,
    parse_stage_name,
    select,
    stage_name,
)

ALL = ModeTree.of(CAPTURES, EDGES)
SMALL = ModeTree.of(["nonstrict"], ["serdes", "unflatten", "retrace"])


mode = Mode.parse


def texts(modes):
    return [str(each) for each in modes]


def test_a_mode_reads_as_its_stages():
    assert str(Mode(("strict", "decompose", "serdes"))) == "strict-decompose-serdes"
    assert Mode.parse("strict-decompose-serdes") == Mode(("strict", "decompose", "serdes"))


def test_a_mode_knows_its_stages():
    longer = mode("strict_postdispatch-serdes-serdes")
    assert (longer.last, longer.depth, longer.edges) == ("serdes", 3, ("serdes", "serdes"))
    assert (longer.is_nonstrict, longer.repeats_last, longer.is_fuzz) == (False, True, False)
    assert texts(longer.prefixes()) == [str(longer), "strict_postdispatch-serdes", "strict_postdispatch"]
    assert texts([longer.up_to(1), longer.up_to(1).then("fuzz")]) == [
        "strict_postdispatch",
        "strict_postdispatch-fuzz",
    ]


@pytest.mark.parametrize("text", ["nonstrict-serdes", "nonstrict_postdispatch", "nonstrict-serdes-retrace-serdes", ""])
def test_a_mode_repeats_its_last_edge_only_if_that_comes_twice_in_a_row(text):
    assert not mode(text).repeats_last
    assert mode(text).is_nonstrict is bool(text)


def test_a_bare_capture_is_its_last_stage():
    assert (mode("strict").last, mode("strict").depth, mode("strict").edges) == ("strict", 1, ())


def test_a_stage_is_named_by_its_engine_and_its_mode():
    assert stage_name("torch", mode("strict-serdes")) == "torch-strict-serdes"
    assert parse_stage_name("torch-strict-serdes") == ("torch", mode("strict-serdes"))


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


def test_a_tree_puts_names_in_canonical_order_and_own_names_by_name_after_them():
    tree = ModeTree.of(["yours", "mine", "strict", "nonstrict"], ["unflatten", "special", "other", "decompose"])
    assert tree == ModeTree(("nonstrict", "strict", "mine", "yours"), ("decompose", "unflatten", "other", "special"))


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
def test_a_tree_has_what_its_engine_can_run(text, expected):
    assert SMALL.has(mode(text)) is expected


def test_order_is_depth_first_without_repetitions():
    given = ["strict", "nonstrict-serdes", "nonstrict-decompose-serdes", "nonstrict", "nonstrict-decompose", "strict"]
    assert texts(in_order(map(mode, given))) == [
        "nonstrict",
        "nonstrict-decompose",
        "nonstrict-decompose-serdes",
        "nonstrict-serdes",
        "strict",
    ]


def test_order_of_the_whole_tree_is_how_to_depth_walks_it():
    walked = list(ALL.to_depth(3))
    assert in_order(reversed(walked)) == walked


def test_the_default_set_is_within_the_tree():
    assert texts(select(["default"], [ALL])) == list(DEFAULT)
    assert all(ALL.has(each) for each in select(["default"], [ALL]))


def test_all_is_the_tree_to_depth_three():
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
    other = ModeTree.of(["mine"], [])
    assert texts(select(["mine", "nonstrict"], [SMALL, other])) == ["mine", "nonstrict"]


def test_a_misspelt_mode_names_the_nearest():
    with pytest.raises(SelectionError) as raised:
        select(["nonstrict-serde"], [SMALL])
    assert str(raised.value) == (
        "unknown mode 'nonstrict-serde'; did you mean 'nonstrict-serdes'? A mode is a capture, then edges, joined by "
        "'-'. Captures: nonstrict. Edges: serdes, retrace, unflatten. Or a glob, 'default' or 'all'."
    )


@pytest.mark.parametrize(("typo", "meant"), [("defaul", "default"), ("alll", "all")])
def test_a_misspelt_name_of_a_set_names_the_set(typo, meant):
    with pytest.raises(SelectionError) as raised:
        select([typo], [ModeTree.of(["strict", "nonstrict"], ["serdes"])])
    assert str(raised.value) == (
        f"unknown mode {typo!r}; did you mean {meant!r}? A mode is a capture, then edges, joined by '-'. "
        "Captures: nonstrict, strict. Edges: serdes. Or a glob, 'default' or 'all'."
    )


def test_the_default_modes_have_each_added_edge_after_the_capture():
    tree = ModeTree.of(["nonstrict"], ["serdes", "mine"])
    assert set(texts(select(["default"], [tree]))) - set(DEFAULT) == {"nonstrict-mine"}


def test_a_mode_like_no_other_gets_no_guess():
    with pytest.raises(SelectionError) as raised:
        select(["qqqq"], [ModeTree.of(["nonstrict"], ["serdes"])])
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
    assert texts(in_order(modes)) == ["nonstrict"]


def test_what_is_fuzzed_is_the_path_with_one_more_stage():
    fuzzed = mode("strict-serdes").fuzzed
    assert (str(fuzzed), fuzzed.parent, fuzzed.edge) == ("strict-serdes-fuzz", mode("strict-serdes"), "fuzz")
    assert (fuzzed.is_fuzz, fuzzed.unfuzzed) == (True, mode("strict-serdes"))
    assert fuzzed.unfuzzed.unfuzzed == fuzzed.unfuzzed


def test_a_fuzzed_mode_comes_after_the_mode_that_it_fuzzes_and_before_what_builds_on_that():
    given = ["strict", "mine", "strict-fuzz", "nonstrict-unflatten-fuzz", "nonstrict-added", "nonstrict-unflatten"]
    given += ["nonstrict-fuzz", "nonstrict-a_first", "nonstrict"]
    assert texts(in_order(map(mode, given))) == [
        "nonstrict",
        "nonstrict-fuzz",
        "nonstrict-unflatten",
        "nonstrict-unflatten-fuzz",
        "nonstrict-a_first",
        "nonstrict-added",
        "strict",
        "strict-fuzz",
        "mine",
    ]


def test_fuzzing_is_no_edge_of_a_tree():
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


def test_only_the_module_of_modes_takes_their_text_apart():
    package = Path(modes.__file__).parent
    splits = {"split", "rsplit", "partition", "rpartition", "count", "find", "index"}
    found = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in splits
        if node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == "-"
    ]
    assert found == []
