"""What a change costs: the default matrix of this checkout against that of another one.

    python -m benchmarks.against OTHER_CHECKOUT [--rounds N]

Both run in turns, each in a process of its own with one thread, over the same cases: supported cases of torch's exportdb and two
torchvision models. Figures are CPU seconds of the matrix without imports, as the ratio of this checkout to the other one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

CHILD = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
from benchmarks.sharing import cases_of, shared
cases = [*cases_of("exportdb:*"), *cases_of("torchvision:resnet18"), *cases_of("torchvision:squeezenet1_1")]
seconds = {}
shared(cases[0])  # what is imported at first use
for case in cases:
    before = time.process_time()
    shared(case)
    seconds[case.name] = time.process_time() - before
print(json.dumps(seconds))
"""


def seconds_of(checkout: Path) -> dict[str, float]:
    """CPU seconds of the default matrix, by case."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=checkout, env=environment, check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, help="the checkout to compare with")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    here = Path(__file__).parents[1]
    pairs = [(seconds_of(options.other.resolve()), seconds_of(here)) for _ in range(options.rounds)]
    totals = [sum(new.values()) / sum(old.values()) for old, new in pairs]
    cases = [median(new[name] / old[name] for old, new in pairs) for name in pairs[0][0] if name in pairs[0][1]]
    print(
        f"whole matrix: {median(totals):.3f} of the other checkout (rounds: {', '.join(f'{each:.3f}' for each in totals)})"
    )
    print(f"per case: median {median(cases):.3f}, most {max(cases):.3f}, over {len(cases)} cases")


if __name__ == "__main__":
    main()
