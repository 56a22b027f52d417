"""Golden programs for tests: of a small module, and edited as another version of torch, or a user, may leave them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.golden.folder import CALLS, FACTS, PROGRAM, digest, version_name
from pytest_exportcheck.modes import GOLDEN, Mode
from pytest_exportcheck.records import Case, Finding, Origin, Outcome
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, write_archive
from pytest_exportcheck.run.case_runner import CaseRunner
from pytest_exportcheck.run.runner import Runner
from pytest_exportcheck.run.settings import GoldenSettings, Settings

VERSION = version_name(str(torch.__version__))
MODEL = "models/model.json"


class Head(torch.nn.Module):
    """Two outputs, a buffer that changes, and a size that must be even."""

    def __init__(self) -> None:
        super().__init__()
        self.out = torch.nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        torch._check(x.shape[0] % 2 == 0)
        self.calls.add_(1)
        return self.out(torch.relu(x)), x[: x.shape[0] // 2]


def head(build: Callable[[], torch.nn.Module] = Head, **options: Any) -> Case:
    """Return the case of the module."""
    given: dict[str, Any] = {
        "name": "Head",
        "build": build,
        "args": lambda: (torch.randn(4, 4),),
        "dynamic_shapes": ({0: torch.export.Dim.AUTO},),
        **options,
    }
    return Case(origin=Origin(__name__, __file__, 1), **given)


def runner(root: Path, *, update: bool = False, seed: int = 0) -> Runner:
    """Return a runner of golden programs in a folder."""
    engine = as_engine(TorchExport())
    return Runner({engine.name: engine}, threads=1, seed=seed, golden=GoldenSettings(root=root, update=update))


class Kept:
    """A case that is set up and captured once, and golden programs in the folder that ``root`` names."""

    def __init__(self, root: Path, case: Case) -> None:
        self.root = root
        engine = as_engine(TorchExport())
        golden = GoldenSettings(root=root)
        self._run = CaseRunner(case, Settings(seed=0, threads=1, engines={engine.name: engine}, golden=golden))

    def found(self, version: str = VERSION) -> list[Finding]:
        """Judge the golden program of a version."""
        return self._run.golden(Mode((version,))).findings


def judged(root: Path, case: Case, version: str = VERSION, *, update: bool = False, seed: int = 0) -> Outcome:
    """Judge a golden program, or write it."""
    return runner(root, update=update, seed=seed).run(case, GOLDEN, Mode((version,)))


def texts(findings: Iterable[Finding]) -> list[str]:
    """Return findings in short: check, place and field."""
    return [f"{each.check}: {each.place}: {each.field}" for each in findings]


def edit_facts(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change ``facts.json``."""
    facts = json.loads((folder / FACTS).read_bytes())
    change(facts)
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")


def with_digests(folder: Path) -> None:
    """Make the digests in ``facts.json`` those of the files: what is there counts as what was written."""
    digests = {name: digest((folder / name).read_bytes()) for name in (PROGRAM, CALLS)}
    edit_facts(folder, lambda facts: facts.update(files=digests))


def edit_calls(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change ``io.pt``."""
    stored = torch.load(folder / CALLS, weights_only=True)
    change(stored)
    buffer = io.BytesIO()
    torch.save(stored, buffer)
    (folder / CALLS).write_bytes(buffer.getvalue())
    with_digests(folder)


def edit_records(folder: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change the records of ``program.pt2``."""
    archive = ArchiveReader(folder / PROGRAM)
    records = {name: archive.read(name) for name in archive.names}
    change(records)
    write_archive(folder / PROGRAM, records)
    with_digests(folder)


def edit_model(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the JSON of the program in ``program.pt2``."""

    def changed(records: dict[str, bytes]) -> None:
        model = json.loads(records[MODEL])
        change(model)
        records[MODEL] = json.dumps(model).encode()

    edit_records(folder, changed)


def files_in(folder: Path) -> Mapping[str, bytes]:
    """Return every file below a folder, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
