"""The programs of golden folders: their bytes, which depend on the model only, and both readers."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck import reference
from pytest_exportcheck.difference.files import ProgramFile, read_program
from pytest_exportcheck.errors import GoldenError
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.records import Interval, ProgramRecord, SpecRecord
from pytest_exportcheck.records.golden import Interface
from pytest_exportcheck.records.programs import TensorValue
from pytest_exportcheck.reference.pt2.archive import ArchiveReader

_TRACE = "stack_trace"


class _NamedBytes(io.BytesIO):
    """Bytes with the name of a file, for messages."""

    name = ""


def saved(program: ExportedProgram, *, lines: bool = False) -> bytes:
    """Return the content of a file that ``torch.export.save`` writes. Without ``lines``, the program keeps no lines of
    code: they name folders of this machine, and change with every comment.

    Raises
    ------
    GoldenError
        When torch cannot save the program.
    """
    buffer = io.BytesIO()
    try:
        with preserved_globals(), quiet(), _without_lines(program if not lines else None):
            torch.export.save(program, buffer)
    except Exception as error:  # torch in its own words
        raise GoldenError(
            f"torch.export.save raises {type(error).__name__}: {_line(error)}. Leave the case out: -k."
        ) from error
    return buffer.getvalue()


def loaded_by_torch(content: bytes) -> ExportedProgram:
    """Load a program by torch; errors are torch's own."""
    with preserved_globals(), quiet():
        return torch.export.load(io.BytesIO(content))


def loaded_by_reference(content: bytes) -> ExportedProgram:
    """Load a program by the reference reader; errors are that reader's own."""
    with preserved_globals(), quiet():
        return reference.load(io.BytesIO(content))


def read_as_data(content: bytes, name: str) -> ProgramFile:
    """Read a program without running anything of it. ``name`` is the file in messages.

    Raises
    ------
    SerializationError
        When the file is damaged.
    """
    file = _NamedBytes(content)
    file.name = name
    return read_program(ArchiveReader(file))


def interface_of(program: ProgramRecord) -> Interface:
    """Return the parts of a program that its callers depend on."""
    values: Mapping[str, Any] = {node.name: node.val for node in program.graphs[""].nodes}
    constraints = program.constraints
    return Interface(
        inputs=tuple(_input(spec, values) for spec in program.signature.inputs),
        outputs=tuple(_output(spec, values) for spec in program.signature.outputs),
        ranges={name: _range(interval) for name, interval in sorted(constraints.ranges.items())},
        guards=tuple(sorted({" ".join(guard.split()) for guard in constraints.guards})),
    )


def _input(spec: SpecRecord, values: Mapping[str, Any]) -> str:
    name = spec.target or spec.name
    persistence = "" if spec.persistent is None else f" persistent={spec.persistent}"
    return f"{spec.kind} {name}{persistence}: {_value(spec, values)}"


def _output(spec: SpecRecord, values: Mapping[str, Any]) -> str:
    return f"{spec.kind}{f' {spec.target}' if spec.target else ''}: {_value(spec, values)}"


def _value(spec: SpecRecord, values: Mapping[str, Any]) -> str:
    value = values.get(spec.name)
    if isinstance(value, TensorValue):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    return spec.value or type(value).__name__


def _range(interval: Interval) -> str:
    return str(interval)


@contextmanager
def _without_lines(program: ExportedProgram | None) -> Iterator[None]:
    """Take the lines of code from the nodes of a program, and put them back afterwards."""
    taken = []
    for module in program.graph_module.modules() if program is not None else ():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            if _TRACE in node.meta:
                taken.append((node, node.meta))
                node.meta = {key: value for key, value in node.meta.items() if key != _TRACE}
    try:
        yield
    finally:
        for node, meta in taken:
            node.meta = meta


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
