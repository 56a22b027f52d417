"""ExecuTorch: a ``.pte`` file, called by the portable kernels or those of XNNPACK."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_exportcheck.runtimes.protocol import Fact, Loaded

_FILE, _WRITTEN = "model.pte", "written.json"


class ExecuTorch:
    """The runtime ``executorch``, with the portable kernels."""

    name = "executorch"
    needs = ("executorch",)
    extra = "executorch"

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
        from executorch.exir.passes.init_mutable_pass import InitializedMutableBufferPass

        lowered = to_edge_transform_and_lower(program, partitioner=self._partitioners())
        # Without the pass a buffer that forward changes begins as zeros: its value is not in the file.
        buffers = list(dict(program.named_buffers()))
        made = lowered.to_executorch(ExecutorchBackendConfig(passes=[InitializedMutableBufferPass(buffers)]))
        with (folder / _FILE).open("wb") as file:
            made.write_to_file(file)
        (folder / _WRITTEN).write_text(json.dumps(_written(made.exported_program().graph_signature)))
        return _delegation(lowered.exported_program().graph_module)

    def _partitioners(self) -> list[Any]:
        return []

    def load(self, folder: Path) -> Loaded:
        from executorch.runtime import Runtime, Verification

        program = Runtime.get().load_program(folder / _FILE, verification=Verification.Minimal)
        method = program.load_method("forward")
        written: list[int] = json.loads((folder / _WRITTEN).read_text())

        def call(inputs: Sequence[Any]) -> Sequence[Any]:
            outputs = list(method.execute(list(inputs)))
            for number in written:
                inputs[number].copy_(outputs.pop(0))
            return outputs

        return call


class ExecuTorchXnnpack(ExecuTorch):
    """The runtime ``executorch_xnnpack``."""

    name = "executorch_xnnpack"

    def _partitioners(self) -> list[Any]:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        return [XnnpackPartitioner()]


def _written(signature: Any) -> list[int]:
    """Return the numbers of the inputs whose new values are the first outputs."""
    inputs = list(signature.user_inputs)
    return [inputs.index(each) for each in signature.user_inputs_to_mutate.values()]


def _delegation(module: Any) -> dict[str, Fact]:
    """Count the nodes that a delegate runs, and the others."""
    from executorch.devtools.backend_debug import get_delegation_info

    found = get_delegation_info(module)
    return {"delegated nodes": found.num_delegated_nodes, "undelegated nodes": found.num_non_delegated_nodes}
