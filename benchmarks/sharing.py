"""What sharing captures saves: the default matrix against a harness that exports afresh for every mode.

    python -m benchmarks.sharing [--rounds N]

``outputs only`` is what a team writes in an afternoon: for every mode it builds the model, exports it, takes the steps of the
mode, and compares outputs with eager on the example and on fresh inputs. ``same checks`` exports afresh for every mode too, and checks
what the plugin checks. ``shared`` is the plugin: each stage once. All in one process, in turns, over exportdb's supported cases and four
torchvision models; figures are CPU seconds, as ratios to ``shared``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.harness.setup import set_up
from pytest_exportcheck.harness.tensors import copy_tree
from pytest_exportcheck.modes import DEFAULT, Mode
from pytest_exportcheck.records import Case
from pytest_exportcheck.run.runner import Runner
from pytest_exportcheck.sources import cases_from

VISION = ("resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5")
MODES = [Mode.parse(name) for name in DEFAULT if "interop" not in name]
ENGINE = as_engine(TorchExport())


def outputs_only(case: Case) -> None:
    for mode in MODES:
        subject = set_up(case, 0)
        module = subject.fresh_module()
        try:
            args, kwargs = copy_tree((subject.example.args, dict(subject.example.kwargs)))
            artifact = ENGINE.captures[mode.capture](module, args, kwargs, subject.dynamic_shapes)
            for edge in mode.edges:
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


def same_checks(case: Case) -> None:
    for mode in MODES:
        runner = Runner({ENGINE.name: ENGINE})
        runner.select([(case, ENGINE.name, mode)])
        runner.run(case, ENGINE.name, mode)


def shared(case: Case) -> None:
    runner = Runner({ENGINE.name: ENGINE})
    runner.select((case, ENGINE.name, mode) for mode in MODES)
    for mode in MODES:
        runner.run(case, ENGINE.name, mode)


HARNESSES: tuple[Callable[[Case], None], ...] = (outputs_only, same_checks, shared)


def seconds(cases: list[Case], rounds: int) -> list[float]:
    """CPU seconds of each harness, all threads, case by case in turns: other work on the machine hardly counts."""
    spent = [0.0] * len(HARNESSES)
    for _ in range(rounds):
        for case in cases:
            for number, run in enumerate(HARNESSES):
                started = time.process_time()
                run(case)
                spent[number] += time.process_time() - started
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=VISION, help="torchvision models beside exportdb")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    populations = {
        "exportdb": cases_of("exportdb:*"),
        **{name: cases_of(f"torchvision:{name}") for name in given.models},
    }
    torch.set_num_threads(1)  # threads that wait for each other spend CPU seconds too
    for run in HARNESSES:  # warm up
        run(populations["exportdb"][0])
    ratios: list[tuple[float, float]] = []
    print(f"{'':20} {'shared':>9} {'same checks, afresh':>22} {'outputs only, afresh':>22}")
    for name, cases in populations.items():
        bare, full, ours = seconds(cases, given.rounds)
        ratios.append((full / ours, bare / ours))
        print(f"{name:20} {ours:7.1f} s {full / ours:16.2f} times {bare / ours:16.2f} times", flush=True)
    full, bare = (median(column) for column in zip(*ratios, strict=True))
    print(f"{'median':20} {'':9} {full:16.2f} times {bare:16.2f} times")


def cases_of(spec: str) -> list[Case]:
    return list(cases_from(spec).cases.values())


if __name__ == "__main__":
    main()
