"""The reference reader and writer over exportdb, which nobody here wrote."""

from __future__ import annotations

import warnings

import pytest
import torch
from reference_roundtrip import assert_lossless, texts

from pytest_exportcheck.sources import cases_from
from pytest_exportcheck.subject import set_up

EXPORTDB = cases_from("exportdb:*").cases


@pytest.mark.parametrize("name", EXPORTDB)
def test_exportdb(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject = set_up(next(case for key, case in EXPORTDB.items() if key == name), 0)
        args, kwargs = subject.example.args, dict(subject.example.kwargs)
        program = torch.export.export(subject.module, args, kwargs, dynamic_shapes=subject.dynamic_shapes)

        def run(program):
            copied, named = torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, (args, kwargs))
            return texts(program.module()(*copied, **named))

        assert_lossless(program, run)
