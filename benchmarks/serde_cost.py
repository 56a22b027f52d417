"""What saving and loading cost, the reference reader and writer against torch's, in one run, in turns.

    python -m benchmarks.serde_cost [--rounds N] [--nodes N [N ...]]

A dynamic graph of many nodes (time), and one big weight (memory: how much a load adds to what is resident). Figures are CPU seconds of
one thread, the median of the rounds, and ratios to torch's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.export import Dim, ExportedProgram, export

from pytest_exportcheck import reference

MEBIBYTE = 2**20


class Long(torch.nn.Module):
    """As many nodes as asked for, all of a dynamic size, every sixteenth with a parameter of its own."""

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.nodes = nodes
        self.scales = torch.nn.ParameterList(torch.ones(8) for _ in range(nodes // 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number in range(self.nodes):
            x = x * self.scales[number // 16] if number % 16 == 0 and number // 16 < len(self.scales) else x.sin()
        return x


class Big(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(64 * MEBIBYTE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.weight[:1]


def long(nodes: int) -> ExportedProgram:
    return export(Long(nodes), (torch.ones(3, 8),), dynamic_shapes={"x": {0: Dim("b", min=2, max=64)}})


def seconds(call: Callable[[], Any]) -> float:
    before = time.thread_time()
    call()
    return time.thread_time() - before


def times(nodes: int, rounds: int) -> None:
    program = long(nodes)
    print(f"a dynamic graph of {len(program.graph.nodes)} nodes")
    with tempfile.TemporaryDirectory() as folder:
        files = {"torch": Path(folder, "torch.pt2"), "reference": Path(folder, "reference.pt2")}
        halves: dict[str, tuple[Callable[..., None], Callable[..., ExportedProgram]]] = {
            "torch": (torch.export.save, torch.export.load),
            "reference": (reference.save, reference.load),
        }
        spent: dict[str, list[float]] = {f"{who} {what}": [] for who in halves for what in ("save", "load")}
        for _ in range(rounds):
            for who, (save, load) in halves.items():
                spent[f"{who} save"].append(seconds(partial(save, program, files[who])))
                spent[f"{who} load"].append(seconds(partial(load, files[who])))
        for what in ("save", "load"):
            ours, torchs = median(spent[f"reference {what}"]), median(spent[f"torch {what}"])
            print(f"  {what}: torch {torchs:.2f} s, reference {ours:.2f} s, {ours / torchs:.2f} of torch's")
        sizes = {who: path.stat().st_size for who, path in files.items()}
        print(f"  file: torch {sizes['torch']:,} bytes, reference {sizes['reference']:,}")


def resident(who: str, path: str) -> None:
    """In a process of its own: what loading adds to the resident memory, in MiB."""

    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    load = torch.export.load if who == "torch" else reference.load
    warm = export(torch.nn.ReLU(), (torch.ones(2),))
    with tempfile.TemporaryDirectory() as folder:
        torch.export.save(warm, Path(folder, "warm.pt2"))
        load(Path(folder, "warm.pt2"))
    before = pages()
    kept = load(path)
    added = (pages() - before) * os.sysconf("SC_PAGESIZE") / MEBIBYTE
    print(f"  {who}: {added:.0f} MiB resident after loading {len(kept.state_dict)} weight")


def memory() -> None:
    print("one weight of 256 MiB")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "big.pt2")
        reference.save(export(Big(), (torch.ones(1),)), path)
        for who in ("torch", "reference"):
            subprocess.run([sys.executable, "-m", "benchmarks.serde_cost", "--resident", who, str(path)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1_000, 5_000, 20_000])
    parser.add_argument("--resident", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.resident:
        resident(*given.resident)
        return
    for nodes in given.nodes:
        times(nodes, given.rounds)
    memory()


if __name__ == "__main__":
    main()
