"""Which nodes of two programs are taken for one another."""

from __future__ import annotations

from pytest_exportcheck.checks import align
from tests.unit.records_of import program


def chain(count, stem="add", *, skip=()):
    """``count`` identical additions in a row, named as torch names them."""
    lines, last = ["x"], "x"
    for number in range(count):
        name = f"{stem}_{number}" if number else stem
        if number not in skip:
            lines.append(f"{name} = aten.add.Tensor({last}, 1)")
            last = name
    return "\n".join([*lines, f"return {last}"])


def paired(before, after, how="names"):
    """Names of the pairs, and of what is left over, in the outermost graph."""
    graph = align(program(before), program(after), how).graphs[0]
    pairs = [(one.name, other.name) for one, other in graph.nodes]
    return pairs, [node.name for node in graph.dropped], [node.name for node in graph.added]


def test_nodes_of_the_same_names_are_paired_in_any_order():
    before = "x\na = aten.sin.default(x)\nb = aten.cos.default(x)\nreturn a, b"
    after = "x\nb = aten.cos.default(x)\na = aten.sin.default(x)\nreturn a, b"
    assert paired(before, after) == ([("x", "x"), ("a", "a"), ("b", "b"), ("output", "output")], [], [])


def test_the_same_names_are_paired_whatever_they_do():
    before, after = "x\na = aten.sin.default(x)\nreturn a", "x\na = aten.cos.default(x)\nreturn a"
    assert paired(before, after)[0] == [("x", "x"), ("a", "a"), ("output", "output")]


def test_a_renamed_node_is_paired_by_what_it_does():
    before, after = "x\na = aten.sin.default(x)\nreturn a", "x\nsin = aten.sin.default(x)\nreturn sin"
    assert paired(before, after) == ([("x", "x"), ("a", "sin"), ("output", "output")], [], [])


def test_renamed_nodes_of_one_kind_keep_their_order():
    before, after = chain(4), chain(4, "plus")
    pairs, dropped, added = paired(before, after)
    assert (dropped, added) == ([], [])
    assert pairs[1:5] == [("add", "plus"), ("add_1", "plus_1"), ("add_2", "plus_2"), ("add_3", "plus_3")]


def test_an_inserted_node_in_a_long_chain_leaves_one_over():
    pairs, dropped, added = paired(chain(20), chain(21))
    assert (dropped, len(added), len(pairs)) == ([], 1, 22)


def test_a_removed_node_in_a_long_chain_leaves_one_over():
    pairs, dropped, added = paired(chain(20), chain(20, skip=(7,)))
    assert (dropped, added, len(pairs)) == (["add_7"], [], 21)


def test_another_operation_in_the_middle_of_shifted_names_is_found():
    after = chain(20).replace("add_7 = aten.add.Tensor(add_6, 1)", "mul = aten.mul.Tensor(add_6, 1)")
    after = after.replace("add_7", "mul")
    pairs, dropped, added = paired(chain(20), after)
    assert [pair for pair in pairs if pair[0] != pair[1]] == []
    assert (dropped, added) == (["add_7"], ["mul"])


def test_an_inserted_placeholder_leaves_one_over():
    before, after = "x\ny\na = aten.add.Tensor(x, y)\nreturn a", "x\nk\ny\na = aten.add.Tensor(x, y)\nreturn a"
    pairs, dropped, added = paired(before, after)
    assert (dropped, added) == ([], ["k"])
    assert ("y", "y") in pairs


def test_a_renamed_placeholder_is_paired_where_one_is_left():
    before, after = "x\na = aten.sin.default(x)\nreturn a", "arg0\na = aten.sin.default(arg0)\nreturn a"
    assert paired(before, after)[0] == [("x", "arg0"), ("a", "a"), ("output", "output")]


BRANCHES = "p\nx\nc = cond(p, graph, graph, [x])\nreturn c"
SAME = {"c[1]": "a\ns = aten.sin.default(a)\nreturn s", "c[2]": "a\ns = aten.cos.default(a)\nreturn s"}


def test_subgraphs_are_paired_by_the_argument_they_are():
    graphs = align(program(BRANCHES, subgraphs=SAME), program(BRANCHES, subgraphs=SAME), "names").graphs
    assert [(pair.before.path, pair.after.path) for pair in graphs] == [("", ""), ("c[1]", "c[1]"), ("c[2]", "c[2]")]


def test_subgraphs_of_a_renamed_operation_are_paired():
    renamed = {path.replace("c[", "d["): text for path, text in SAME.items()}
    after = program(BRANCHES.replace("c = ", "d = ").replace("return c", "return d"), subgraphs=renamed)
    graphs = align(program(BRANCHES, subgraphs=SAME), after, "names").graphs
    assert [(pair.before.path, pair.after.path) for pair in graphs[1:]] == [("c[1]", "d[1]"), ("c[2]", "d[2]")]


def test_a_subgraph_in_a_subgraph_is_paired():
    nested = {"c[1]": "a\ni = cond(a, graph)\nreturn i", "c[1].i[1]": "a\nreturn a", "c[2]": "a\nreturn a"}
    graphs = align(program(BRANCHES, subgraphs=nested), program(BRANCHES, subgraphs=nested), "names").graphs
    assert [pair.before.path for pair in graphs] == ["", "c[1]", "c[1].i[1]", "c[2]"]


def test_a_subgraph_whose_operation_is_gone_is_left_over():
    alignment = align(program(BRANCHES, subgraphs=SAME), program("p\nx\nreturn x"), "names")
    assert (alignment.dropped, alignment.added) == (("c[1]", "c[2]"), ())


def test_a_sequence_pairs_operations_whatever_the_rest_is_called():
    before = "x\na = aten.sin.default(x)\nb = aten.cos.default(a)\nreturn b"
    after = "arg\nsin = aten.sin.default(arg)\ncos = aten.cos.default(sin)\nreturn cos"
    assert paired(before, after, "sequence")[0] == [("a", "sin"), ("b", "cos")]


def test_a_sequence_leaves_merged_sizes_out():
    before = "x\nn = aten.sym_size.int(x, 0)\nm = aten.sym_size.int(x, 0)\na = aten.add.Tensor(x, n)\nreturn a"
    after = "x\nn = aten.sym_size.int(x, 0)\na = aten.add.Tensor(x, n)\nreturn a"
    assert ("n", "n") not in paired(before, after, "sequence")[0]
    assert ("a", "a") in paired(before, after, "sequence")[0]


def test_an_origin_pairs_every_node_made_from_one():
    before = program("x\nlinear = aten.linear.default(x)\nreturn linear")
    after = program(
        "x\nt = aten.t.default(x)\nmm = aten.mm.default(x, t)\nreturn mm", origins={"t": "linear", "mm": "linear"}
    )
    (graph,) = align(before, after, "origin").graphs
    assert [(one.name, other.name) for one, other in graph.nodes] == [("x", "x"), ("linear", "t"), ("linear", "mm")]


def test_an_origin_that_does_not_exist_pairs_nothing():
    before, after = program("x\nreturn x"), program("x\nt = aten.t.default(x)\nreturn t", origins={"t": "gone"})
    (graph,) = align(before, after, "origin").graphs
    assert [other.name for _, other in graph.nodes] == ["x"]


def test_programs_without_nodes_have_nothing_to_pair():
    assert paired("", "") == ([], [], [])


def test_nodes_are_paired_by_what_they_do_where_their_lines_of_code_moved():
    """An edit of the file moves every line after it, and shifts the names of the nodes after an inserted one."""
    text = "x\nadd = aten.add.Tensor(x, 1)\nsin = aten.sin.default(add)\nadd_1 = aten.add.Tensor(sin, 2)\nreturn add_1"
    inserted = "x\nadd = aten.add.Tensor(x, 3)\n"
    rest = (
        "add_1 = aten.add.Tensor(add, 1)\nsin = aten.sin.default(add_1)\nadd_2 = aten.add.Tensor(sin, 2)\nreturn add_2"
    )
    lines = {name: {"stack_trace": f"line {n}"} for n, name in enumerate(("add", "sin", "add_1", "add_2"))}
    moved = {name: {"stack_trace": f"line {n + 10}"} for n, name in enumerate(lines)}
    (graph,) = align(program(text, meta=lines), program(inserted + rest, meta=moved), "names").graphs
    assert ("add_1", "add_2") in [(one.name, other.name) for one, other in graph.nodes]
    assert (len(graph.dropped), len(graph.added)) == (0, 1)


def test_a_node_in_the_middle_of_thousands_of_equal_ones_is_found():
    """A search for the longest run of equal tokens would take a minute."""
    pairs, dropped, added = paired(chain(3000), chain(3001))
    assert (len(pairs), dropped, len(added)) == (3002, [], 1)
