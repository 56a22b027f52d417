"""A reproducer for every row of the known-defects table. A test that fails here is good news: torch has mended the
defect, and the row needs an upper version bound."""

from __future__ import annotations

import io

import pytest
import torch
from packaging.specifiers import SpecifierSet
from torch.export import ExportedProgram, export

from pytest_exportcheck.policy import KNOWN


def loaded(program: ExportedProgram) -> ExportedProgram:
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    return torch.export.load(buffer)


def serdes_splits_tied_parameters() -> bool:
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    program = export(Tied(), (torch.ones(1, 2),))
    before, after = (len(list(each.module().parameters())) for each in (program, loaded(program)))
    return after == before + 1


def strict_drops_names() -> bool:
    class Unused(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("unused", torch.ones(1))

        def forward(self, x):
            return x + 1

    return "unused" not in export(Unused(), (torch.ones(1),), strict=True).module().state_dict()


def strict_reorders_state() -> bool:
    class Reordered(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("first", torch.ones(1))
            self.register_buffer("second", torch.ones(1))

        def forward(self, x):
            return (x + self.second) * self.first

    module = Reordered()
    program = export(module, (torch.ones(1),), strict=True)
    return list(program.module().state_dict()) != list(module.state_dict())


def loaded_constant_is_a_view() -> bool:
    class Constant(torch.nn.Module):
        def forward(self, x):
            return x + torch.tensor([1.0, 2.0])

    program = export(Constant(), (torch.ones(2),))
    export(program.module(), (torch.ones(2),))
    with pytest.raises(RuntimeError, match="Can't detach views in-place"):
        export(loaded(program).module(), (torch.ones(2),))
    return True


def lstm_keeps_tracing_tensors() -> bool:
    from torch.export._trace import _export

    module = torch.nn.LSTM(2, 2)
    _export(module, (torch.ones(1, 1, 2),), pre_dispatch=False, strict=False)
    return type(module._flat_weights[0]).__name__ == "FunctionalTensor"


REPRODUCERS = {
    "lstm-keeps-tracing-tensors": lstm_keeps_tracing_tensors,
    "serdes-splits-tied-parameters": serdes_splits_tied_parameters,
    "strict-drops-names": strict_drops_names,
    "strict-reorders-state": strict_reorders_state,
    "loaded-constant-is-a-view": loaded_constant_is_a_view,
}


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row.id)
def test_the_defect_is_still_there(row):
    if not SpecifierSet(row.torch).contains(torch.__version__, prereleases=True):
        pytest.skip(f"the row says that torch {torch.__version__} does not have this defect")
    assert REPRODUCERS[row.id](), f"torch {torch.__version__} has mended {row.id}: bound the row's versions"


def test_every_row_has_a_reproducer():
    assert sorted(REPRODUCERS) == sorted(row.id for row in KNOWN)
