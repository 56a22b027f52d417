"""What the plugin costs a pytest run that does not ask for it: start-up with the plugin against ``-p no:exportcheck``.

The two are run in turn, in one process tree, on an empty test file; what is reported is the median of the paired
differences. Claim: below 10 ms. hypothesis's own plugin, which imports hypothesis in every run (0.8 s), is switched off in
both, so that its noise does not drown the figure.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 25
LIMIT_MS = 10.0


def seconds(folder: Path, *arguments: str) -> float:
    """Wall time of one pytest run on an empty test."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", *arguments]
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def differences(rounds: int = ROUNDS) -> tuple[list[float], list[float]]:
    """Times without the plugin, and the difference that the plugin makes, pair by pair, in seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_empty(): pass\n")
        seconds(folder), seconds(folder, "-p", "no:exportcheck")  # warm the caches
        pairs = [(seconds(folder, "-p", "no:exportcheck"), seconds(folder)) for _ in range(rounds)]
    return [without for without, _ in pairs], [with_ - without for without, with_ in pairs]


def main() -> int:
    """Print the figures; exit status 1 when the claim does not hold."""
    without, extra = differences()
    base, cost = statistics.median(without) * 1000, statistics.median(extra) * 1000
    print(f"start-up without the plugin: median {base:.0f} ms over {ROUNDS} rounds")
    print(f"the plugin adds: median {cost:.1f} ms ({cost / base:.1%}); claim: below {LIMIT_MS:.0f} ms")
    return int(cost >= LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
