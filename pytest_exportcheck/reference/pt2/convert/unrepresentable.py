"""What the schema has no form for. The supplement holds it; torch's own loader must not take the file for something else."""

from __future__ import annotations

#: A name that no loader can resolve stands where the structures cannot say what there is.
MARK = "exportcheck.inexpressible"


class Inexpressible(Exception):
    """A plain value has no form in the schema."""
