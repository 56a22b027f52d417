"""The records of the programs in a file, as the checks compare them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from pytest_exportcheck.describe.plain_programs import plain_call_spec_of, plain_program_of
from pytest_exportcheck.errors import ArchiveError, SchemaError, SerializationError
from pytest_exportcheck.harness.tensors import facts_of, leaf_of, named_leaves, storage_key
from pytest_exportcheck.records import Leaf, ObjectValue, Record, StateEntry, StateRecord
from pytest_exportcheck.records.file_difference import SavedProgram
from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, chosen_program, names_of, program_text, programs_of
from pytest_exportcheck.reference.pt2.convert.program import from_structures, read_foreign_spec
from pytest_exportcheck.reference.pt2.json.codec import decode_program
from pytest_exportcheck.reference.pt2.payloads.config import CONSTANTS, WEIGHTS, Kind, decode_config, decode_extras
from pytest_exportcheck.reference.pt2.payloads.example_inputs import read_example
from pytest_exportcheck.reference.pt2.payloads.pickled_tables import pickled_payloads
from pytest_exportcheck.reference.pt2.payloads.restore import restore

#: Errors of a plain program whose parts do not have the form that they should have.
_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, eq=False, kw_only=True)
class ProgramFile:
    """A program of a file: who wrote it, its record, and the devices of its tensors, which are read to the CPU."""

    saved: SavedProgram
    record: Record


def read_program_file(path: Path, name: str = "") -> ProgramFile:
    """Read a program of a file. ``name`` chooses one of several.

    Raises
    ------
    ArchiveError
        Where the file cannot be read, is not a PT2 archive, or has no program of the name.
    SerializationError
        Where the program is damaged.
    """
    if path.exists() and not path.is_file():  # a pipe can be read only once, and may never end
        raise ArchiveError(f"{path} cannot be read: it is not a file. Name a .pt2 file.")
    try:
        archive = ArchiveReader(path)
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be read: {error.strerror or error}. Name a .pt2 file that can be read."
        ) from None
    return read_program(archive, name)


def read_program(archive: ArchiveReader, name: str = "") -> ProgramFile:
    """Read a program of an open archive, as :func:`read_program_file` does.

    Raises
    ------
    ArchiveError
        Where the archive has no program of the name, or is damaged.
    SerializationError
        Where the program is damaged.
    """
    only = len(programs_of(archive)) == 1  # of two files, one may have several
    chosen = chosen_program(archive, "" if only else name, "--program NAME")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = _read(archive, chosen)
    notes = (*found.saved.notes, *dict.fromkeys(str(each.message) for each in caught))
    return replace(found, saved=replace(found.saved, notes=notes))


def _read(archive: ArchiveReader, name: str) -> ProgramFile:
    where = f"{archive.label}: {programs_of(archive)[name]}"
    structures, _ = decode_program(program_text(archive, name), where=where)
    payloads = _Payloads.of(archive, name)
    examples, notes = _examples(archive, name)
    try:
        plain = from_structures(structures, read_foreign_spec)
        buffers = {each["target"] for each in plain["inputs"] if each["kind"] == "BUFFER"}
        program = plain_program_of(
            plain,
            constants={
                name: value
                for name, value in (*payloads.weights.items(), *payloads.constants.items())
                if isinstance(value, ObjectValue) or (name in payloads.constants and name not in buffers)
            },
            state=payloads.weights,
            examples=examples,
        )
        described = Record(
            observations=(),
            program=program,
            state=_state(plain, payloads),
            call_spec=plain_call_spec_of(plain),
        )
    except SerializationError as error:
        raise SchemaError(f"{where}: {error}") from error
    except _MALFORMED as error:
        raise SchemaError(
            f"{where}: the program contradicts itself ({type(error).__name__}: {error}). Save the program again."
        ) from error
    version = structures.schema_version
    saved = SavedProgram(
        file=archive.label,
        program=name,
        torch=structures.torch_version,
        schema=f"{version.major}.{version.minor}",
        opsets=dict(sorted(structures.opset_version.items())),
        nodes=sum(len(graph.nodes) for graph in program.graphs.values()),
        notes=notes,
    )
    return ProgramFile(saved=saved, record=described)


# --- tensors --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class _Payloads:
    """The tensors of a program, on the CPU. A value that is pickled is represented by a digest of its bytes."""

    weights: Mapping[str, Any]
    constants: Mapping[str, Any]
    devices: Mapping[str, str]

    @staticmethod
    def of(archive: ArchiveReader, model: str) -> _Payloads:
        old = pickled_payloads(archive, model, trust=False)
        if old is not None:
            return _Payloads(weights=old.weights, constants=old.constants, devices={})
        configs = {kind: _config(archive, kind, model) for kind in (WEIGHTS, CONSTANTS)}
        record = names_of(model).payloads
        extras = decode_extras(archive.read(record), f"{archive.label}: {record}") if record in archive else None
        restored = restore(archive, _on_cpu(configs[WEIGHTS]), _on_cpu(configs[CONSTANTS]), extras)
        for name, value in (*restored.weights.items(), *restored.constants.items()):
            _refuse_repeated(f"{archive.label}: {name}", value)
        pickles = {kind: _pickled(archive, kind, config) for kind, config in configs.items()}
        return _Payloads(
            weights={**restored.weights, **pickles[WEIGHTS]},
            constants={**restored.constants, **pickles[CONSTANTS]},
            devices={
                name: _device(payload.tensor_meta.device)
                for config in configs.values()
                for name, payload in config.config.items()
                if payload.tensor_meta is not None
            },
        )


#: Bytes of a tensor that may repeat the same few bytes of its storage without being refused.
_REPEATED = 1 << 28


def _refuse_repeated(where: str, value: Any) -> None:
    """Refuse a tensor that is far larger than its storage: all its elements are compared."""
    if isinstance(value, torch.Tensor) and _is_dense(value) and storage_key(value) is not None:
        needed, there = value.numel() * value.element_size(), value.untyped_storage().nbytes()
        if needed > max(_REPEATED, 64 * there):
            raise ArchiveError(
                f"{where} repeats the {there} bytes of its storage in {needed} bytes, which is too much to compare. "
                "Save the program again."
            )


def _config(archive: ArchiveReader, kind: Kind, model: str) -> schema.PayloadConfig:
    name = kind.config_record(model)
    if name not in archive:
        return schema.PayloadConfig(config={})
    return decode_config(archive.read(name), f"{archive.label}: {name}")


def _on_cpu(config: schema.PayloadConfig) -> schema.PayloadConfig:
    """Return the configuration without pickles, with every tensor on the CPU: this machine may lack its device."""
    cpu = schema.Device(type="cpu")
    readable = {
        name: payload
        if payload.tensor_meta is None or payload.tensor_meta.device.type == "meta"
        else msgspec.structs.replace(payload, tensor_meta=msgspec.structs.replace(payload.tensor_meta, device=cpu))
        for name, payload in config.config.items()
        if not payload.use_pickle
    }
    return schema.PayloadConfig(config=readable)


def _device(device: schema.Device) -> str:
    return device.type if device.index is None else f"{device.type}:{device.index}"


def _pickled(archive: ArchiveReader, kind: Kind, config: schema.PayloadConfig) -> dict[str, ObjectValue]:
    """Return the pickled values by a digest of their bytes: reading them might run code."""
    found = {}
    for name, payload in config.config.items():
        if payload.use_pickle:
            size, crc = archive.checksum(kind.folder + payload.path_name)
            found[name] = ObjectValue("a pickle", (Leaf("bytes", f"{size} bytes, CRC {crc:08x}"),))
    return found


def _state(plain: Mapping[str, Any], payloads: _Payloads) -> StateRecord:
    """Return the parameters and buffers. A name that views the same elements as another one is tied to it, since files
    of torch do not say which names are one tensor.
    """
    entries: dict[str, StateEntry] = {}
    views: dict[Any, str] = {}
    storages: dict[Any, str] = {}
    for spec in plain["inputs"]:
        name = spec["target"]
        value = payloads.weights.get(name, payloads.constants.get(name))
        if spec["kind"] not in ("PARAMETER", "BUFFER") or not isinstance(value, torch.Tensor):
            continue
        storage = storage_key(value) or ("", id(value))
        view = (storage, value.shape, value.stride(), value.storage_offset()) if _is_dense(value) else id(value)
        facts = facts_of(value)
        entries[name] = StateEntry(
            name=name,
            kind="parameter" if spec["kind"] == "PARAMETER" else "buffer",
            persistent=spec["kind"] == "PARAMETER" or bool(spec["persistent"]),
            value=value,
            facts=replace(facts, device=payloads.devices.get(name, facts.device)),
            tied_to=views.setdefault(view, name),
            shares_with=storages.setdefault(storage, name),
        )
    return StateRecord(entries, tuple(name for name in payloads.weights if name in entries))


def _is_dense(value: torch.Tensor) -> bool:
    return value.layout is torch.strided and not value.is_nested


def _examples(archive: ArchiveReader, name: str) -> tuple[tuple[Leaf, ...] | None, tuple[str, ...]]:
    """Return the leaves of the example inputs; where they cannot be read without code, a note that says so."""
    try:
        found = read_example(archive, names_of(name))
    except SerializationError as error:
        return None, (f"the example inputs are not compared: {error}",)
    if found is None:
        return None, ()
    leaves: Sequence[tuple[str, Any]] = [*named_leaves(found[0], "args"), *named_leaves(found[1], "kwargs")]
    return tuple(leaf_of(place, value, clone=False) for place, value in leaves), ()
