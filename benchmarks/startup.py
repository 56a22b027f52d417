"""What the plugin costs a pytest run that does not ask for it: start-up with the plugin against ``-p no:exportcheck``.

The two are run in turn, on an empty test file. A round takes the fastest of a few runs of each, for a shared machine delays
single runs by more than what is measured; reported is the median over the rounds of the difference. Claim: below 10 ms.
hypothesis's own plugin, which imports hypothesis in every run (0.8 s), is switched off in both, so that its noise does not
drown the figure.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 15
RUNS = 4
LIMIT_MS = 10.0


def seconds(folder: Path, *arguments: str) -> float:
    """Wall time of one pytest run on an empty test."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", *arguments]
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def one_round(folder: Path) -> tuple[float, float]:
    """The fastest run without and with the plugin, in seconds, taken in turn."""
    pairs = [(seconds(folder, "-p", "no:exportcheck"), seconds(folder)) for _ in range(RUNS)]
    return min(without for without, _ in pairs), min(with_ for _, with_ in pairs)


def rounds(number: int = ROUNDS) -> list[tuple[float, float]]:
    """Some rounds on an empty test file, after one that warms the caches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_empty(): pass\n")
        one_round(folder)
        return [one_round(folder) for _ in range(number)]


def main() -> int:
    """Print the figures; exit status 1 when the claim does not hold."""
    pairs = rounds()
    base = statistics.median(without for without, _ in pairs) * 1000
    cost = statistics.median(with_ - without for without, with_ in pairs) * 1000
    print(f"start-up without the plugin: median {base:.0f} ms over {ROUNDS} rounds of {RUNS} runs each")
    print(f"the plugin adds: median {cost:.1f} ms ({cost / base:.1%}); claim: below {LIMIT_MS:.0f} ms")
    return int(cost >= LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
