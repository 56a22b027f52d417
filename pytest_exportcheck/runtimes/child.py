"""The child process: loads packages and calls them. It imports torch and the runtimes only, nothing of the user's repo.

The other process speaks first. A message is a JSON object after its length in four bytes; tensors are in two shared
files, one for each direction. What a runtime prints goes into a log file.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import random
import signal
import struct
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pytest_exportcheck.errors import Unsupported
from pytest_exportcheck.runtimes.guarded_imports import ImportGuard

_LENGTH = struct.Struct("<I")

#: The request of Linux for a signal at the end of the parent, which no module of Python names.
_PR_SET_PDEATHSIG = 1

#: Files in the folder that both processes know.
INPUTS, OUTPUTS, LOG = "inputs", "outputs", "log"


def send(stream: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write a message."""
    content = json.dumps(message).encode()
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def receive(stream: BinaryIO) -> dict[str, Any] | None:
    """Read a message; None where the other process has ended."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    content = stream.read(length)
    return json.loads(content) if len(content) == length else None


def serve(requests: BinaryIO, answers: BinaryIO, server: _Server, folder: Path) -> None:
    """Read requests, and write the answers, until the other process ends. ``folder`` has the log."""
    from pytest_exportcheck.harness.isolation import type_name

    while (request := receive(requests)) is not None:
        printed_before = log_size(folder)
        try:
            answer = server.answer(request)
        except Unsupported as error:
            answer = {"unsupported": " ".join([str(error), *_first_line(folder, printed_before)])}
        except (Exception, SystemExit) as error:
            answer = {"error": type_name(type(error)), "text": str(error)}
        send(answers, answer)


def log_size(folder: Path) -> int:
    """Return the bytes that were printed."""
    log = folder / LOG
    return log.stat().st_size if log.exists() else 0


def _first_line(folder: Path, start: int) -> list[str]:
    """Return the first line that was printed after this many bytes, and is not about the CPU: a runtime prints the reason
    before its summary.
    """
    if log_size(folder) <= start:
        return []
    with (folder / LOG).open("rb") as log:
        log.seek(start)
        lines = log.read(4096).decode(errors="replace").strip().splitlines()
    return [f"({line.strip()})" for line in lines if line.strip() and "cpuinfo" not in line][:1]


class _Server:
    """The packages that are loaded, by name."""

    def __init__(self, start: Start, guard: ImportGuard) -> None:
        from pytest_exportcheck.runtimes.exchange import SharedFile

        self._inputs, self._outputs = (
            SharedFile(Path(start.shared) / name, Path(start.scratch)) for name in (INPUTS, OUTPUTS)
        )
        self._loaded: dict[str, Any] = {}
        self._guard = guard

    def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        started = time.perf_counter()
        match request["do"]:
            case "load":
                with self._guard.allowed():  # the module of the runtime may be in the repository
                    runtime = _runtime(*request["runtime"])
                self._loaded[request["package"]] = runtime.load(Path(request["folder"]))
                answer: dict[str, Any] = {}
            case "call":
                answer = self._call(request)
            case "drop":
                self._loaded.pop(request["package"], None)
                answer = {}
            case other:
                raise ValueError(f"unknown request {other!r}")
        return {**answer, "seconds": time.perf_counter() - started}

    def _call(self, request: Mapping[str, Any]) -> dict[str, Any]:
        import torch

        random.seed(request["seed"])
        torch.manual_seed(request["seed"])
        inputs = self._inputs.get(request["inputs"])
        with torch.no_grad():
            outputs = self._loaded[request["package"]](inputs)
        return {"outputs": self._outputs.put(list(outputs))}


def _runtime(module: str, name: str, file: str) -> Any:
    """Return a runtime by its class. One of a user is imported from its file, if no import finds its module."""
    try:
        found = importlib.import_module(module)
    except ImportError:
        spec = importlib.util.spec_from_file_location(module, file) if file else None
        if spec is None or spec.loader is None:
            raise
        found = importlib.util.module_from_spec(spec)
        sys.modules[module] = found
        spec.loader.exec_module(found)
    made: Any = found
    for part in name.split("."):
        made = getattr(made, part)
    return made()


@dataclass(frozen=True)
class Start:
    """The arguments of a child process. ``requests`` and ``answers`` are open pipes, ``shared`` is the folder of the
    shared files, ``scratch`` that of the log and of temporary files; ``root`` is the repository under test, empty for
    none.
    """

    parent: int
    requests: int
    answers: int
    shared: str
    scratch: str
    threads: int
    root: str


def main(start: Start) -> None:
    """Run the child process: what runtimes print goes into the log. It ends with the process that started it, and does
    not wait for threads of runtimes.
    """
    _end_with(start.parent)
    for pipe in (start.requests, start.answers):
        os.set_inheritable(pipe, False)
    log = os.open(Path(start.scratch) / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import torch

    os.ftruncate(log, 0)  # of warnings of torch's import
    torch.set_num_threads(start.threads)
    guard = ImportGuard(Path(start.root or start.scratch))
    sys.meta_path.insert(0, guard)
    with os.fdopen(start.requests, "rb") as reading, os.fdopen(start.answers, "wb") as writing:
        send(writing, {"ready": torch.__version__})
        serve(reading, writing, _Server(start, guard), Path(start.scratch))
    os.kill(os.getpid(), signal.SIGKILL)


def _end_with(parent: int) -> None:
    """End this process when another one ends, or on Linux its thread that started this one, also in the middle of a call
    that never returns.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before this line
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)
