"""Dynamic shapes of a bundle are the same after they were data, or the text of a script."""

from __future__ import annotations

from typing import Any

import pytest
from torch.export import Dim

from pytest_exportcheck.bundles.shapes import dims_text, shapes_of, shapes_text, stored_shapes
from pytest_exportcheck.errors import BundleError

_ROWS = Dim("rows", min=3, max=16)
_SHAPES = [
    (None, "None"),
    ({"x": {0: _ROWS, 1: 4}, "y": (2 * _ROWS - 1, None)}, "{'x': {0: rows, 1: 4}, 'y': (2 * rows - 1, None)}"),
    (({0: Dim.DYNAMIC},), "({0: Dim.DYNAMIC},)"),
    ([{0: Dim.AUTO(min=2)}, {1: Dim("free")}], "[{0: Dim.AUTO(min=2)}, {1: free}]"),
    ({"x": {0: _ROWS + 1}}, "{'x': {0: rows + 1}}"),
]


@pytest.mark.parametrize(("shapes", "text"), _SHAPES, ids=[text for _, text in _SHAPES])
def test_shapes_are_kept_as_data_and_as_text(shapes: Any, text: str) -> None:
    stored = stored_shapes(shapes)
    assert (stored_shapes(shapes_of(stored)), shapes_text(stored)) == (stored, text)
    names: dict[str, Any] = {"Dim": Dim}
    for line in dims_text(stored).values():
        exec(line, names)
    assert stored_shapes(eval(shapes_text(stored), names)) == stored


def test_a_dim_of_one_name_is_one_object() -> None:
    shapes = shapes_of(stored_shapes({"x": {0: _ROWS}, "y": {0: _ROWS}}))
    assert shapes["x"][0] is shapes["y"][0]


def test_another_form_is_refused() -> None:
    with pytest.raises(BundleError) as caught:
        stored_shapes({"x": {0: object()}})
    assert str(caught.value) == "dynamic_shapes holds object, which a bundle cannot store"
