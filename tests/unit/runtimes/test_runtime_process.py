"""The child process of the runtimes: what goes in and comes out, and what happens when it does not answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_exportcheck.errors import RuntimeCrashed, RuntimeHung, RuntimeRaised
from pytest_exportcheck.runtimes.owned_folders import sweep
from pytest_exportcheck.runtimes.process import RuntimeProcess


class Echo:
    """A runtime that returns its inputs, and obeys texts among them."""

    name = "echo"
    needs: tuple[str, ...] = ()
    extra = ""

    def compile(self, program: Any, folder: Path) -> Mapping[str, int]:
        return {}

    def load(self, folder: Path) -> Any:
        if not folder.exists():
            raise FileNotFoundError("no package here")
        return _obey


def _obey(inputs: Sequence[Any]) -> Sequence[Any]:
    match inputs[0]:
        case "abort":
            print("about to abort", flush=True)
            os.abort()
        case "exit":
            os._exit(3)
        case "leave":
            threading.Thread(target=time.sleep, args=(60,)).start()
            if os.fork() == 0:  # it keeps the pipes open
                time.sleep(60)
            os.abort()
        case "temporary":
            return [os.getcwd(), tempfile.mkdtemp()]
        case "sleep":
            print("sleeping", file=sys.stderr, flush=True)
            time.sleep(60)
        case "print":
            print("noise " * 10_000, flush=True)
            os.write(1, b"noise of C")
        case "raise":
            raise ValueError("no kernel for int8")
        case "add":
            inputs[1].add_(1)
        case "modules":
            return [name for name in sys.modules if name == "conftest" or name.startswith(("test_", "tests."))]
    return list(inputs)


@pytest.fixture(scope="module")
def process() -> Iterator[RuntimeProcess]:
    made = RuntimeProcess(timeout=60, threads=1)
    yield made
    made.close()


@pytest.fixture
def echo(process: RuntimeProcess, tmp_path: Path) -> RuntimeProcess:
    if not process.has("echo"):
        process.load(Echo(), tmp_path, "echo")
    return process


def called(process: RuntimeProcess, *inputs: Any) -> tuple[list[Any], list[Any]]:
    outputs, after, _ = process.call("echo", "echo", inputs, 0)
    return outputs, after


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 4),
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(3, 1).expand(3, 5),
        torch.randn(8)[::2],
        torch.randn(4, 3).t(),
        torch.randn(9)[4:],
        torch.tensor(2.0),
        torch.empty(0, 3),
        torch.tensor([True, False]),
        torch.tensor([1 + 2j]),
        torch.tensor([1 + 2j]).conj(),
        torch.tensor([1.5], dtype=torch.bfloat16),
        torch.tensor([float("nan"), float("inf")]),
        torch.tensor([2**62]),
    ],
    ids=lambda each: f"{each.dtype}{list(each.shape)}{each.stride()}",
)
def test_a_tensor_keeps_its_values_and_strides(echo: RuntimeProcess, tensor: torch.Tensor) -> None:
    (_, got), _ = called(echo, "", tensor)
    assert got.dtype == tensor.dtype
    assert got.stride() == tensor.stride()
    assert torch.equal(torch.nan_to_num(got), torch.nan_to_num(tensor))


def test_numbers_and_none_are_given_as_they_are(echo: RuntimeProcess) -> None:
    given = ["", 3, 1.5, True, None, float("inf"), 1 + 2j]
    assert called(echo, *given)[0] == given


def test_an_input_that_is_written_to_is_seen(echo: RuntimeProcess) -> None:
    tensor = torch.zeros(3)
    outputs, after = called(echo, "add", tensor)
    assert after[1].tolist() == [1, 1, 1]
    assert tensor.tolist() == [0, 0, 0], "only the caller writes back"
    assert outputs[1].tolist() == [1, 1, 1]


def test_what_a_runtime_prints_does_not_reach_the_messages(echo: RuntimeProcess) -> None:
    assert called(echo, "print", 1)[0] == ["print", 1]


def test_nothing_of_the_repo_is_imported_but_the_file_of_the_runtime(echo: RuntimeProcess) -> None:
    assert called(echo, "modules")[0] == [__name__]


def test_an_error_is_passed_on_and_the_package_stays_loaded(echo: RuntimeProcess) -> None:
    with pytest.raises(RuntimeRaised) as raised:
        called(echo, "raise")
    assert str(raised.value) == "echo raised at the call of its package: ValueError: no kernel for int8"
    assert echo.has("echo")


def test_an_error_of_load_is_passed_on(process: RuntimeProcess) -> None:
    with pytest.raises(RuntimeRaised) as raised:
        process.load(Echo(), Path("missing"), "other")
    assert str(raised.value) == "echo raised at the load of its package: FileNotFoundError: no package here"


def test_a_process_that_ends_or_hangs_is_named_and_replaced(tmp_path: Path) -> None:
    process = RuntimeProcess(timeout=60, threads=1)
    folders = [process._shared.path, process._scratch.path]
    said = []
    for order in ("abort", "exit", "sleep"):
        process.load(Echo(), tmp_path, "echo")
        process._timeout = 0.5 if order == "sleep" else 60
        with pytest.raises((RuntimeCrashed, RuntimeHung)) as raised:
            called(process, order)
        said.append(str(raised.value))
        assert not process.has("echo")
    assert said == [
        "echo ended its process at the call of its package (signal SIGABRT). It printed last:\nabout to abort",
        "echo ended its process at the call of its package (exit status 3).",
        "echo did not end the call of its package within 0.5 s (--exportcheck-runtime-timeout). It printed last:\nsleeping",
    ]
    process._timeout = 60
    folders += leaves_temporary_files(process, tmp_path)
    crashes_with_a_thread_and_a_process(process)
    is_stopped(process, tmp_path)
    process.close()
    assert [each for each in folders if each.exists()] == []


def leaves_temporary_files(process: RuntimeProcess, folder: Path) -> list[Path]:
    process.load(Echo(), folder, "echo")
    folders = [Path(each) for each in called(process, "temporary")[0]]
    assert [each.exists() for each in folders] == [True, True]
    return folders


def crashes_with_a_thread_and_a_process(process: RuntimeProcess) -> None:
    running = process._running().process.pid
    started = time.monotonic()
    with pytest.raises(RuntimeCrashed, match=r"\(signal SIGABRT\)"):
        called(process, "leave")
    assert time.monotonic() - started < 30, "the pipe that the other process keeps open is not waited for"
    assert left_of(running) == []


def is_stopped(process: RuntimeProcess, folder: Path) -> None:
    """Stop a call after its request: its answer must not be that to the next call."""

    class Stopped(BaseException):
        pass

    def stop(*_: Any) -> None:
        raise Stopped

    process.load(Echo(), folder, "echo")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(process, "_waits", stop)
        with pytest.raises(Stopped):
            called(process, "", 6)
    assert not process.has("echo")
    process.load(Echo(), folder, "echo")
    assert called(process, "", 7)[0] == ["", 7]


def left_of(group: int) -> list[str]:
    """Return the states of the processes of a group that do not end in 20 seconds."""
    deadline = time.monotonic() + 20
    while (found := members(group)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def members(group: int) -> list[str]:
    found = subprocess.run(["ps", "-e", "-o", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    states = [line.split() for line in found.splitlines()]
    return [state for number, state in states if int(number) == group and not state.startswith("Z")]


#: A process that waits for a package that hangs.
WAITS = """
from pathlib import Path

import test_runtime_process
from pytest_exportcheck.runtimes.process import RuntimeProcess

process = RuntimeProcess(timeout=600, threads=1)
process.load(test_runtime_process.Echo(), Path(), "echo")
print(process._running().process.pid, process._shared.path, process._scratch.path, flush=True)
process.call("echo", "echo", ["sleep"], 0)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "killed"])
def test_nothing_remains_of_a_process_that_is_interrupted(how: signal.Signals) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as waiting:
        assert waiting.stdout is not None
        child, *folders = waiting.stdout.readline().split()
        waiting.send_signal(how)
    assert left_of(int(child)) == []
    if how is signal.SIGKILL:
        assert [Path(each).exists() for each in folders] == [True, True]
        sweep()
    assert [Path(each).exists() for each in folders] == [False, False]
