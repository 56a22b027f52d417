"""Sound models in all default modes: green under ``ship``; under ``conformance`` red only for rows of the known table."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import cast

import pytest

from benchmarks.models import CASES
from pytest_exportcheck.engines import all_engines
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import DEFAULT, Mode
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.reports.wording import kind_of
from pytest_exportcheck.run.runner import Runner
from pytest_exportcheck.sources import cases_from
from tests.zoo import zoo

MODES = [Mode.parse(name) for name in DEFAULT if not name.endswith("interop")]
OWN = ("tied_language_model", "batch_norm_training", "small_vit")

#: Minutes each; ``make sound`` runs them too.
SLOW = ("swin_t", "densenet121", "efficientnet_b0", "convnext_tiny", "deeplabv3_mobilenet")

#: Models of sources, as people write them: all families of transformers, and all small models of timm.
FAMILIES = (
    *(
        "AlbertModel",
        "BartModel",
        "BertModel",
        "BloomModel",
        "CLIPModel",
        "ConvNextModel",
        "DebertaV2Model",
        "DeiTModel",
    ),
    *("DistilBertModel", "ElectraModel", "GPT2LMHeadModel", "GPTNeoXModel", "GemmaForCausalLM", "LlamaForCausalLM"),
    *(
        "MambaModel",
        "MarianModel",
        "MistralForCausalLM",
        "MobileBertModel",
        "OPTModel",
        "Qwen3ForCausalLM",
        "RobertaModel",
    ),
    *(
        "SegformerModel",
        "SwinModel",
        "T5EncoderModel",
        "T5Model",
        "ViTModel",
        "Wav2Vec2Model",
        "WhisperModel",
        "XLNetModel",
    ),
)
SMALL: tuple[str, ...] = (
    "byobnet",
    "coatnet",
    "convnext",
    "convnext2",
    "convnext3",
    "efficientnet",
    "efficientnet_evos",
    "efficientnet_gn",
)
SMALL += ("efficientnet_ln", "mambaout", "maxvit", "nfnet", "resnet", "vit", "vit2", "vit3", "vit4", "vit_relpos")
SOURCES = [*(f"transformers:{name}" for name in FAMILIES), *(f"timm:test_{name}" for name in SMALL)]

#: Has a mask that requires grad; takes seconds, and runs everywhere.
QUICK = ("transformers:T5EncoderModel,dynamic=batch",)


def slow(name):
    reason = "takes minutes: make sound runs it"
    return pytest.param(name, marks=pytest.mark.skipif("EXPORTCHECK_SOUND" not in os.environ, reason=reason))


def exportdb():
    pytest.importorskip("expecttest", reason="the cases of torch's exportdb need the package expecttest")
    from torch._export.db.case import SupportLevel
    from torch._export.db.examples import all_examples

    return {name: each for name, each in all_examples().items() if each.support_level is SupportLevel.SUPPORTED}


def outcomes(case, profile):
    engine = as_engine(TorchExport())
    runner = Runner({engine.name: engine}, profile=profile, threads=1)  # as many workers run as there are cores
    runner.select((case, engine.name, mode) for mode in MODES)
    return [runner.run(case, engine.name, mode) for mode in MODES]


def assert_fuzzing_finds_nothing(case):
    """Sizes 0 and 1 below a declared bound may be taken; nothing else is said."""
    engine = as_engine(TorchExport())
    runner = Runner({engine.name: engine}, profile="conformance", threads=1, fuzz=Fuzzing(examples=25))
    planned = [each for mode in MODES for each in (mode, mode.fuzzed)]
    runner.select((case, engine.name, mode) for mode in planned)
    found = {str(mode): runner.run(case, engine.name, mode) for mode in planned}
    fuzzed = {mode: outcome for mode, outcome in found.items() if mode.endswith("fuzz")}
    assert {mode: outcome.findings for mode, outcome in fuzzed.items() if outcome.status != "passed"} == {}
    assert {kind_of(finding) for outcome in fuzzed.values() for finding in outcome.findings} <= {"widened"}


def assert_no_false_alarm(case):
    found = {str(outcome.mode): outcome for outcome in outcomes(case, "conformance")}
    broken = {
        mode: [finding for finding in outcome.findings if finding.verdict == "broken"]
        for mode, outcome in found.items()
    }
    assert {mode: findings for mode, findings in broken.items() if findings} == {}
    for mode, outcome in found.items():
        known = [finding for finding in outcome.findings if finding.verdict == "known"]
        assert outcome.status == ("failed" if known else "blocked" if outcome.status == "blocked" else "passed"), mode


@pytest.mark.parametrize("name", OWN)
def test_own_models_are_sound(name):
    assert_no_false_alarm(CASES[name])


@pytest.mark.parametrize("name", [name for name in OWN if CASES[name].dynamic_shapes])
def test_fuzzing_finds_nothing_in_own_models(name):
    assert_fuzzing_finds_nothing(CASES[name])


@zoo
@pytest.mark.parametrize(
    "name", [slow(name) for name, case in CASES.items() if name not in OWN and case.dynamic_shapes]
)
def test_fuzzing_finds_nothing_in_torchvision_models(name):
    """The main job fuzzes two of them."""
    assert_fuzzing_finds_nothing(CASES[name])


@zoo
@pytest.mark.parametrize("name", [slow(name) if name in SLOW else name for name in CASES if name not in OWN])
def test_torchvision_models_are_sound(name):
    assert_no_false_alarm(CASES[name])


def test_the_supported_cases_of_exportdb_are_sound():
    examples = exportdb()
    assert len(examples) > 20
    for name, example in examples.items():
        case = Case(
            name=name,
            build=cast(
                "Callable[[], object]",
                lambda example=example: (example.model, example.example_args, example.example_kwargs),
            ),
            origin=Origin("exportdb", __file__, 1),
            dynamic_shapes=example.dynamic_shapes,
        )
        assert_no_false_alarm(case)


def test_under_ship_what_is_known_passes():
    assert {outcome.status for outcome in outcomes(CASES["tied_language_model"], "ship")} == {"passed", "known"}


def of_source(text):
    """The outcomes of one model in what a session runs by default: both engines, all default modes."""
    (case,) = cases_from(text).cases.values()
    engines = all_engines()
    wanted = [
        (case, name, mode) for name, engine in engines.items() for mode in map(mode_of, engine.default_modes or DEFAULT)
    ]
    runner = Runner(engines, threads=1)
    runner.select(wanted)
    return {f"{name}-{mode}": runner.run(case, name, mode) for case, name, mode in wanted}


def mode_of(text):
    return Mode.parse(text)


@zoo
@pytest.mark.parametrize("text", [*QUICK, *map(slow, SOURCES)])
def test_models_of_sources_are_sound(text):
    """Red only where plain torch fails too: such models are named above, with what torch does."""
    pytest.importorskip(text.partition(":")[0], reason="the zoo extra is not installed")
    found = of_source(text)
    assert len(found) == 18
    red = {mode: each.findings for mode, each in found.items() if each.status not in SOUND}
    assert red == {}


#: Outcomes that are not red; what a known defect blocks is not run.
SOUND = ("passed", "known", "unsupported", "blocked")
