"""Models that nobody decorated, from the command line."""

from __future__ import annotations

import pytest

from tests.integration.engine_runs import check
from tests.zoo import zoo

pytestmark = pytest.mark.usefixtures("whole_torch")


@zoo
def test_a_model_by_name_and_how_it_is_run_again(pytester):
    result = check(pytester, "--exportcheck-source=torchvision:squeezenet1_1", "--exportcheck-modes=nonstrict", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["torchvision::squeezenet1_1[[]torch-nonstrict[]] PASSED*"])
    again = check(
        pytester, "--exportcheck-source=torchvision:squeezenet1_1", "-k", "squeezenet1_1[torch-nonstrict]", "--co", "-q"
    )
    assert [line for line in again.outlines if "::" in line] == ["torchvision::squeezenet1_1[torch-nonstrict]"]


@zoo
def test_a_glob_collects_every_match(pytester):
    result = check(pytester, "--exportcheck-source=torchvision:vgg1?", "--exportcheck-modes=strict", "--co", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        f"torchvision::{name}[torch-strict]" for name in ("vgg11", "vgg13", "vgg16", "vgg19")
    ]


@zoo
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", "ERROR: exportcheck: torchvision has no model 'resnet81'; did you mean 'resnet18'[?]"),
        (
            "raft_large",
            "ERROR: exportcheck: torchvision:raft_large is not a classification, segmentation or video model;*",
        ),
    ],
)
def test_a_model_that_is_not_there(pytester, name, message):
    result = check(pytester, f"--exportcheck-source=torchvision:{name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_without_torchvision_the_message_names_the_extra(pytester):
    (pytester.path / "torchvision.py").write_text("raise ImportError('not here')")
    result = pytester.runpytest_subprocess("--exportcheck", "--exportcheck-source=torchvision:resnet18")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: exportcheck: the source torchvision needs torchvision, which cannot be imported here (not here). "
            "Install it with: pip install 'pytest-exportcheck[[]zoo[]]'"
        ]
    )


@zoo
@pytest.mark.slow
def test_an_ordinary_model_is_sound_in_every_default_mode(pytester):
    """More models in test_no_false_alarm.py; `make exportcheck` checks this one too."""
    name = "resnet18"
    result = check(pytester, f"--exportcheck-source=torchvision:{name}")
    result.assert_outcomes(passed=12)
    # strict captures order the state anew and drop num_batches_tracked: known defects, nothing else
    result.stdout.fnmatch_lines([f"  {name}  . . .  . .  . . .  .   k . ."])
