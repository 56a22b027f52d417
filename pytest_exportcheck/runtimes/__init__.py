"""Runtimes: what people ship. A program is compiled or converted, and the result is loaded and called in a child process.

Each runtime is one file. ``child`` is what runs in the child process, and imports torch and the runtime only;
``process`` is its handle in this process, ``exchange`` how tensors go from one to the other, ``package`` what a stage
makes.
"""

from __future__ import annotations

from pytest_exportcheck.runtimes.protocol import Runtime


def reloads() -> dict[str, Runtime]:
    """Return the runtimes that save a program and load it in a fresh interpreter, by the name of the engine."""
    from pytest_exportcheck.runtimes.reload import ReferenceReload, TorchReload

    return {"torch": TorchReload(), "reference": ReferenceReload()}


def bundled() -> tuple[Runtime, ...]:
    """Return the runtimes of this project, whether what they need is installed or not."""
    from pytest_exportcheck.runtimes.aoti import Aoti
    from pytest_exportcheck.runtimes.executorch import ExecuTorch, ExecuTorchXnnpack
    from pytest_exportcheck.runtimes.onnx import Onnx
    from pytest_exportcheck.runtimes.openvino import OpenVino

    return (Aoti(), Onnx(), ExecuTorch(), ExecuTorchXnnpack(), OpenVino())
