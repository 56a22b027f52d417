"""The C++ compiler that AOTInductor calls: what a package depends on, and what to say where it is missing or fails."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pytest_exportcheck.errors import CompilerFailed
from pytest_exportcheck.harness._torch import cpp_compiler, failed_compiler_command

#: Lines of the output of a compiler that a message repeats.
_LAST_LINES = 8

_EMPTY_PROGRAM = "int main() { return 0; }\n"

#: Seconds for a question to a compiler.
_SECONDS = 60


def compiler_facts() -> Mapping[str, str]:
    """Return the path, the version, and the size and the time of the file of the compiler: a script is edited in place."""
    command, _ = cpp_compiler()
    path = shutil.which(command) if command else None
    if path is None:
        return {"compiler": ""}
    found = Path(path).stat()
    status, said = _asked([path, "--version"])
    return {"compiler": f"{path} {found.st_size} {found.st_mtime_ns} {status} {said}"}


def missing_compiler() -> str:
    """Return what to do where torch finds no compiler; empty where it finds one."""
    command, looked = cpp_compiler()
    if command:
        return ""
    return (
        f"no working C++ compiler (torch looked for {', '.join(looked)}): install g++ or clang++, or set the environment variable "
        "CXX to one"
    )


def failed_compiler(runtime: str, error: Exception) -> CompilerFailed | None:
    """Return the error for a compiler that failed, with its last lines, and with what is at fault: the compiler, if it does
    not even compile an empty program, else the code that torch generated. None for another error.
    """
    found = failed_compiler_command(error)
    if found is None:
        return None
    command, said = found
    at_fault = (
        "it compiles an empty program, so the code that torch generated is at fault"
        if _compiles(command[0])
        else "it does not compile an empty program either: repair it, or set the environment variable CXX to another one"
    )
    return CompilerFailed(runtime, command[0], at_fault, "\n".join(said.strip().splitlines()[-_LAST_LINES:]))


def _compiles(command: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="exportcheck-") as folder:
        source = Path(folder, "empty.cpp")
        source.write_text(_EMPTY_PROGRAM)
        status, _ = _asked([command, str(source), "-o", str(source.with_suffix(""))])
    return status == 0


def _asked(command: list[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return -1, str(error)
    return done.returncode, done.stdout
