"""What exporting costs, the reference exporter against torch's: warm, in turns, in one run.

    python -m benchmarks.export_cost [--rounds N] [--only POPULATION ...]

Figures are CPU seconds of one thread, the median of the rounds, and ratios to torch's (non-strict).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from benchmarks.populations import POPULATIONS, copied
from pytest_exportcheck import reference

DEFAULT = ("torchvision", "timm", "transformers")


def seconds(export: Callable[..., Any], model: Any) -> float:
    module, call = model.build(), copied(model)
    before = time.thread_time()
    export(module, *call, dynamic_shapes=model.shapes)
    return time.thread_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=POPULATIONS, default=DEFAULT)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    ratios = {}
    for population in given.only:
        for _, make in POPULATIONS[population][0]():
            model = make()
            spent: dict[str, list[float]] = {"torch": [], "reference": []}
            for number in range(given.rounds + 1):
                for who, export in (("torch", torch.export.export), ("reference", reference.export)):
                    took = seconds(export, model)
                    if number:  # the first one warms up
                        spent[who].append(took)
            theirs, ours = median(spent["torch"]), median(spent["reference"])
            ratios[model.name] = ours / theirs
            print(
                f"{model.name}: torch {theirs:.3f} s, reference {ours:.3f} s, {ours / theirs:.2f} of torch's",
                flush=True,
            )
    slowest = max(ratios, key=lambda name: ratios[name])
    print(
        f"median {median(ratios.values()):.2f} of torch's over {len(ratios)} models; most {ratios[slowest]:.2f} ({slowest})"
    )


if __name__ == "__main__":
    main()
