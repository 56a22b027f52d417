"""A drawing of a few nodes of a graph as SVG: layers from the inputs down, edges as curves.

The colours are classes of ``style.css``, so that they follow the theme of the page; a mark is text too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from markupsafe import Markup

from pytest_exportcheck.reports.encoding import visible

#: The part of a node in a comparison of two graphs.
Mark: TypeAlias = Literal["", "origin", "partner", "differs", "added", "removed"]

_WORDS: Mapping[Mark, str] = {
    "origin": "starts here",
    "partner": "its partner",
    "differs": "differs",
    "added": "added",
    "removed": "removed",
}

_CHARACTER = 7.3  # width of one in the monospaced font of the page, at 12 px
_LONGEST = 30  # characters of a line in a box
_LINE, _PADDING, _GAP, _LAYER = 16, 10, 22, 34
_STUB = 12  # length of an edge from a node that is not drawn
_PASSING = 8  # width that an edge needs in a layer that it passes
_MARGIN = 6


@dataclass(frozen=True, kw_only=True)
class Box:
    """A node to draw. ``inputs`` are names of nodes; those that are not drawn end in a dotted stub. ``hint`` is shown
    when the pointer is over the box.
    """

    name: str
    operator: str
    inputs: tuple[str, ...] = ()
    mark: Mark = ""
    hint: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the lines of the box."""
        operator = self.operator.removeprefix("aten.").removesuffix(".default")
        lines = (_cut(visible(self.name)), _cut(visible(operator)))
        return (*lines, _WORDS[self.mark]) if self.mark else lines

    @property
    def width(self) -> float:
        """Return the width of the box in pixels."""
        return max(map(len, self.lines)) * _CHARACTER + 2 * _PADDING

    @property
    def height(self) -> float:
        """Return the height of the box in pixels."""
        return len(self.lines) * _LINE + _PADDING


@dataclass(frozen=True)
class _Slot:
    """A place in a layer: of a box, or of an edge that passes the layer. ``above`` are the names of the slots of the
    layer above that it is linked to.
    """

    name: str
    box: Box | None
    above: tuple[str, ...]

    @property
    def width(self) -> float:
        return self.box.width if self.box else _PASSING

    @property
    def height(self) -> float:
        return self.box.height if self.box else 0.0


@dataclass(frozen=True)
class _Placed:
    slot: _Slot
    left: float
    top: float
    bottom: float

    @property
    def middle(self) -> float:
        return self.left + self.slot.width / 2


def graph_svg(boxes: Sequence[Box], *, label: str) -> Markup:
    """Draw the boxes, which are in the order of their graph. ``label`` is read by a screen reader, with the list of
    the nodes.
    """
    placed = _placed(_in_order(_layers(boxes)))
    width = max((each.left + each.slot.width for each in placed.values()), default=0.0) + _MARGIN
    height = max((each.bottom for each in placed.values()), default=0.0) + _STUB + _MARGIN
    parts = [*_edges(placed), *(_drawn(each, each.slot.box) for each in placed.values() if each.slot.box)]
    start = Markup(
        '<svg class="graph" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}"><title>{label}</title>'
        "<desc>{text}</desc>"
    )
    head = start.format(
        w=_number(width), h=_number(height), label=visible(label), text=visible("; ".join(map(_sentence, boxes)))
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _sentence(box: Box) -> str:
    made_of = f" of {', '.join(box.inputs)}" if box.inputs else ""
    return f"{box.name}: {box.operator}{made_of}{f' ({_WORDS[box.mark]})' if box.mark else ''}"


# --- layout -----------------------------------------------------------------------------------


def _layers(boxes: Sequence[Box]) -> list[list[_Slot]]:
    """Put each box one layer below the lowest of its inputs, and a slot into each layer that an edge passes."""
    depth = _depths(boxes)
    layers: list[list[_Slot]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    passing: set[str] = set()
    for box in boxes:
        above = []
        for name in dict.fromkeys(box.inputs):
            if depth.get(name, depth[box.name]) >= depth[box.name]:
                continue  # not drawn, or not a node before this one
            link = name
            for layer in range(depth[name] + 1, depth[box.name]):
                passed, link = link, f"{name}\n{layer}"  # no name of a node has two lines
                if link not in passing:
                    passing.add(link)
                    layers[layer].append(_Slot(link, None, (passed,)))
            above.append(link)
        layers[depth[box.name]].append(_Slot(box.name, box, tuple(above)))
    return layers


def _depths(boxes: Sequence[Box]) -> dict[str, int]:
    depth: dict[str, int] = {}
    for box in boxes:
        depth[box.name] = max((depth[name] + 1 for name in box.inputs if name in depth), default=0)
    for box in boxes:  # a box without inputs moves down to the first that uses it
        users = [depth[each.name] for each in boxes if box.name in each.inputs]
        if users and not any(name in depth for name in box.inputs):
            depth[box.name] = max(0, min(users) - 1)
    lowest = min(depth.values(), default=0)
    return {name: layer - lowest for name, layer in depth.items()}


def _in_order(layers: Sequence[Sequence[_Slot]]) -> list[list[_Slot]]:
    """Return each layer sorted by the places of what it is linked to: above, then below, then above again."""
    ordered = [list(layer) for layer in layers]
    for _ in range(2):
        for above, layer in pairwise(ordered):
            places = {slot.name: number for number, slot in enumerate(above)}
            layer.sort(key=lambda slot: _mean([places[name] for name in slot.above if name in places]))
        for below, layer in pairwise(reversed(ordered)):
            users = [(number, slot.above) for number, slot in enumerate(below)]
            layer.sort(key=lambda slot: _mean([number for number, above in users if slot.name in above]))
    return ordered


def _mean(numbers: Sequence[int]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def _placed(layers: Sequence[Sequence[_Slot]]) -> dict[str, _Placed]:
    widths = [sum(slot.width for slot in layer) + _GAP * (len(layer) - 1) for layer in layers]
    placed: dict[str, _Placed] = {}
    top = float(_MARGIN + _STUB)
    for layer, width in zip(layers, widths, strict=True):
        left = _MARGIN + (max(widths) - width) / 2
        tallest = max((slot.height for slot in layer), default=0.0)
        for slot in layer:
            placed[slot.name] = _Placed(slot, left, top, top + (slot.height if slot.box else tallest))
            left += slot.width + _GAP
        top += tallest + _LAYER
    return placed


# --- drawing ----------------------------------------------------------------------------------


def _edges(placed: Mapping[str, _Placed]) -> Iterator[Markup]:
    used = {name for each in placed.values() for name in each.slot.above}
    for each in placed.values():
        box = each.slot.box
        if box is None:
            yield _curve(placed[each.slot.above[0]], each, each.middle)
            continue
        links = {name.partition("\n")[0]: name for name in each.slot.above}
        names = [name for name in dict.fromkeys(box.inputs) if name in links or name not in placed]
        names.sort(key=lambda name: placed[links[name]].middle if name in links else each.middle)
        for number, name in enumerate(names):
            across = each.left + box.width * (number + 1) / (len(names) + 1)
            if name in links:
                yield _curve(placed[links[name]], each, across)
            else:
                yield _stub(across, each.top - _STUB, each.top)
        if box.name not in used and box.operator != "output":
            yield _stub(each.middle, each.bottom, each.bottom + _STUB)


def _curve(source: _Placed, target: _Placed, across: float) -> Markup:
    """Draw a link from one layer to the next, with a head where it ends at a box, and on through a layer that it
    passes.
    """
    ends = target.slot.box is not None
    top, end = source.bottom, target.top - 5 if ends else target.top
    bend = (end - top) / 2
    left, right = _number(source.middle), _number(across)
    path = f"M{left} {_number(top)}C{left} {_number(top + bend)} {right} {_number(end - bend)} {right} {_number(end)}"
    if not ends:
        return Markup('<path class="edge" d="{}V{}"/>').format(path, _number(target.bottom))
    base = _number(end - 2)
    head = f"M{_number(across - 4)} {base}L{right} {_number(target.top)}L{_number(across + 4)} {base}Z"
    return Markup('<path class="edge" d="{}"/><path class="head" d="{}"/>').format(path, head)


def _stub(across: float, top: float, bottom: float) -> Markup:
    return Markup('<path class="stub" d="M{x} {top}V{bottom}"/>').format(
        x=_number(across), top=_number(top), bottom=_number(bottom)
    )


def _drawn(placed: _Placed, box: Box) -> Markup:
    rectangle = Markup(
        '<g class="node {mark}"><title>{hint}</title><rect x="{x}" y="{y}" width="{w}" height="{h}" rx="5"/>'
    )
    start = rectangle.format(
        mark=box.mark,
        hint=visible(box.hint or f"{box.name} = {box.operator}"),
        x=_number(placed.left),
        y=_number(placed.top),
        w=_number(box.width),
        h=_number(box.height),
    )
    texts = [
        Markup('<text class="{}" x="{}" y="{}">{}</text>').format(
            ("name", "operator", "mark")[number],
            _number(placed.middle),
            _number(placed.top + _LINE * (number + 1)),
            line,
        )
        for number, line in enumerate(box.lines)
    ]
    return start + Markup("").join(texts) + Markup("</g>")


def _cut(text: str) -> str:
    half = (_LONGEST - 1) // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half:]}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
