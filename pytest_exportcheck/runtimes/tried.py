"""The versions of runtimes with which this project was tried."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping

from pytest_exportcheck.runtimes.protocol import Runtime

#: Distribution -> its series (the first two numbers of a version) in which its tests were run.
TRIED: Mapping[str, tuple[str, ...]] = {
    "onnx": ("1.23",),
    "onnxscript": ("0.7",),
    "onnxruntime": ("1.32",),
    "executorch": ("1.5",),
    "openvino": ("2026.4",),
}


def untried(runtime: Runtime) -> Iterator[str]:
    """Yield a line for every distribution of a runtime that is installed in another version."""
    for name in runtime.needs:
        version = importlib.metadata.version(name)
        if name in TRIED and ".".join(version.split(".")[:2]) not in TRIED[name]:
            tried = ", ".join(f"{each}.*" for each in TRIED[name])
            yield (
                f"{name} {version} was never tried with this plugin (tried: {tried}). If a result of {runtime.name} looks wrong, "
                f"compare it with one of {name}=={TRIED[name][-1]}.*"
            )
