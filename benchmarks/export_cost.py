"""What exporting costs, the reference exporter against torch's: warm, in turns, in one run.

    python -m benchmarks.export_cost [--rounds N] [--only POPULATION ...] [--every N] [--strict]

Figures are CPU seconds of one thread, means of the rounds, and ratios to torch's, non-strict or with ``--strict`` strict. Each round calls from further down the
stack: CPython keeps frames in blocks, and what calls to and fro across the end of one pays for it each time (an empty call was seen
to take 190 times as long there). Between ten depths one export of BertModel took up to 1.4 times as long as at the best of them with
torch, 1.5 times with ours: a ratio at one depth tells where the ends of blocks lie.
"""

from __future__ import annotations

import argparse
import gc
import time
import warnings
from collections.abc import Callable
from statistics import mean, median
from typing import Any

import torch

from pytest_exportcheck import reference
from tests.differential.populations import POPULATIONS, copied

FRAMES = 16  #: from round to round
DEFAULT = ("torchvision", "timm", "transformers")


def seconds(export: Callable[..., Any], model: Any, depth: int, strict: bool) -> float:
    if depth:
        return seconds(export, model, depth - 1, strict)
    module, call = model.build(), copied(model)
    gc.collect()  # what the one before left behind is not this one's cost
    before = time.thread_time()
    export(module, *call, dynamic_shapes=model.shapes, strict=strict)
    return time.thread_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", nargs="*", choices=POPULATIONS, default=DEFAULT)
    parser.add_argument("--every", type=int, default=1, help="every so manieth model of each population")
    parser.add_argument("--strict", action="store_true", help="captures by Dynamo")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    ratios = {}
    for population in given.only:
        for _, make in list(POPULATIONS[population]())[:: given.every]:
            model = make()
            spent: dict[str, list[float]] = {"torch": [], "reference": []}
            for number in range(given.rounds + 1):
                for who, export in (("torch", torch.export.export), ("reference", reference.export)):
                    took = seconds(export, model, number * FRAMES, given.strict)
                    if number:  # the first one warms up
                        spent[who].append(took)
            theirs, ours = mean(spent["torch"]), mean(spent["reference"])
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
