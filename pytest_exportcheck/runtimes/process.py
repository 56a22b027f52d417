"""The handle of the child process: it is started when it is needed, killed when it hangs, and replaced when it ended."""

from __future__ import annotations

import inspect
import os
import select
import shutil
import signal
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pytest_exportcheck.errors import RuntimeCrashed, RuntimeHung, RuntimeRaised, Unsupported
from pytest_exportcheck.runtimes.child import INPUTS, LOG, OUTPUTS, receive, send
from pytest_exportcheck.runtimes.exchange import SharedFile, shared_folder
from pytest_exportcheck.runtimes.protocol import Runtime

#: Program of the child process. The folder in which it is started is not searched for modules.
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; "
    "from pytest_exportcheck.runtimes.child import main; main({requests}, {answers}, {folder!r}, {threads})"
)

#: Lines of what a runtime printed that a message repeats.
_LAST_LINES = 8


@dataclass(eq=False)
class _Child:
    """A running process and the pipes to it."""

    process: subprocess.Popen[bytes]
    requests: BinaryIO
    answers: BinaryIO
    loaded: set[str] = field(default_factory=set)


class RuntimeProcess:
    """The child process of one case.

    Parameters
    ----------
    timeout
        Seconds after which a load or a call counts as hanging.
    threads
        Threads of torch in the child.
    """

    def __init__(self, *, timeout: float, threads: int) -> None:
        self._timeout, self._threads = timeout, threads
        self._folder = shared_folder()
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)  # at exit at the latest
        self._inputs, self._outputs = SharedFile(self._folder / INPUTS), SharedFile(self._folder / OUTPUTS)
        self._child: _Child | None = None

    def load(self, runtime: Runtime, folder: Path, package: str) -> float:
        """Load a package as if for the first time, under a name. Return the seconds that it took.

        Raises
        ------
        RuntimeRaised, RuntimeCrashed, RuntimeHung
            Where the runtime raises an error, ends its process, or gives no answer in time.
        """
        kind = type(runtime)
        named = (kind.__module__, kind.__qualname__, inspect.getsourcefile(kind) or "")
        answer = self._ask({"do": "load", "runtime": named, "folder": str(folder), "package": package}, runtime.name)
        self._running().loaded.add(package)
        return float(answer["seconds"])

    def call(self, runtime: str, package: str, inputs: Sequence[Any], seed: int) -> tuple[list[Any], list[Any], float]:
        """Call a loaded package. Return its outputs, the inputs as they are after the call, and the seconds that it
        took. Tensors are in shared memory, and are overwritten by the next call.

        Raises
        ------
        RuntimeRaised, RuntimeCrashed, RuntimeHung
            As :meth:`load`.
        """
        said = self._inputs.put(inputs)
        answer = self._ask({"do": "call", "package": package, "inputs": said, "seed": seed}, runtime)
        return self._outputs.get(answer["outputs"]), self._inputs.get(said), float(answer["seconds"])

    def has(self, package: str) -> bool:
        """Return True if a package is loaded: the process that loaded it has not ended."""
        return self._child is not None and self._child.process.poll() is None and package in self._child.loaded

    def drop(self, package: str) -> None:
        """Drop a package, which is then no longer loaded."""
        if self.has(package):
            self._ask({"do": "drop", "package": package}, "")
            self._running().loaded.discard(package)

    def close(self) -> None:
        """End the process and remove the files."""
        self._kill()
        self._remove()

    # --- the process ------------------------------------------------------------------------

    def _ask(self, request: Mapping[str, Any], runtime: str) -> dict[str, Any]:
        child = self._running()
        answer = self._exchange(child, request, runtime)
        if "unsupported" in answer:
            raise Unsupported(answer["unsupported"])
        if "error" in answer:
            raise RuntimeRaised(runtime, str(request["do"]), answer["error"], answer["text"])
        return answer

    def _exchange(self, child: _Child, request: Mapping[str, Any] | None, runtime: str) -> dict[str, Any]:
        what = str(request["do"]) if request else "start"
        try:
            if request:
                send(child.requests, request)
            ready, _, _ = select.select([child.answers], [], [], self._timeout)
            answer = receive(child.answers) if ready else None
        except OSError:
            ready, answer = [child.answers], None
        if answer is not None:
            return answer
        said = self._last_words()
        if not ready:
            self._kill()
            raise RuntimeHung(runtime, what, self._timeout, said)
        status = child.process.wait()
        self._kill()
        raise RuntimeCrashed(runtime, what, _ended(status), said)

    def _running(self) -> _Child:
        if self._child is None:
            self._child = self._started()
            self._exchange(self._child, None, "torch")
        return self._child

    def _started(self) -> _Child:
        to_child, from_parent = os.pipe()
        to_parent, from_child = os.pipe()
        (self._folder / LOG).write_bytes(b"")
        code = _PROGRAM.format(
            path=[each for each in sys.path if each],
            requests=to_child,
            answers=from_child,
            folder=str(self._folder),
            threads=self._threads,
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=(to_child, from_child),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self._folder / LOG).open("ab"),
            cwd=self._folder,
            start_new_session=True,
        )
        os.close(to_child)
        os.close(from_child)
        return _Child(process, os.fdopen(from_parent, "wb"), os.fdopen(to_parent, "rb"))

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.requests, child.answers):
            try:
                pipe.close()
            except BrokenPipeError:  # what was not sent yet is for a process that has ended
                pass
        try:
            os.killpg(child.process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has ended by itself
            pass
        child.process.wait()

    def _last_words(self) -> str:
        """Return the last lines of what the process printed."""
        log = self._folder / LOG
        text = log.read_bytes()[-4096:].decode(errors="replace") if log.exists() else ""
        return "\n".join(text.strip().splitlines()[-_LAST_LINES:])


def _ended(status: int) -> str:
    """Return how a process ended: by a signal or with an exit status."""
    if status >= 0:
        return f"exit status {status}"
    return f"signal {signal.Signals(-status).name}"
