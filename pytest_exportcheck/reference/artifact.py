"""A program as bytes, without an archive: the reference counterparts of torch's ``serialize``, ``deserialize`` and
``canonicalize``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch.export import ExportedProgram

from pytest_exportcheck.reference.pt2.canonical import canonicalize as canonical_structures
from pytest_exportcheck.reference.pt2.json.codec import decode_program, encode_program
from pytest_exportcheck.reference.pt2.payloads.pickles import dumped, loaded
from pytest_exportcheck.reference.pt2.program_file import program_json, program_of, read_text


@dataclass(frozen=True)
class SerializedArtifact:
    """A program as bytes: ``exported_program`` is its JSON; the other fields are what ``torch.save`` makes of its
    tensors and its example inputs, empty where there are none.
    """

    exported_program: bytes
    state_dict: bytes = b""
    constants: bytes = b""
    example_inputs: bytes = b""


def serialize(exported_program: ExportedProgram, opset_version: Mapping[str, int] | None = None) -> SerializedArtifact:
    """Return the program as bytes, without an archive around them.

    Parameters
    ----------
    exported_program
        Any program; it is not modified.
    opset_version
        Operator namespace -> version, for namespaces other than ``aten``.

    Raises
    ------
    UnsupportedError
        For a program that no file can hold: which node, and what to do.
    """
    return SerializedArtifact(
        program_json(exported_program, opset_version),
        dumped(dict(exported_program.state_dict)),
        dumped(dict(exported_program.constants)),
        dumped(exported_program.example_inputs) if exported_program.example_inputs is not None else b"",
    )


def deserialize(
    artifact: Any, expected_opset_version: Mapping[str, int] | None = None, *, trust: bool = False
) -> ExportedProgram:
    """Return the program of an artifact.

    Parameters
    ----------
    artifact
        The result of :func:`serialize`, or that of torch's ``serialize``.
    expected_opset_version
        Operator namespace -> the newest known version. A program with a newer one is read with a warning.
    trust
        Whether pickles that the weights-only unpickler refuses may be read, which may run code from the artifact.

    Raises
    ------
    SchemaError
        For JSON that does not follow the schema: where, expected, got.
    PayloadError
        For a pickle that may run code.
    UnsupportedError
        For an operator or a class that does not exist here.
    """
    return program_of(
        read_text(artifact.exported_program, "artifact.exported_program", expected_opset_version),
        state=_unpickled(artifact.state_dict, "state_dict", trust) or {},
        constants=_unpickled(artifact.constants, "constants", trust) or {},
        example_inputs=_unpickled(artifact.example_inputs, "example_inputs", trust),
    )


def canonicalize(exported_program: Any) -> Any:
    """Return the canonical form of a program's JSON or of its structures.

    Programs that differ in names, in the order of state in the signature, or in the order of nodes that do not depend
    on each other have one canonical form. The form is made for comparisons: it leaves out what only the supplement
    holds.

    Parameters
    ----------
    exported_program
        The JSON bytes of :func:`serialize`, or the structures of the reference schema. The result is of the same type.

    Raises
    ------
    SchemaError
        For JSON that does not follow the schema: where, expected, got.
    """
    if isinstance(exported_program, ExportedProgram):
        raise TypeError(
            "canonicalize takes a serialized program, got an ExportedProgram. Pass serialize(program).exported_program."
        )
    if isinstance(exported_program, bytes):
        structures, _ = decode_program(exported_program, where="exported_program")
        return encode_program(canonical_structures(structures))
    return canonical_structures(exported_program)


def _unpickled(data: bytes, what: str, trust: bool) -> Any:
    return loaded(data, f"artifact.{what}", trust) if data else None
