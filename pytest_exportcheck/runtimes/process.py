"""The handle of the child process: it is started when it is needed, killed when it hangs, and replaced when it ended."""

from __future__ import annotations

import inspect
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pytest_exportcheck.errors import RuntimeCrashed, RuntimeHung, RuntimeRaised, Unsupported
from pytest_exportcheck.runtimes.child import INPUTS, LOG, OUTPUTS, Start, receive, send
from pytest_exportcheck.runtimes.exchange import SharedFile, memory_folder
from pytest_exportcheck.runtimes.owned_folders import OwnedFolder, sweep
from pytest_exportcheck.runtimes.protocol import Runtime

#: Program of the child process. The folder in which it is started is not searched for modules.
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; "
    "from pytest_exportcheck.runtimes.child import Start, main; main(Start(**{start!r}))"
)

#: Seconds that the start of the process may take at least: it imports torch.
_START = 60.0

#: Lines of what a runtime printed that a message repeats, and the bytes in which they are looked for.
_LAST_LINES, _LAST_BYTES = 8, 4096

#: Seconds between two looks at a process that has not answered: another one, which it started, may keep its pipe open.
_LOOK = 0.5


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
    root
        The repository under test, from which the child imports nothing but the runtimes of hooks.
    """

    def __init__(self, *, timeout: float, threads: int, root: Path | None = None) -> None:
        self._timeout, self._threads, self._root = timeout, threads, root
        sweep()
        self._shared, self._scratch = OwnedFolder(memory_folder()), OwnedFolder()
        self._inputs, self._outputs = (
            SharedFile(self._shared.path / name, self._scratch.path) for name in (INPUTS, OUTPUTS)
        )
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
        self._shared.remove()
        self._scratch.remove()

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
        seconds = self._timeout if request else max(self._timeout, _START)
        try:
            if request:
                send(child.requests, request)
            ready = self._waits(child, seconds)
            answer = receive(child.answers) if ready else None
        except OSError:
            ready, answer = True, None
        except BaseException:  # a stopped item: its answer would be read as that to the next request
            self._kill()
            raise
        if answer is not None:
            return answer
        said = self._last_words()
        if not ready:
            self._kill()
            raise RuntimeHung(runtime, what, seconds, said)
        status = child.process.wait()
        self._kill()
        raise RuntimeCrashed(runtime, what, _ended(status), said)

    def _waits(self, child: _Child, seconds: float) -> bool:
        """Return True once there is an answer or the process has ended, False if that takes too long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            ended = child.process.poll() is not None
            ready, _, _ = select.select([child.answers], [], [], 0 if ended else min(_LOOK, left))
            if ready:
                return True
            if ended:
                raise BrokenPipeError("the process has ended")
        return False

    def _running(self) -> _Child:
        if self._child is None:
            self._child = self._started()
            self._exchange(self._child, None, "torch")
        return self._child

    def _started(self) -> _Child:
        to_child, from_parent = os.pipe()
        to_parent, from_child = os.pipe()
        scratch = self._scratch.path
        start = Start(
            parent=os.getpid(),
            requests=to_child,
            answers=from_child,
            shared=str(self._shared.path),
            scratch=str(scratch),
            threads=self._threads,
            root=str(self._root or ""),
        )
        code = _PROGRAM.format(path=[each for each in sys.path if each], start=asdict(start))
        with (scratch / LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=(to_child, from_child),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=scratch,
                env={**os.environ, "TMPDIR": str(scratch)},
                start_new_session=True,
            )
        os.close(to_child)
        os.close(from_child)
        child = _Child(process, os.fdopen(from_parent, "wb"), os.fdopen(to_parent, "rb"))
        weakref.finalize(child, _end, process)  # at exit at the latest
        return child

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.requests, child.answers):
            try:
                pipe.close()
            except BrokenPipeError:  # what was not sent yet is for a process that has ended
                pass
        _end(child.process)

    def _last_words(self) -> str:
        """Return the last lines of what the process printed."""
        log = self._scratch.path / LOG
        if not log.exists():
            return ""
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LAST_BYTES))
            text = file.read().decode(errors="replace")
        return "\n".join(text.strip().splitlines()[-_LAST_LINES:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has ended by itself
        pass
    process.wait()


def _ended(status: int) -> str:
    """Return how a process ended: by a signal or with an exit status."""
    if status >= 0:
        return f"exit status {status}"
    return f"signal {signal.Signals(-status).name}"
