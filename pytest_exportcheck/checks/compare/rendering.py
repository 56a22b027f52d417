"""The rendering of values, nodes and lines of user code in findings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from pytest_exportcheck.records import NodeRecord, Size, TensorValue

_LONG = 160  # characters
_CONTEXT = 24
_TORCH = str(Path(torch.__file__).parent)
_INSTALLED = ("/site-packages/torch/", "/dist-packages/torch/")
_FRAME = re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')


def value_text(value: Any) -> str:
    """Render a frozen value in one line (stack traces keep theirs)."""
    if isinstance(value, TensorValue):
        stride = "" if value.stride is None else f" stride {_listed(value.stride)}"
        place = "" if value.device == "cpu" else f" on {value.device}"
        return f"{value.dtype}{_listed(value.shape)}{stride}{place}"
    if isinstance(value, Size):
        return value.text
    if isinstance(value, tuple):
        return f"({', '.join(map(value_text, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {value_text(each)}" for key, each in value.items()) + "}"
    return str(value)


def side_by_side(expected: Any, actual: Any) -> tuple[str, str]:
    """Render two values; of long ones only the differences, with a little context."""
    left, right = value_text(expected), value_text(actual)
    if "\n" in left or "\n" in right:
        return _differing_lines(left, right)
    if max(len(left), len(right)) <= _LONG:
        return left, right
    start = _common(left, right)
    end = _common(left[start:][::-1], right[start:][::-1])
    return _window(left, start, end), _window(right, start, end)


def _differing_lines(left: str, right: str) -> tuple[str, str]:
    ours, theirs = left.splitlines(), right.splitlines()
    start = _common(ours, theirs)
    end = _common(ours[start:][::-1], theirs[start:][::-1])
    head = ["..."] if start else []
    return tuple(  # type: ignore[return-value]
        "\n".join([*head, *(lines[start : len(lines) - end] or ["(nothing)"]), *(["..."] if end else [])])
        for lines in (ours, theirs)
    )


def _common(left: Any, right: Any) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


def _window(text: str, start: int, end: int) -> str:
    first, last = max(0, start - _CONTEXT), min(len(text), len(text) - end + _CONTEXT)
    return ("..." if first else "") + text[first:last] + ("..." if last < len(text) else "")


def _listed(values: Iterable[Any]) -> str:
    return f"[{', '.join(map(str, values))}]"


def node_text(node: NodeRecord) -> str:
    """Render a node as a call: ``aten.add.Tensor(%x, 1)``."""
    if node.op == "placeholder":
        return f"placeholder {node.name}"
    words = [*map(argument_text, node.args), *(f"{key}={argument_text(value)}" for key, value in node.kwargs.items())]
    return f"{node.target}({', '.join(words)})"


def argument_text(value: Any) -> str:
    """Render an argument: a list in brackets, any other value as text."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(argument_text, value))}]"
    return str(value)


def user_line(node: NodeRecord) -> str:
    """Return the innermost line of the node's stack trace that is not torch's: ``net.py:12 in forward: y = x + 1``."""
    trace = node.meta.get("stack_trace")
    if not isinstance(trace, str):
        return ""
    found = ""
    lines = trace.splitlines()
    for number, line in enumerate(lines):
        frame = _FRAME.match(line)
        if frame and not _is_torchs(frame["file"]):
            below = lines[number + 1] if number + 1 < len(lines) else ""
            code = "" if _FRAME.match(below) else below.strip()
            found = f"{frame['file']}:{frame['line']} in {frame['function']}" + (f": {code}" if code else "")
    return found


def _is_torchs(file: str) -> bool:
    """Return True for a file of this torch, or of that of another environment, which may have written a saved program."""
    return file.startswith((f"{_TORCH}/", "torch/", "<")) or any(folder in file for folder in _INSTALLED)
