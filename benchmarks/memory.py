"""Whether memory stays flat: the peak of a run over 10 cases and over 100, and what large weights add to it.

    python -m benchmarks.memory [FEW MANY]

Each run is a process of its own with the default modes, over cases of one size. The second figure is the peak over one case
with weights of 400 MB and without them, in multiples of the weights: the user's module and the plugin's copy make two.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

CASE = """
import torch
from pytest_exportcheck import export_case

class Net(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.one, self.two = torch.nn.Linear(64, width), torch.nn.Linear(width, 64)

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))
"""
ONE = """
@export_case(args=lambda: (torch.randn(2, 64),))
def net{number}():
    return Net({width})
"""
LARGE = 400 * 2**20 // (4 * 2 * 64)  # a width at which the two layers hold 400 MB


def peak(count: int, width: int, *options: str) -> float:
    """The peak resident memory in MB of a run over ``count`` cases."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "case_nets.py").write_text(CASE + "".join(ONE.format(number=n, width=width) for n in range(count)))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "--exportcheck",
            "-q",
            "-p",
            "no:cacheprovider",
            *options,
            "case_nets.py",
        ]
        measured = (
            "import resource, subprocess, sys; "
            "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
            "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        done = subprocess.run(
            [sys.executable, "-c", measured, *command], cwd=folder, capture_output=True, text=True, check=True
        )
    code, kilobytes = map(int, done.stdout.split())
    if code:
        raise SystemExit(f"the run over {count} cases failed with exit code {code}")
    return kilobytes / 2**10


def main(few: int = 10, many: int = 100) -> None:
    low, high = peak(few, 256), peak(many, 256)
    print(f"peak over {few} cases {low:.0f} MB, over {many} cases {high:.0f} MB: {high / low:.3f} times")
    small, large = peak(1, 256), peak(1, LARGE)
    print(
        f"peak over one case {small:.0f} MB, with 400 MB of weights {large:.0f} MB: {(large - small) / 400:.2f} times the weights"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
