"""Programs spoiled at random, each by a seed: as JSON, as the plain values that a supplement may hold, as archives.

``spoil(sample, way, seed)`` gives a call that reads one of them.
"""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.fx.graph_module

from pytest_exportcheck import reference
from pytest_exportcheck.reference.pt2.archive import write_archive
from pytest_exportcheck.reference.pt2.convert.program import _digest, from_structures
from pytest_exportcheck.reference.pt2.json.codec import decode_program
from pytest_exportcheck.reference.pt2.program.from_plain import build_program
from tests.hostile.edits import spoiled
from tests.hostile.programs import Sample, samples
from tests.hostile.values import EVIL, hostile_value, pickled


def _text(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def _read_json(sample: Sample, data: bytes) -> Any:
    structures, _ = decode_program(data, where="file")
    return build_program(
        from_structures(structures), state=sample.state, constants=sample.constants, example_inputs=None
    )


def _as_json(sample: Sample, random: random.Random) -> Callable[[], Any]:
    """The structures; their supplement stays as it was, and is left out."""
    data = _text(spoiled(sample.tree, random))
    return lambda: _read_json(sample, data)


def _as_difference(sample: Sample, random: random.Random) -> Callable[[], Any]:
    """The supplement, with the checksum that goes with the structures."""
    tree = copy.deepcopy(sample.tree)
    supplement = tree.get("exportcheck") or {"version": 1, "difference": {"in": {"graph": {"in": {}}}}}
    supplement["difference"] = spoiled(supplement["difference"], random)
    tree["exportcheck"] = None
    supplement["of"] = _digest(decode_program(_text(tree), where="file")[0])
    tree["exportcheck"] = supplement
    data = _text(tree)
    return lambda: _read_json(sample, data)


def _as_plain(sample: Sample, random: random.Random) -> Callable[[], Any]:
    """What ``{"is": ...}`` in a supplement may say: any plain program."""
    plain = spoiled(sample.plain, random)
    return lambda: build_program(plain, state=sample.state, constants=sample.constants, example_inputs=None)


def _as_archive(sample: Sample, random: random.Random) -> Callable[[], Any]:
    records = dict(sample.records)
    for _ in range(random.choice((1, 1, 2))):
        name = random.choice(list(records))
        records[name] = _spoiled_record(records[name], random)
        if random.random() < 0.2:
            del records[random.choice(list(records))]
        if not records:
            break
    if random.random() < 0.1:
        records["exportcheck/example_structure.json"] = _text(hostile_value(random))
        records.setdefault("exportcheck/example_leaves.pt", pickled([torch.ones(2)]))
    file = io.BytesIO()
    write_archive(file, records)
    data = bytearray(file.getvalue())
    if random.random() < 0.1:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return lambda: reference.load(io.BytesIO(bytes(data)), extra_files={"a": ""})


def load(records: Mapping[str, bytes]) -> Any:
    file = io.BytesIO()
    write_archive(file, dict(records))
    file.seek(0)
    return reference.load(file)


def _spoiled_record(data: bytes, random: random.Random) -> bytes:
    try:
        return _text(spoiled(json.loads(data), random))
    except (ValueError, UnicodeDecodeError):
        pass
    kind = random.randrange(5)
    if kind == 0 or not data:
        return random.choice((b"", b"\0" * 100, b"cos\nsystem\n(S'true'\ntR.", _text(hostile_value(random)), EVIL))
    if kind == 1:
        return data[: random.randrange(len(data))]
    if kind == 2 and data[:2] == b"PK":
        return _inner(data, random)
    edited = bytearray(data)
    for _ in range(random.choice((1, 3, 20))):
        edited[random.randrange(len(edited))] = random.randrange(256)
    return bytes(edited)


def _inner(data: bytes, random: random.Random) -> bytes:
    """What ``torch.save`` wrote, with another pickle or other tensors in it."""
    after = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(after, "w") as archive:
            for name in before.namelist():
                record = bytearray(before.read(name))
                if record and (name.endswith("data.pkl") or random.random() < 0.2):
                    record[random.randrange(len(record))] = random.randrange(256)
                archive.writestr(name, bytes(record))
    except (zipfile.BadZipFile, UnicodeDecodeError):  # it was spoiled before
        return data[::-1]
    return after.getvalue()


WAYS: Mapping[str, Callable[[Sample, random.Random], Callable[[], Any]]] = {
    "json": _as_json,
    "difference": _as_difference,
    "plain": _as_plain,
    "archive": _as_archive,
}


def spoil(sample: str, way: str, seed: int) -> Callable[[], Any]:
    return WAYS[way](samples()[sample], random.Random(f"{sample} {way} {seed}"))
