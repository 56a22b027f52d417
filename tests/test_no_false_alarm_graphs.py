"""Programs that compute sizes in many ways, layouts and views, state that is shared or averaged, and modules that are graphs, compiled
or hooked: nothing of them is broken."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.export import Dim

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.reference import Reference
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.run.runner import Runner

ENGINES = {engine.name: engine for engine in map(as_engine, (TorchExport(), Reference()))}
RETRACES = ("nonstrict-retrace", "nonstrict-serdes-retrace")
SAVED = ("nonstrict-decompose-serdes", "nonstrict-serdes")
ROWS = Dim("rows", min=2, max=32)


class Ragged(nn.Module):
    def forward(self, lengths, x):
        sizes = lengths.tolist()
        for each in sizes:
            torch._check(each >= 0)
            torch._check(each <= x.shape[0])
        return torch.split(x, sizes)


class Layered(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x):
        return self.layer(x).relu()


class Outer(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) + 1


class Attention(nn.Module):
    def forward(self, q, k, v):
        return nn.functional.scaled_dot_product_attention(q, k, v).sum()


class FusedAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        return ((q @ k.transpose(-1, -2)).softmax(-1) @ v).transpose(1, 2).reshape(batch, length, 8)


class BranchesOverState(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.linspace(1, 2, 3))

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda v: v + self.scale, lambda v: v * self.scale, (x,))


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("table", torch.linspace(0, 1, 3).expand(2, 3))
        self.register_buffer("part", torch.linspace(0, 1, 9)[1:4])

    def forward(self, x):
        self.calls.add_(1)
        return (x + self.table * self.part) * self.calls


class CalledTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.counted, self.layer = Counted(), nn.Linear(3, 3)

    def forward(self, x):
        return self.counted(self.layer(self.counted(x)).sin())


class MovingAverage(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("average", torch.zeros(3, 3))

    def forward(self, x):
        with torch.no_grad():
            self.average.lerp_(self.layer.weight, 0.1)
        return self.layer(x) + x @ self.average


def hooked():
    module = nn.Linear(3, 4)
    module.register_forward_pre_hook(lambda _, args: (args[0] + 1,))
    module.register_forward_hook(lambda _, args, kwargs, output: output * 2, with_kwargs=True, always_call=True)
    return module


def loaded():
    return torch.export.export(Layered(), inputs()).module()


def compiled():
    return torch.compile(Layered(), backend="eager")


def inputs():
    return (torch.linspace(-1, 1, 6).reshape(2, 3),)


def lengths():
    return tuple(torch.linspace(0.1, 1, 4 * length).reshape(1, length, 4) for length in (5, 6, 6))


KINDS = (
    ("ragged", Ragged, (torch.tensor([2, 0, 3]), torch.ones(5, 2)), None, RETRACES),
    ("bag", lambda: nn.EmbeddingBag(9, 4), (torch.ones(3, 6, dtype=torch.int64),), ({0: ROWS},), RETRACES),
    ("hooked", hooked, inputs(), None, ("nonstrict", "nonstrict-decompose")),
    ("weight norm", lambda: nn.utils.weight_norm(nn.Linear(3, 4)), inputs(), None, ("nonstrict_postdispatch",)),
    ("loaded", loaded, inputs(), None, ("nonstrict", "strict")),
    ("loaded inside", lambda: Outer(loaded()), inputs(), None, ("nonstrict", "strict")),
    ("traced", lambda: torch.fx.symbolic_trace(Layered()), inputs(), None, ("nonstrict", "strict")),
    ("compiled", compiled, inputs(), None, ("nonstrict", "strict")),
    ("compiled inside", lambda: Outer(compiled()), inputs(), None, ("nonstrict", "strict")),
    (
        "channels_last",
        lambda: nn.Conv2d(3, 4, 3),
        (torch.linspace(-1, 1, 300).reshape(4, 3, 5, 5).to(memory_format=torch.channels_last),),
        ({0: ROWS},),
        ("nonstrict-decompose", "nonstrict-retrace"),
    ),
    ("transposed", nn.ReLU, (torch.linspace(-1, 1, 24).reshape(6, 4).t(),), ({0: ROWS},), RETRACES),
    ("expanded", nn.ReLU, (torch.linspace(-1, 1, 4).expand(6, 4),), ({0: ROWS},), RETRACES),
    (
        "fused",
        FusedAttention,
        (torch.linspace(-1, 1, 48).reshape(2, 3, 8),),
        ({0: Dim("batch", max=8), 1: Dim("length", max=64)},),
        SAVED,
    ),
    ("branches", BranchesOverState, (torch.ones(3),), None, ("strict-retrace",)),
    ("called twice", CalledTwice, inputs(), None, ("nonstrict-unflatten", "strict")),
    ("moving average", MovingAverage, inputs(), None, SAVED),
    ("lengths", Attention, lengths(), ({1: Dim.DYNAMIC},) * 3, ("nonstrict-decompose",)),
)


def _has(engine, mode):
    return mode.capture in engine.captures and all(edge in engine.edges for edge in mode.edges)


@pytest.mark.parametrize(
    ("build", "args", "shapes", "modes"), [each[1:] for each in KINDS], ids=[each[0] for each in KINDS]
)
def test_nothing_is_broken(build, args, shapes, modes):
    case = Case(name="net", build=build, origin=Origin("graphs", __file__, 1), args=args, dynamic_shapes=shapes)
    pairs = [(engine, Mode.parse(mode)) for engine in ENGINES for mode in modes]
    pairs = [(engine, mode) for engine, mode in pairs if _has(ENGINES[engine], mode)]
    runner = Runner(ENGINES, threads=1)
    runner.select((case, engine, mode) for engine, mode in pairs)
    found = {(engine, str(mode)): runner.run(case, engine, mode) for engine, mode in pairs}
    assert {key: outcome.findings for key, outcome in found.items() if outcome.status not in ("passed", "known")} == {}
