"""The drawing of a few nodes: what uses a value is below it, edges go around boxes, and marks are text."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from pytest_exportcheck.reports.html.graph import Box, graph_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*boxes: Box) -> ElementTree.Element:
    text = str(graph_svg(boxes, label="after the edge"))
    return ElementTree.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def rectangles(svg: ElementTree.Element) -> dict[str, tuple[float, ...]]:
    """Left, top, right and bottom of each box, by the name of its node."""
    found: dict[str, tuple[float, ...]] = {}
    for group in svg.iter(f"{SVG}g"):
        x, y, w, h = (float(group.find(f"{SVG}rect").get(each, "")) for each in ("x", "y", "width", "height"))
        found[str(group.findtext(f"{SVG}text"))] = (x, y, x + w, y + h)
    return found


def count(svg: ElementTree.Element, kind: str) -> int:
    return sum(each.get("class") == kind for each in svg.iter(f"{SVG}path"))


CHAIN = (
    Box(name="x", operator="placeholder"),
    Box(name="linear", operator="aten.linear.default", inputs=("x", "p_weight")),
    Box(name="relu", operator="aten.relu.default", inputs=("linear",)),
    Box(name="add", operator="aten.add.Tensor", inputs=("relu", "x"), mark="origin"),
)


def test_a_node_is_below_its_inputs_and_boxes_do_not_overlap():
    places = rectangles(drawn(*CHAIN))
    assert [name for name, _ in sorted(places.items(), key=lambda each: each[1][1])] == ["x", "linear", "relu", "add"]
    assert all(places[box.name][1] > places[name][3] for box in CHAIN for name in box.inputs if name in places)
    wide = rectangles(drawn(*(Box(name=f"a_long_name_{n}", operator="placeholder") for n in range(8))))
    rights = sorted(wide.values())
    assert all(one[2] < other[0] for one, other in pairwise(rights))


def test_an_edge_over_several_layers_goes_around_the_boxes_in_between():
    svg = drawn(*CHAIN)
    places = rectangles(svg)
    for path in svg.iter(f"{SVG}path"):
        for across, bottom in re.findall(r" ([\d.]+) [\d.]+V([\d.]+)", path.get("d", "")):
            left, top, right, low = next(each for each in places.values() if each[3] == float(bottom))
            assert not left <= float(across) <= right, (path.get("d"), left, top, right, low)


def test_an_input_that_is_not_drawn_and_a_value_that_is_not_used_end_in_stubs():
    assert (count(drawn(*CHAIN), "head"), count(drawn(*CHAIN), "stub")) == (4, 2)


def test_the_picture_fits_into_its_view():
    svg = drawn(*CHAIN)
    _, _, width, height = map(float, svg.get("viewBox").split())
    assert all(x >= 0 and y >= 0 and right <= width and low <= height for x, y, right, low in rectangles(svg).values())


def test_marks_are_text_and_the_nodes_are_listed_for_a_screen_reader():
    svg = drawn(*CHAIN)
    assert [each.text for each in svg.iter(f"{SVG}text")][-3:] == ["add", "add.Tensor", "starts here"]
    assert svg.get("role") == "img"
    assert svg.find(f"{SVG}title").text == "after the edge"
    assert svg.find(f"{SVG}desc").text == (
        "x: placeholder; linear: aten.linear.default of x, p_weight; relu: aten.relu.default of linear; "
        "add: aten.add.Tensor of relu, x (starts here)"
    )


@pytest.mark.parametrize(
    "boxes",
    [
        (),
        (Box(name="a", operator="f", inputs=("a",)),),
        (Box(name="a", operator="f", inputs=("b",)), Box(name="b", operator="f", inputs=("a",))),
        (Box(name="a", operator="f"), Box(name="a", operator="g", inputs=("a", "a"))),
        (Box(name="a\n1", operator="f"), *CHAIN),
    ],
    ids=["none", "of itself", "circle", "one name", "two lines"],
)
def test_any_report_can_be_drawn(boxes):
    assert drawn(*boxes).tag == f"{SVG}svg"


def test_control_characters_are_spelled_out():
    assert ">a\\x00\\udc80<" in graph_svg([Box(name="a\x00\udc80", operator="f")], label="")


def test_names_are_escaped_and_long_ones_cut():
    text = graph_svg([Box(name="</svg><script>alert(1)</script>" * 3, operator="f")], label="<b>")
    assert "<script" not in text
    assert "<b>" not in text
    assert ">&lt;/svg&gt;&lt;script&gt;…rt(1)&lt;/script&gt;<" in text
