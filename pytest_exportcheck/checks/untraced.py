"""Operations without a line of code because no ``forward`` of the user was running: those of hooks and generated
code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_exportcheck.records import Cause, Finding, GraphRecord, NodeRecord

#: The reason of the root whose inputs hold objects of registered classes: putting them together may call operations
#: before ``forward`` does.
INPUTS = "inputs"


def outside_forward(
    operations: Sequence[tuple[GraphRecord, NodeRecord]], untraced: Mapping[str, str]
) -> dict[str, str]:
    """Map the place of each operation that may have run outside a ``forward`` of the user, and has no line of code, to
    the reason.
    """
    found = {}
    begun = False  # whether a forward has called an operation
    for graph, node in operations:
        if "stack_trace" in node.meta:
            begun = True
            continue
        why = _why_untraced(node.meta.get("nn_module_stack"), untraced)
        if why and not (why == INPUTS and begun):
            found[graph.place(node)] = why
    return found


def _why_untraced(stack: Any, untraced: Mapping[str, str]) -> str:
    """Return the reason, empty if some ``forward`` of the stack was running. Of a module with hooks, ``forward`` is
    running if a module inside it is.
    """
    entries = stack if isinstance(stack, tuple) and all(isinstance(each, tuple) for each in stack) else ()
    paths = [re.sub(r"@\d+$", "", entry[1]) for entry in entries if len(entry) == 3] or [""]
    reasons = [untraced.get(path, "") for path in paths]
    if reasons == [INPUTS]:
        return INPUTS
    reasons = ["" if reason == INPUTS else reason for reason in reasons]
    return "" if "" in reasons or "hooks" in reasons[:-1] else reasons[-1]


def untraced_finding(
    operations: Sequence[tuple[GraphRecord, NodeRecord]], excused: Mapping[str, str], expected: str
) -> Iterator[Finding]:
    """Yield one finding for all operations. Generated code has no lines to name."""
    places = [place for place, why in excused.items() if why != "generated"]
    if places:
        rest = f", here and on {len(places) - 1} more" if len(places) > 1 else ""
        yield Finding.of("metadata").at(
            "every operation" if len(places) == len(operations) > 1 else places[0],
            "untraced",
            "stack_trace",
            expected,
            f"none{rest}",
            causes=(Cause("untraced", excused[places[0]]),),
        )
