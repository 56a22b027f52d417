"""A reproducer for every row of the known-defects table: a small model and the mode in which the plugin reports the row.
A test that fails here is good news: torch has mended the defect, and the row needs an upper version bound."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch.utils._pytree as pytree
from packaging.specifiers import SpecifierSet
from torch import nn
from torch.export import Dim
from torch.testing._internal.two_tensor import TwoTensor

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.custom import with_edges
from pytest_exportcheck.engines.interop import with_interop
from pytest_exportcheck.engines.reference import Reference
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import KNOWN
from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.run.runner import Runner
from tests.scaled import Quantised, QuantisedTwice


@dataclass(frozen=True)
class Reproducer:
    """A model, its inputs, and the mode of an engine that shows the defect."""

    build: Callable[[], nn.Module]
    args: object
    mode: str
    options: dict[str, object] = field(default_factory=dict)
    engine: str = "torch"


class Calls(nn.Module):
    """``forward`` is a function of the inputs alone."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class CodeBook(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("code", torch.randn(3))

    def forward(self, x):
        return x + self.code


class Joined:
    """A registered class that computes when it is put together, as key-value caches do."""

    def __init__(self, *parts):
        self.whole = torch.cat(parts)


pytree.register_pytree_node(
    Joined,
    lambda joined: (list(joined.whole.split(2)), None),
    lambda parts, _: Joined(*parts),
    serialized_type_name="tests.Joined",
    to_dumpable_context=lambda context: context,
    from_dumpable_context=lambda context: context,
    flatten_with_keys_fn=lambda joined: (
        [(pytree.SequenceKey(number), part) for number, part in enumerate(joined.whole.split(2))],
        None,
    ),
)


class TakesJoined(nn.Module):
    def forward(self, joined):
        return joined.whole.sin()


class Rotary(nn.Module):
    """Two buffers that are views of one tensor."""

    def __init__(self):
        super().__init__()
        table = torch.randn(2, 3)
        self.register_buffer("cos", table[0])
        self.register_buffer("sin", table[1])

    def forward(self, x):
        return x * self.cos + self.sin


class CountsSteps(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x):
        with torch.no_grad():
            self.steps += 1
        return x + 1


def calls(function):
    return lambda: Calls(function)


def of_shape(*shape):
    return lambda: (torch.randn(*shape),)


def empty_region(x):
    with torch.no_grad():
        x.detach()
    return x + 1


def counted(x):
    values, places, counts = torch.unique(x, return_inverse=True, return_counts=True)
    return values * 2, places, counts


class LambdaForward(nn.Module):
    forward = lambda self, x: (x + 1) * 2  # noqa: E731


def sparse():
    return (torch.eye(3).to_sparse(),)


def to_dense(x):
    return x.to_dense() + 1


class NestedAutocast(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 2)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = x @ x.t()
            with torch.autocast("cpu", enabled=False):
                return y, self.inner(x + y.float().sum())


class TwoWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(TwoTensor(torch.randn(2), torch.randn(2)))

    def forward(self, x):
        return x * self.weight


class Layered(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x):
        return self.layer(x).relu()


class Attention(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v).sum()


LENGTHS = Reproducer(
    Attention,
    lambda: (torch.randn(2, 4, 5, 8), torch.randn(2, 4, 6, 8), torch.randn(2, 4, 6, 8)),
    "nonstrict-decompose",
    {"dynamic_shapes": ({2: Dim.DYNAMIC}, {2: Dim.DYNAMIC}, {2: Dim.DYNAMIC})},
)


def traced():
    return torch.fx.symbolic_trace(Layered())


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("unused", torch.ones(1))

    def forward(self, x):
        return x + 1


class Reordered(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("first", torch.ones(1))
        self.register_buffer("second", torch.ones(1))

    def forward(self, x):
        return (x + self.second) * self.first


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class CallsFunction(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return Doubled.apply(self.layer(x)) + self.layer(x)


class BufferFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.layer = nn.BatchNorm1d(3, affine=False), nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(self.scale(x))


class ListAttribute(nn.Module):
    def __init__(self):
        super().__init__()
        self.kept = [torch.ones(2)]

    def forward(self, x):
        self.kept[0] = self.kept[0] + x
        return x.cos()


class Branches(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda v: v + 1, lambda v: v * 2, (x,))


class UnusedSize(nn.Module):
    def forward(self, x):
        size = x.max().item()
        torch._check(size >= 0)
        torch._check(size <= 5)
        return x + 1


SHARED = Dim("shared", min=3, max=9)


class Minus(nn.Module):
    def forward(self, x, y):
        return x - y


class Keywords(nn.Module):
    def forward(self, x, **others):
        return x + others["y"]


class TransposedNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.layer = nn.BatchNorm1d(16), nn.Linear(16, 4)

    def forward(self, x):
        return self.layer(self.norm(x.transpose(1, 2)).transpose(1, 2))


class MaskedAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.mask = nn.Parameter(torch.zeros(6, 6))

    def forward(self, q):
        return F.scaled_dot_product_attention(q, q, q, attn_mask=self.mask * 2)


class Projected(nn.Module):
    """Attention between two layers, as models have it."""

    def __init__(self):
        super().__init__()
        self.mask, self.layer = nn.Parameter(torch.zeros(6, 6)), nn.Linear(16, 16)

    def forward(self, x):
        heads = self.layer(x).reshape(x.shape[0], 6, 2, 8).transpose(1, 2)
        attended = F.scaled_dot_product_attention(heads, heads, heads, attn_mask=self.mask * 2)
        return self.layer(attended.transpose(1, 2).reshape(x.shape))


class Region(nn.Module):
    """Calls a layer without grad, and again with it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        with torch.no_grad():
            y = self.layer(x)
        return self.layer(x) * y


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x) * self.layer(x).detach()


class NamedWithComma(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({"a,b": nn.Linear(2, 2)})

    def forward(self, x):
        return self.layers["a,b"](x)


def annotated(x):
    with torch.fx.traceback.annotate({1: (2, 3)}):
        y = x + 1
    return y * 2


def annotated_region(x):
    with torch.fx.traceback.annotate({"a": 1}):
        y = x + 1
        with torch.no_grad():
            z = y.sin()
    return y * z


def drops_a_random_number(x):
    torch.rand(2)
    return x + 1


def attention_then_view(q):
    return F.scaled_dot_product_attention(q, q, q).transpose(1, 2).reshape(2, 6, 32).view(-1, 32)


def gradient(x):
    return torch.func.grad(lambda v: (v**2).sum())(x)


def channels_last():
    return (torch.randn(2, 4, 6, 5).contiguous(memory_format=torch.channels_last),)


def turned():
    return (torch.randn(3, 16, 8).transpose(1, 2),)


TWICE = torch.randn(3)
BATCH = Dim("batch", min=2, max=10)
DYNAMIC = {"dynamic_shapes": {"x": {0: BATCH}}}
KEYWORDS = {
    "kwargs": lambda: {"y": torch.randn(3, 2)},
    "dynamic_shapes": {"x": {0: BATCH}, "others": {"y": {0: BATCH}}},
}
ANNOTATED = {"context": torch.fx.traceback.preserve_node_meta}


def logsigmoid(x):
    return F.logsigmoid(x)


def roll(x):
    return x.roll(1, 1)


def shuffle(x):
    return F.channel_shuffle(x, 2)


def pool(x):
    return F.max_pool1d(x, 2)


REPRODUCERS = {
    "group-norm-fake-stride": Reproducer(lambda: nn.GroupNorm(2, 4, affine=False), channels_last, "nonstrict"),
    "log-sigmoid-fake-stride": Reproducer(calls(logsigmoid), turned, "nonstrict"),
    "log-sigmoid-lowered-stride": Reproducer(calls(logsigmoid), turned, "nonstrict-decompose"),
    "roll-fake-stride": Reproducer(calls(roll), channels_last, "nonstrict"),
    "roll-lowered-stride": Reproducer(calls(roll), channels_last, "nonstrict-decompose"),
    "channel-shuffle-fake-stride": Reproducer(calls(shuffle), channels_last, "nonstrict"),
    "channel-shuffle-lowered-stride": Reproducer(calls(shuffle), channels_last, "nonstrict-decompose"),
    "max-pool-fake-stride": Reproducer(calls(pool), turned, "nonstrict"),
    "max-pool-lowered-stride": Reproducer(calls(pool), turned, "nonstrict-decompose"),
    "nonstrict-traces-forward-only": Reproducer(LambdaForward, of_shape(1), "nonstrict"),
    "strict-drops-names": Reproducer(Unused, of_shape(1), "strict"),
    "strict-reorders-state": Reproducer(Reordered, of_shape(1), "strict"),
    "strict-subgraph-module-path": Reproducer(Branches, of_shape(3), "strict"),
    "loaded-constant-is-a-view": Reproducer(
        calls(lambda x: x + torch.tensor([1.0, 2.0])), of_shape(2), "nonstrict-serdes-retrace"
    ),
    "lstm-keeps-tracing-tensors": Reproducer(lambda: nn.LSTM(2, 2), of_shape(1, 1, 2), "nonstrict_postdispatch"),
    "attribute-mutation-dropped": Reproducer(ListAttribute, of_shape(2), "nonstrict"),
    "attribute-mutated-by-capture": Reproducer(ListAttribute, of_shape(2), "nonstrict_postdispatch"),
    "lowering-drops-unused-random": Reproducer(calls(drops_a_random_number), of_shape(2), "nonstrict-decompose"),
    "postdispatch-drops-unused-random": Reproducer(calls(drops_a_random_number), of_shape(2), "nonstrict_postdispatch"),
    "lowering-drops-no-grad": Reproducer(Region, of_shape(2, 3), "nonstrict-decompose"),
    "lowering-drops-detach": Reproducer(Detached, of_shape(2, 3), "nonstrict-decompose"),
    "one-tensor-as-two-arguments": Reproducer(Minus, (TWICE, TWICE), "nonstrict"),
    "func-grad-bakes-fake-tensors": Reproducer(calls(gradient), of_shape(3), "nonstrict"),
    "func-grad-mutates-fake-tensors": Reproducer(calls(gradient), of_shape(3), "nonstrict"),
    "keyword-guards-name-error": Reproducer(Keywords, of_shape(3, 2), "nonstrict", KEYWORDS),
    "batch-norm-fake-stride": Reproducer(TransposedNorm, of_shape(3, 8, 16), "nonstrict"),
    "batch-norm-fake-stride-lowered": Reproducer(TransposedNorm, of_shape(3, 8, 16), "nonstrict-decompose"),
    "eval-dropout-fake-stride": Reproducer(
        calls(lambda x: F.dropout(x[:, 0], 0.5, False)), of_shape(2, 3, 4), "nonstrict"
    ),
    "attention-mask-below-autograd": Reproducer(MaskedAttention, of_shape(2, 4, 6, 8), "nonstrict_postdispatch"),
    "loaded-attention-recapture": Reproducer(
        MaskedAttention, of_shape(2, 4, 6, 8), "nonstrict_postdispatch-serdes-retrace"
    ),
    "attention-lowered-stride": Reproducer(MaskedAttention, of_shape(2, 4, 6, 8), "nonstrict-decompose"),
    "attention-lowered-view": Reproducer(calls(attention_then_view), of_shape(2, 4, 6, 8), "nonstrict-decompose"),
    "nonstrict-names-wrapper-class": Reproducer(traced, of_shape(2, 3), "nonstrict"),
    "unflatten-graph-module": Reproducer(traced, of_shape(2, 3), "nonstrict-unflatten"),
    "postdispatch-leaves-tracing-tensors": Reproducer(
        lambda: nn.utils.weight_norm(nn.Linear(3, 4)), of_shape(2, 3), "nonstrict_postdispatch"
    ),
    "serdes-refuses-empty-region": Reproducer(calls(empty_region), of_shape(2), "nonstrict-serdes"),
    "subclass-weights-below-autograd": Reproducer(Quantised, of_shape(2, 4), "nonstrict_postdispatch"),
    "subclass-weights-drop-no-grad": Reproducer(QuantisedTwice, of_shape(2, 4), "nonstrict"),
    "subclass-weights-unflatten": Reproducer(Quantised, of_shape(2, 4), "nonstrict-unflatten"),
    "serdes-reorders-subclass-weights": Reproducer(Quantised, of_shape(2, 4), "nonstrict-serdes"),
    "lowered-subclass-output": Reproducer(TwoWeight, of_shape(2), "nonstrict-decompose"),
    "serdes-sparse-placeholder": Reproducer(calls(to_dense), sparse, "nonstrict-serdes"),
    "serdes-sparse-placeholder-stride": Reproducer(calls(to_dense), sparse, "nonstrict-serdes"),
    "serdes-renames-vmap-calls": Reproducer(calls(torch.vmap(torch.sin)), of_shape(2, 3), "nonstrict-serdes"),
    "unflatten-drops-vmap-calls": Reproducer(calls(torch.vmap(torch.sin)), of_shape(2, 3), "nonstrict-unflatten"),
    "strict-autocast-dtypes": Reproducer(NestedAutocast, of_shape(4, 8), "strict"),
    "strict-nested-autocast": Reproducer(NestedAutocast, of_shape(4, 8), "strict"),
    "serdes-splits-tied-parameters": Reproducer(Tied, of_shape(1, 2), "nonstrict-serdes"),
    "serdes-drops-unused-ranges": Reproducer(UnusedSize, lambda: (torch.tensor([4]),), "strict-serdes"),
    "attention-lowered-merges-lengths": LENGTHS,
    "attention-lowered-renames-symbols": LENGTHS,
    "loaded-lowering-drops-guards": Reproducer(
        Minus,
        lambda: (torch.randn(4, 3), torch.randn(4, 3)),
        "nonstrict-serdes-decompose",
        {"dynamic_shapes": ({0: SHARED}, {0: SHARED})},
    ),
    "loaded-lowering-derived-dims": Reproducer(
        calls(lambda x: x.reshape(-1, 2)),
        of_shape(4, 3),
        "nonstrict-serdes-decompose",
        {"dynamic_shapes": ({0: 2 * Dim("half", max=9)},)},
    ),
    "serdes-hop-results": Reproducer(Region, of_shape(2, 3), "nonstrict-serdes"),
    "serdes-hop-results-function": Reproducer(Region, of_shape(2, 3), "nonstrict-serdes"),
    "serdes-fetched-results": Reproducer(calls(counted), lambda: (torch.tensor([3, 1, 3]),), "nonstrict-serdes"),
    "serdes-fetched-results-sources": Reproducer(calls(counted), lambda: (torch.tensor([3, 1, 3]),), "strict-serdes"),
    "serdes-custom-as-json": Reproducer(calls(annotated), of_shape(3), "nonstrict-serdes", ANNOTATED),
    "serdes-return-types": Reproducer(calls(lambda x: torch.max(x, dim=0)), of_shape(3, 2), "nonstrict-serdes"),
    "serdes-symbolic-bool-output": Reproducer(
        calls(lambda x: (x.shape[0] > 4, x + 1)), of_shape(6), "nonstrict-serdes", DYNAMIC
    ),
    "serdes-names-with-separators": Reproducer(NamedWithComma, of_shape(2, 2), "nonstrict-serdes"),
    "interop-names-with-separators": Reproducer(
        NamedWithComma, of_shape(2, 2), "nonstrict-interop", engine="reference"
    ),
    "serdes-str-output": Reproducer(calls(lambda x: (x + 1, "s")), of_shape(3), "nonstrict-serdes"),
    "serdes-drops-custom-of-placeholders": Reproducer(calls(annotated_region), of_shape(3), "strict-serdes", ANNOTATED),
    "retrace-region-module-paths": Reproducer(Region, of_shape(2, 3), "nonstrict-retrace"),
    "retrace-region-result-paths": Reproducer(Region, of_shape(2, 3), "nonstrict-retrace"),
    "guards-refuse-zero-and-one": Reproducer(
        calls(lambda x: x.view(2, -1)),
        of_shape(8),
        "nonstrict-fuzz",
        {"dynamic_shapes": ({0: 2 * Dim("half", max=9)},)},
    ),
    "unflatten-refuses-zero": Reproducer(
        calls(lambda x: x * 2),
        of_shape(8),
        "nonstrict-unflatten-fuzz",
        {"dynamic_shapes": ({0: 2 * Dim("half", max=9)},)},
    ),
    "lower-bounds-up-to-two-dropped": Reproducer(
        calls(lambda x: x * 2 if x.shape[0] == 1 else x), of_shape(6), "nonstrict-fuzz", DYNAMIC
    ),
    "strict-function-loses-gradients": Reproducer(CallsFunction, of_shape(2, 3), "strict"),
    "captures-list-parameters-first": Reproducer(BufferFirst, of_shape(2, 3), "nonstrict"),
    "keyword-in-path": Reproducer(
        lambda: nn.Sequential(OrderedDict({"class": nn.Linear(3, 4)})), of_shape(2, 3), "nonstrict"
    ),
    "name-of-graph-module": Reproducer(CodeBook, of_shape(3), "nonstrict"),
    "copies-rename-placeholders": Reproducer(lambda: nn.ReLU(), of_shape(3), "nonstrict-copied"),
    "copies-renamed-refused": Reproducer(lambda: nn.ReLU(), of_shape(3), "nonstrict-copied"),
    "inputs-untraced": Reproducer(TakesJoined, lambda: (Joined(torch.randn(4)),), "strict"),
    "unflatten-unshares-views": Reproducer(Rotary, of_shape(3), "nonstrict-unflatten"),
    "retrace-region-mutations": Reproducer(CountsSteps, of_shape(3), "nonstrict-retrace"),
    "conv3d-fake-stride": Reproducer(
        lambda: nn.Conv3d(3, 4, 3),
        lambda: (torch.randn(2, 3, 4, 6, 6).to(memory_format=torch.channels_last_3d),),
        "nonstrict",
    ),
    "retrace-grows-module-stack": Reproducer(calls(torch.sin), of_shape(3), "nonstrict-retrace-retrace"),
}


ENGINES = with_interop(
    {
        engine.name: with_edges(engine, {"copied": copy.deepcopy})
        for engine in map(as_engine, (TorchExport(), Reference()))
    }
)


def found(reproducer):
    """The ids of the rows that explain what the plugin finds."""
    origin = Origin("known_defects", __file__, 1)
    case = Case(name="reproducer", build=reproducer.build, origin=origin, args=reproducer.args, **reproducer.options)
    engine, mode = ENGINES[reproducer.engine], Mode.parse(reproducer.mode)
    runner = Runner(ENGINES)
    runner.select([(case, engine.name, mode)])
    return {finding.known_as for finding in runner.run(case, engine.name, mode).findings}


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row.id)
def test_the_defect_is_still_there(row):
    present = row.id in found(REPRODUCERS[row.id])
    if SpecifierSet(row.torch).contains(torch.__version__, prereleases=True):
        assert present, f"torch {torch.__version__} has mended {row.id}: bound the row's versions"
    else:
        assert not present


@pytest.mark.parametrize(
    ("row", "reproducer"),
    [
        (
            "attention-lowered-view",
            Reproducer(
                Projected, of_shape(3, 6, 16), "strict_postdispatch-decompose", {"dynamic_shapes": ({0: BATCH},)}
            ),
        ),
        (
            "attention-lowered-stride",
            replace(REPRODUCERS["attention-lowered-stride"], mode="nonstrict_postdispatch-decompose"),
        ),
    ],
)
def test_a_row_explains_the_kernels_that_an_operator_becomes_below_autograd(row, reproducer):
    assert row in found(reproducer)


def test_every_row_has_a_reproducer():
    assert sorted(REPRODUCERS) == sorted(row.id for row in KNOWN)
