"""What every program must survive: our writer and reader, and each with torch's other half."""

from __future__ import annotations

from benchmarks.roundtrips import faults, judged


def assert_lossless(program, run):
    """Ours loses nothing and computes the same bits; what torch's own pair handles we read and write for its other half."""
    assert faults(judged(program, run)) == {}
