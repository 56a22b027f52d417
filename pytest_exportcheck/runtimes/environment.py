"""The rest of what a package depends on: the code and the versions of its compiler, the machine, and its settings."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from packaging.requirements import InvalidRequirement, Requirement

from pytest_exportcheck.harness import _torch
from pytest_exportcheck.harness.fingerprint import digest_of
from pytest_exportcheck.harness.process_state import global_modes
from pytest_exportcheck.runtimes.protocol import Runtime


@runtime_checkable
class Cacheable(Runtime, Protocol):
    """A runtime whose packages are kept for the next run."""

    def options(self) -> Mapping[str, str]:
        """Return, by name, all that ``compile`` depends on besides the program, the distributions of ``needs``, the file
        of the class, and the machine: settings, files, compilers.
        """


#: Environment variables that torch, the runtimes and C++ compilers read. Those of folders and logs change nothing.
_READ = re.compile(
    r"(TORCH|PYTORCH|AOT_?I|INDUCTOR|ATEN|ONNX|ORT_|OPENVINO|OV_|EXECUTORCH|ET_|XNN|OMP_|KMP_|MKL|ONEDNN|DNNL|"
    r"CXX|CC$|CFLAGS|CPPFLAGS|LDFLAGS|CPATH|C_INCLUDE|CPLUS_INCLUDE|LIBRARY_PATH|LD_LIBRARY|COMPILER_PATH|GCC_)"
)
_NOT_READ = frozenset({"TORCHINDUCTOR_CACHE_DIR", "TORCH_LOGS", "TORCH_TRACE", "TORCH_HOME"})


def environment_key(runtime: Cacheable) -> dict[str, str]:
    """Return a text for each part: two runs with the same texts compile the same program to the same package."""
    return {
        "runtime": runtime.name,
        "options": digest_of(f"{name}={value}" for name, value in sorted(runtime.options().items())),
        "code": digest_of(_code(type(runtime))),
        "versions": " ".join(f"{name} {version}" for name, version in versions_of(runtime.needs).items()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "plugin": _version("pytest-exportcheck") or "",
        "torch": f"{torch.__version__} {torch.version.git_version}",
        "machine": digest_of(_machine()),
        "modes": digest_of(f"{name}={value}" for name, value in _modes().items()),
        "variables": digest_of(f"{name}={value}" for name, value in sorted(os.environ.items()) if _is_read(name)),
    }


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of distributions and of all installed ones that they require, sorted by name."""
    found: dict[str, str] = {}
    left = list(names)
    while left:
        name = left.pop().lower().replace("_", "-")
        version = None if name in found else _version(name)
        if version is not None:
            found[name] = version
            left += _required(name)
    return dict(sorted(found.items()))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _required(name: str) -> Iterator[str]:
    for line in importlib.metadata.requires(name) or ():
        try:
            required = Requirement(line)
        except InvalidRequirement:  # an old distribution may write what no version of packaging reads
            continue
        if required.marker is None or required.marker.evaluate({"extra": ""}):
            yield required.name


def _code(kind: type) -> Iterator[str]:
    """Yield the source of the class of a runtime and of its bases; for those of this project, of the whole folder."""
    files = {Path(found) for each in kind.__mro__[:-1] if (found := inspect.getsourcefile(each))}
    own = Path(__file__).parent
    if any(file.parent == own for file in files):
        files |= {*own.glob("*.py"), Path(_torch.__file__)}
    for file in sorted(files):
        yield file.name
        yield file.read_text(errors="replace")


def _machine() -> Iterator[str]:
    """Yield the kind of the machine and of its CPU: AOTInductor compiles for the CPU that it runs on."""
    yield f"{platform.system()} {platform.machine()} {platform.libc_ver()} {torch.backends.cpu.get_cpu_capability()}"
    described = Path("/proc/cpuinfo")
    if not described.exists():
        yield platform.processor()
        return
    for line in described.read_text(errors="replace").partition("\n\n")[0].splitlines():
        if line.partition(":")[0].strip() in ("model name", "flags", "Features", "CPU part"):
            yield line


def _modes() -> Mapping[str, Any]:
    return {
        **global_modes(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "mkldnn": torch.backends.mkldnn.enabled,
    }


def _is_read(name: str) -> bool:
    return _READ.match(name) is not None and name not in _NOT_READ
