"""ExecuTorch: a ``.pte`` file, called by the portable kernels or those of XNNPACK."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pytest_exportcheck.errors import Unsupported
from pytest_exportcheck.harness._torch import runner_of_executorch
from pytest_exportcheck.harness.internal import call_foreign
from pytest_exportcheck.runtimes.protocol import Fact, Loaded

_FILE, _WRITTEN = "model.pte", "written.json"


class ExecuTorch:
    """The runtime ``executorch``, with the portable kernels."""

    name = "executorch"
    needs = ("executorch",)
    extra = "executorch"

    def options(self) -> Mapping[str, str]:
        return {}

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
        from executorch.exir.passes.init_mutable_pass import InitializedMutableBufferPass

        try:
            lowered = call_foreign(partial(to_edge_transform_and_lower, program, partitioner=self._partitioners()))
        except Exception as error:
            raise _unsupported(error) or error from None
        # Without the pass a buffer that forward changes begins as zeros: its value is not in the file.
        buffers = list(dict(program.named_buffers()))
        try:
            config = ExecutorchBackendConfig(passes=[InitializedMutableBufferPass(buffers)])
            made = call_foreign(lowered.to_executorch, config)
        except RuntimeError as error:
            raise _unsupported(error) or error from None
        with (folder / _FILE).open("wb") as file:
            made.write_to_file(file)
        (folder / _WRITTEN).write_text(json.dumps(_written(made.exported_program().graph_signature)))
        return _delegation(lowered.exported_program().graph_module)

    def _partitioners(self) -> list[Any]:
        return []

    def load(self, folder: Path) -> Loaded:
        with _refusals_named():
            run = runner_of_executorch(str(folder / _FILE))
        written: list[int] = json.loads((folder / _WRITTEN).read_text())

        def call(inputs: Sequence[Any]) -> Sequence[Any]:
            with _refusals_named():
                outputs = run(tuple(inputs))
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


#: Words of the errors for an operator that has no kernel, and for a size without an upper bound.
_REFUSALS = ("is not in Core ATen opset", "Missing out variants", "Cannot evaluate a finite upper bound")

#: The numbers of the errors NotSupported, NotImplemented, InvalidArgument, InvalidType and OperatorMissing.
_CODE = re.compile(r"error:? 0x:?1[0-4]\b")


@contextmanager
def _refusals_named() -> Iterator[None]:
    """Raise Unsupported for a missing kernel, or one that does not take its arguments."""
    try:
        yield
    except RuntimeError as error:
        if _CODE.search(str(error)):
            raise Unsupported(str(error)) from None
        raise


def _unsupported(error: Exception) -> Unsupported | None:
    """Return the words of ExecuTorch, if it has no kernel for an operator."""
    lines = str(error).strip().splitlines()
    said = next((line for line in lines if any(each in line for each in _REFUSALS)), "")
    return Unsupported(said.strip(' "')) if said else None


def _written(signature: Any) -> list[int]:
    """Return the numbers of the inputs whose new values are the first outputs."""
    inputs = list(signature.user_inputs)
    return [inputs.index(each) for each in signature.user_inputs_to_mutate.values()]


def _delegation(module: Any) -> dict[str, Fact]:
    """Count the nodes that a delegate runs, and the others."""
    from executorch.devtools.backend_debug import get_delegation_info

    found = get_delegation_info(module)
    return {"delegated nodes": found.num_delegated_nodes, "undelegated nodes": found.num_non_delegated_nodes}
