"""What every program must survive: our writer and reader, and each with torch's other half."""

from __future__ import annotations

import io

import torch

from pytest_exportcheck import reference
from pytest_exportcheck.serde.difference import difference
from pytest_exportcheck.serde.plain_program import plain_program


def through(program, save, load):
    buffer = io.BytesIO()
    save(program, buffer)
    buffer.seek(0)
    return load(buffer)


def assert_lossless(program, run):
    """Ours loses nothing and computes the same bits; what torch can save we read, and what torch can read we write."""
    expected = run(program)
    after = through(program, reference.save, reference.load)
    assert difference(plain_program(program), plain_program(after)) == {}
    assert run(after) == expected
    try:
        theirs = through(program, torch.export.save, torch.export.load)
    except Exception:  # torch's own pair cannot
        return
    assert run(through(program, torch.export.save, reference.load)) == run(theirs)
    assert run(through(program, reference.save, torch.export.load)) == run(theirs)


def texts(tree):
    return [repr(leaf) for leaf in torch.utils._pytree.tree_leaves(tree)]
