"""Values that the schema has no form for. The supplement holds them; torch's own loader must not misread the file."""

from __future__ import annotations

#: A name that no loader can resolve marks the places that the structures cannot represent.
MARK = "exportcheck.unrepresentable"


class Unrepresentable(Exception):
    """A plain value has no form in the schema."""
