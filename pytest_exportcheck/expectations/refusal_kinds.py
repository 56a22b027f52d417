"""Kinds of refusal: how the error of an engine says why it refuses a model or a call.

The text of the error, ``Type: message``, determines its kind. A user's engine with other error texts is compared with
the pattern of the rejection instead. Source: the errors of torch 2.13 and 2.14; the reference engine's derive from
them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "constraint": r"ConstraintViolation|Constraints violated|not in range \[|[Dd]ifferent definitions|`?dynamic_shapes`?",
    "data_dependent": r"GuardOnDataDependent|[Dd]ata-dependent|Could not guard",
    "guard": r"Guard failed|[Rr]untime assertion failed|Expected input .* to be",
    "input": r"flatten user inputs|keyword mismatch|Expecting `args`|missing .*argument|unexpected keyword|takes .* argument",
    "unsupported": r"Unsupported|graph break|not supported|not a known type|unrecognized type",
}


def is_of_kind(kind: str, text: str) -> bool:
    """Return whether an error of this text is of the kind; ``*`` is any."""
    return kind == "*" or re.search(KINDS[kind], text) is not None
