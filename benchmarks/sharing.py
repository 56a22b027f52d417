"""What sharing captures saves: the default matrix against a harness that exports afresh for every mode.

    python -m benchmarks.sharing [--rounds N]

The harness is what a team writes in an afternoon: for every mode it builds the model, exports it, takes the steps of the mode,
and compares outputs with eager on the example and on fresh inputs. The plugin makes each stage once, and runs all its
checks. Both in one process, in turns, over exportdb's supported cases and four torchvision models; figures are ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import DEFAULT, Mode
from pytest_exportcheck.records import Case
from pytest_exportcheck.runner import Runner
from pytest_exportcheck.sources import cases_from
from pytest_exportcheck.subject import set_up
from pytest_exportcheck.tensors import copy_tree

VISION = ("resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5")
MODES = [Mode(tuple(name.split("-"))) for name in DEFAULT if "interop" not in name]
ENGINE = as_engine(TorchExport())


def naive(case: Case) -> None:
    for mode in MODES:
        subject = set_up(case, 0)
        module = subject.fresh_module()
        try:
            args, kwargs = copy_tree((subject.example.args, dict(subject.example.kwargs)))
            artifact = ENGINE.captures[mode.capture](module, args, kwargs, subject.dynamic_shapes)
            for edge in mode.stages[1:]:
                artifact = ENGINE.edges[edge](artifact)
            program = artifact.callable()
            for call in (subject.example, subject.fresh):
                outputs = []
                for run in (subject.fresh_module(), program):
                    args, kwargs = copy_tree((call.args, dict(call.kwargs)))
                    torch.manual_seed(0)
                    outputs.append(run(*args, **kwargs))
                torch.testing.assert_close(*reversed(outputs), check_stride=False)
        except Exception:  # a defect: the harness would report it and go on, as the plugin does
            continue


def plugin(case: Case) -> None:
    runner = Runner({ENGINE.name: ENGINE})
    runner.select((case, ENGINE.name, mode) for mode in MODES)
    for mode in MODES:
        runner.run(case, ENGINE.name, mode)


def seconds(run: Callable[[Case], None], cases: list[Case]) -> float:
    started = time.perf_counter()
    for case in cases:
        run(case)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    rounds = parser.parse_args().rounds
    populations = {
        "exportdb": list(cases_from("exportdb:*").cases.values()),
        **{name: list(cases_from(f"torchvision:{name}").cases.values()) for name in VISION},
    }
    plugin(populations[VISION[2]][0])  # warm up
    ratios: list[float] = []
    totals = [0.0, 0.0]
    for name, cases in populations.items():
        for _ in range(rounds):
            slow, fast = seconds(naive, cases), seconds(plugin, cases)
            ratios.append(slow / fast)
            totals[0] += slow
            totals[1] += fast
            print(f"{name:20} afresh {slow:7.1f} s   shared {fast:7.1f} s   {slow / fast:.2f} times")
    print(f"median {median(ratios):.2f} times, all together {totals[0] / totals[1]:.2f} times")


if __name__ == "__main__":
    main()
