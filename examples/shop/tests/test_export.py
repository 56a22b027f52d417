"""The models survive export, saving and loading. Run with `pytest --exportcheck`."""

import torch
from shop_models import Normalizer, Ranker
from torch.export import Dim

from pytest_exportcheck import export_case, rejection


def batch(size=16):
    """Draw a batch: `args` is called again for fresh inputs, so the batch size varies between the calls."""
    return (torch.randn(int(torch.randint(1, 64, ())), size),)


@export_case(
    args=batch,
    dynamic_shapes=lambda: {"x": {0: Dim("batch", min=1, max=64)}},
    rejects=[rejection("call", kind="guard", args=lambda: (torch.randn(65, 16),))],
)
def normalizer():
    return Normalizer()


@export_case(args=lambda: (torch.randn(4, 8),))
def ranker():
    return Ranker()


def test_a_small_normalizer_survives_saving(exportcheck):
    """Check one model inside an ordinary test; this test runs without `--exportcheck` too."""
    exportcheck(Normalizer(4), (torch.randn(3, 4),), modes=["nonstrict", "nonstrict-serdes"])
