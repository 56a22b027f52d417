"""C++ classes and operators of our own: compiled once for a machine, and registered with fakes."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

SOURCE = Path(__file__).with_name("script_objects.cpp")
COMPILER = shutil.which("g++") or shutil.which("c++")

needs_compiler = pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux", reason="a script object of our own needs a C++ compiler on Linux"
)


def library() -> Path:
    """The compiled classes. The path depends on the source and on torch; workers that need it at once wait for one."""
    import fcntl

    key = hashlib.sha256(SOURCE.read_bytes() + f"{torch.__version__} {torch.__file__} {COMPILER}".encode()).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"exportcheck-script-objects-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    made = folder / f"{key[:16]}.so"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            part = made.with_suffix(".part")
            root = Path(torch.__file__).parent
            include = [f"-I{root}/include", f"-I{root}/include/torch/csrc/api/include"]
            link = [f"-L{root}/lib", "-ltorch", "-ltorch_cpu", "-lc10"]
            command = [str(COMPILER), "-O0", "-shared", "-fPIC", "-std=c++20", *include, str(SOURCE), "-o", str(part)]
            subprocess.run([*command, *link], check=True)
            part.replace(made)
    return made


@functools.cache
def load() -> None:
    """Make ``torch.classes.exportcheck_test`` and ``torch.ops.exportcheck_test`` in this process."""
    torch.ops.load_library(library())
    torch._library.register_fake_class("exportcheck_test::Pair")(FakePair)  # type: ignore[attr-defined]  # no explicit export
    torch._library.register_fake_class("exportcheck_test::Queue")(FakeQueue)  # type: ignore[attr-defined]  # no explicit export
    torch.library.register_fake("exportcheck_test::scaled")(lambda pair, x: torch.empty_like(x))
    torch.library.register_fake("exportcheck_test::push")(lambda queue, x: queue.push(x))
    torch.library.register_fake("exportcheck_test::pop")(lambda queue: queue.pop())


class FakePair:
    def __init__(self, x, y):
        self.x, self.y = x, y

    @classmethod
    def __obj_unflatten__(cls, flat):
        return cls(**dict(flat))

    def sum(self):
        return self.x + self.y

    def apply(self, t):
        return t * self.x + self.y


class FakeQueue:
    def __init__(self, items):
        self.items = items

    @classmethod
    def __obj_unflatten__(cls, flat):
        return cls(**dict(flat))

    def push(self, t):
        self.items.append(t)

    def pop(self):
        return self.items.pop(0)

    def size(self):
        return len(self.items)
