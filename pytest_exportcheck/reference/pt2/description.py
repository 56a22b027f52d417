"""A description of the programs of a PT2 archive in lines of text: read, checked against the schema, never built or
run. Without torch.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from pytest_exportcheck.errors import ArchiveError
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, program_text, programs_of
from pytest_exportcheck.reference.pt2.archive.programs import OLD_CONSTANTS, OLD_STATE
from pytest_exportcheck.reference.pt2.json.codec import decode_program
from pytest_exportcheck.reference.pt2.json.fast import write_tagged
from pytest_exportcheck.reference.pt2.payloads.config import CONSTANTS, WEIGHTS
from pytest_exportcheck.reference.pt2.schema import (
    Argument,
    CustomObjArgument,
    ExportedProgram,
    InputSpec,
    InputToConstantInputSpec,
    OutputSpec,
    SymBoolArgument,
    SymFloatArgument,
    SymIntArgument,
    TensorArgument,
    TokenArgument,
    UserInputSpec,
    UserOutputSpec,
)

_MOST_TARGETS = 10


def described(path: Path) -> list[str]:
    """Describe every program of an archive: versions, signature, symbols, guards and nodes; then the size of its
    payloads.

    Raises
    ------
    ArchiveError
        When the file cannot be read, is not a PT2 archive, or holds no program.
    SchemaError
        When a program does not follow the schema.
    """
    try:
        archive = ArchiveReader(path)
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be read: {error.strerror or error}. Name a .pt2 file that can be read."
        ) from None
    return [*(line for name in programs_of(archive) for line in _program(archive, name)), *_payloads(archive)]


def _program(archive: ArchiveReader, name: str) -> Iterator[str]:
    record = programs_of(archive)[name]
    where = f"{archive.label}: {archive.root}/{record}" if archive.root else f"{archive.label}: {record}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program, _ = decode_program(program_text(archive, name), where=where)
    version, signature = program.schema_version, program.graph_module.signature
    yield where
    yield from (f"  warning: {each.message}" for each in caught)
    yield f"  schema {version.major}.{version.minor}, written by torch {program.torch_version}"
    yield f"  verifiers: {', '.join(program.verifiers) or 'none'}"
    yield from _specs("inputs", signature.input_specs)
    yield from _specs("outputs", signature.output_specs)
    yield f"  symbols: {len(program.range_constraints) or 'none'}"
    for symbol, bounds in program.range_constraints.items():
        yield f"    {symbol} in [{bounds.min_val}, {bounds.max_val}]"
    yield f"  guards: {len(program.guards_code) or 'none'}"
    yield from (f"    {guard}" for guard in program.guards_code)
    yield from _nodes(program)


def _nodes(program: ExportedProgram) -> Iterator[str]:
    nodes = program.graph_module.graph.nodes
    targets = Counter(node.target.removeprefix("torch.ops.") for node in nodes)
    yield f"  nodes: {len(nodes)} at top level"
    yield from (f"    {count:>4} {target}" for target, count in targets.most_common(_MOST_TARGETS))


def _specs(label: str, specs: Sequence[InputSpec] | Sequence[OutputSpec]) -> Iterator[str]:
    kinds = Counter(spec.tag for spec in specs)
    yield f"  {label}: " + (", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none")
    for spec in specs:
        if isinstance(spec.value, InputToConstantInputSpec):
            yield f"    {spec.tag} {spec.value.name} = {json.dumps(spec.value.value.value)}"
        elif isinstance(spec.value, (UserInputSpec, UserOutputSpec)):
            yield f"    {spec.tag} {_argument(spec.value.arg)}"


def _argument(argument: Argument) -> str:
    """Return the name of the value that an argument refers to, or the argument as JSON."""
    value = argument.value
    if isinstance(value, (SymIntArgument, SymFloatArgument, SymBoolArgument)) and value.tag == "as_name":
        return str(value.value)
    if isinstance(value, (TensorArgument, TokenArgument, CustomObjArgument)):
        return value.name
    return json.dumps(msgspec.to_builtins(argument, enc_hook=write_tagged))


def _payloads(archive: ArchiveReader) -> Iterator[str]:
    folders = (OLD_STATE, OLD_CONSTANTS) if archive.is_old else (WEIGHTS.folder, CONSTANTS.folder)
    raw = [name for name in archive.names if name.startswith(folders) and not name.endswith(".json")]
    yield f"  payloads: {len(raw)}, {sum(archive.checksum(name)[0] for name in raw)} bytes"
