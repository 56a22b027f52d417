"""The weights and constants of a program into records, each storage once, and back as the same tensors."""

from __future__ import annotations

from pytest_exportcheck.reference.pt2.payloads.restore import RestoredPayloads, restore
from pytest_exportcheck.reference.pt2.payloads.store import StoredPayloads, store

__all__ = ["RestoredPayloads", "StoredPayloads", "restore", "store"]
