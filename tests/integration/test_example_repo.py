"""The example repo runs as its files say, and its cases can fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

SHOP = Path(__file__).parents[2] / "examples" / "shop"
RUN = (
    "--exportcheck",
    "--exportcheck-modes=nonstrict,nonstrict-serdes",
    "--exportcheck-engines=torch",
    "-p",
    "no:cacheprovider",
)


@pytest.fixture
def shop(pytester: pytest.Pytester) -> pytest.Pytester:
    """A pytester in a copy of the example repo."""
    shutil.copytree(SHOP, pytester.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return pytester


def test_the_example_passes_with_its_expected_failure(shop):
    result = shop.runpytest_subprocess(*RUN)
    result.assert_outcomes(passed=4, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "tests/test_export.py",
            "  normalizer  . .",
            "  ranker      . x",
            "exportcheck: 2 cases, 4 items: 3 passed, 1 expected",
        ]
    )


def test_the_example_fails_when_a_model_is_broken_and_when_an_entry_is_stale(shop):
    normalizer, ranker = (shop.path / "shop_models" / name for name in ("normalizer.py", "ranker.py"))
    replace(normalizer, 'self.register_buffer("mean", torch.zeros(size))', "self.mean = torch.zeros(size)")
    replace(normalizer, "self.mean.mul_(0.9).add_(0.1 * x.mean(0))", "self.mean = 0.9 * self.mean + 0.1 * x.mean(0)")
    replace(
        ranker,
        "register_dataclass(Prediction)",
        'register_dataclass(Prediction, serialized_type_name="shop.Prediction")',
    )
    result = shop.runpytest_subprocess(*RUN)
    result.assert_outcomes(passed=1, failed=3, skipped=1)
    result.stdout.fnmatch_lines(["nonstrict broke outputs and effects", "  normalizer  F b", "  ranker      . S"])


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
