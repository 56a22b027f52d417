"""A reproducer for every row of the known-defects table: a small model and the mode in which the plugin reports the row.
A test that fails here is good news: torch has mended the defect, and the row needs an upper version bound."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from packaging.specifiers import SpecifierSet
from torch import nn
from torch.export import Dim

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.custom import with_edges
from pytest_exportcheck.engines.interop import with_interop
from pytest_exportcheck.engines.reference import Reference
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import KNOWN
from pytest_exportcheck.policy.known_defects import runtimes
from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.run.runner import Runner
from tests.defect_models import (
    ANNOTATED,
    BATCH,
    DYNAMIC,
    KEYWORDS,
    NEGATIVE,
    SHARED,
    TWICE,
    Attention,
    Branches,
    BufferFirst,
    CallsFunction,
    CodeBook,
    CountsSteps,
    Detached,
    Joined,
    Keywords,
    LambdaForward,
    ListAttribute,
    MaskedAttention,
    Minus,
    NamedWithComma,
    NestedAutocast,
    Projected,
    Region,
    Reordered,
    Rotary,
    Scaled,
    TakesJoined,
    Tied,
    TransposedNorm,
    TwoWeight,
    Unused,
    UnusedSize,
    annotated,
    annotated_region,
    attention_then_view,
    calls,
    channels_last,
    counted,
    drops_a_random_number,
    empty_region,
    gradient,
    logsigmoid,
    of_shape,
    pool,
    roll,
    shuffle,
    sparse,
    to_dense,
    traced,
    turned,
)
from tests.scaled import Quantised, QuantisedTwice


@dataclass(frozen=True)
class Reproducer:
    """A model, its inputs, and the mode of an engine that shows the defect."""

    build: Callable[[], nn.Module]
    args: object
    mode: str
    options: Mapping[str, object] = field(default_factory=dict)
    engine: str = "torch"


LENGTHS = Reproducer(
    Attention,
    lambda: (torch.randn(2, 4, 5, 8), torch.randn(2, 4, 6, 8), torch.randn(2, 4, 6, 8)),
    "nonstrict-decompose",
    {"dynamic_shapes": ({2: Dim.DYNAMIC}, {2: Dim.DYNAMIC}, {2: Dim.DYNAMIC})},
)

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
    "strict-refuses-negative-numbers": Reproducer(Scaled, lambda: (torch.ones(2), -4), "strict", NEGATIVE),
    "strict-narrows-negative-numbers": Reproducer(Scaled, lambda: (torch.ones(2), 4), "strict-fuzz", NEGATIVE),
    "retrace-grows-module-stack": Reproducer(calls(torch.sin), of_shape(3), "nonstrict-retrace-retrace"),
}

ENGINES = with_interop(
    {
        engine.name: with_edges(engine, {"copied": copy.deepcopy})
        for engine in map(as_engine, (TorchExport(), Reference()))
    }
)


#: The rows whose reproducers are here: those of runtimes are in test_known_runtime_defects.py.
OF_TORCH = [row for row in KNOWN if row not in runtimes.ROWS]


def found(reproducer):
    """The ids of the rows that explain what the plugin finds."""
    origin = Origin("known_defects", __file__, 1)
    case = Case(name="reproducer", build=reproducer.build, origin=origin, args=reproducer.args, **reproducer.options)
    engine, mode = ENGINES[reproducer.engine], Mode.parse(reproducer.mode)
    runner = Runner(ENGINES)
    runner.select([(case, engine.name, mode)])
    return {finding.known_as for finding in runner.run(case, engine.name, mode).findings}


@pytest.mark.parametrize("row", OF_TORCH, ids=lambda row: row.id)
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
    assert sorted(REPRODUCERS) == sorted(row.id for row in OF_TORCH)
