"""Programs spoiled at random, each by a seed: as JSON, as the plain values that a supplement may hold, as archives.

``spoil(sample, way, seed)`` gives a call that reads one of them, :class:`Watched` says what reading it did.
"""

from __future__ import annotations

import ast
import copy
import io
import json
import random
import signal
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.fx.graph_module
import torch.utils._pytree as pytree
from torch.export import Dim, export

from pytest_exportcheck import reference
from pytest_exportcheck.errors import ExportcheckError, SchemaWarning, SerializationWarning
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, write_archive
from pytest_exportcheck.reference.pt2.convert.program import _digest, from_structures
from pytest_exportcheck.reference.pt2.json.codec import decode_program
from pytest_exportcheck.reference.pt2.program.from_plain import build_program

# --- the programs -------------------------------------------------------------------------------


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


@dataclass
class Boxed:
    inner: torch.Tensor
    more: Any = None


pytree._register_namedtuple(Pair, serialized_type_name="hostile_files.Pair")
pytree.register_dataclass(Boxed, serialized_type_name="hostile_files.Boxed")


class Module(torch.nn.Module):
    def __init__(self, forward: Callable[..., Any], **buffers: torch.Tensor) -> None:
        super().__init__()
        self._call = forward
        self.layer = torch.nn.Linear(2, 2)
        self.tied = torch.nn.Linear(2, 2)
        self.tied.weight = self.layer.weight
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=name != "passing")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(self, *args, **kwargs)


def _derived(self: Any, x: Any, y: Any) -> Any:
    return x[1:] + y, x.shape[0] * 2


def _unbacked(self: Any, x: Any) -> Any:
    count = x.sum().item()
    torch._check(count >= 2)
    torch._check(count <= 90)
    return torch.zeros(count) + 1, x.nonzero()


def _branches(self: Any, x: Any) -> Any:
    return torch.cond(x.sum() > 0, lambda a: (a.sin(), a + 1), lambda a: (a.cos(), a * 2), (x,))


def _stateful(self: Any, x: Any) -> Any:
    self.calls.add_(1)
    return self.tied(self.layer(x)) + self.calls + self.passing + torch.tensor([1.0, 2.0])


def _classes(self: Any, x: Any, *, scale: float = 2.0, mode: str = "up") -> Any:
    values, indices = x.first.max(dim=0)
    return Boxed(values * scale, {"pair": Pair(indices, x.second)}), [len(mode), None]


def _sparse(self: Any, x: Any) -> Any:
    return x * 2, x.to_dense()


class Kept(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(2, 2)

    def forward(self, x: Any) -> Any:
        return self.inner(x).relu()


ONES = torch.ones(2, 2)
ROWS = Dim("rows", min=3, max=64)


def _programs() -> Iterator[tuple[str, torch.export.ExportedProgram]]:
    shapes = {"args": ({0: ROWS}, {0: ROWS - 1})}
    yield "derived", export(Module(_derived), (torch.ones(5), torch.ones(4)), dynamic_shapes=shapes)
    yield "unbacked", export(Module(_unbacked), (torch.tensor([2, 1]),))
    yield "branches", export(Module(_branches), (ONES,), dynamic_shapes={"args": ({0: Dim("b")},)})
    stateful = Module(_stateful, calls=torch.zeros(()), passing=torch.ones(2))
    yield "stateful", export(stateful, (ONES,))
    yield "lowered", export(stateful, (ONES,)).run_decompositions()
    yield "classes", export(Module(_classes), (Pair(ONES, ONES[0]),), {"scale": 3.0, "mode": "down"})
    yield "sparse", export(Module(_sparse), (ONES.to_sparse(),))
    kept = export(Kept(), (ONES,), preserve_module_call_signature=("inner",))
    kept.graph_module.meta["custom"] = {"note": (1, 2)}
    list(kept.graph.nodes)[-2].meta["custom"] = {"pair": (1, {2: {3}}), "at": slice(1, 2), "of": torch.float32}
    yield "kept", kept


@dataclass(frozen=True)
class Sample:
    """A saved program: its records, its JSON, its plain value, and the tensors of its tables."""

    records: Mapping[str, bytes]
    tree: Any
    plain: Any
    state: Mapping[str, Any]
    constants: Mapping[str, Any]


@cache
def samples() -> dict[str, Sample]:
    made = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, program in _programs():
            for writer, save in (("ours", reference.save), ("torch", torch.export.save)):
                file = io.BytesIO()
                try:
                    save(program, file)
                except Exception:  # torch's writer cannot save each of them
                    continue
                made[f"{name}-{writer}"] = _sample(file, program)
    return made


def _sample(file: io.BytesIO, program: Any) -> Sample:
    file.seek(0)
    archive = ArchiveReader(file)
    records = {name: archive.read(name) for name in archive.names}
    data = records["models/model.json"]
    plain = from_structures(decode_program(data, where="sample")[0])
    return Sample(records, json.loads(data), plain, dict(program.state_dict), dict(program.constants))


# --- spoiling -----------------------------------------------------------------------------------

CALL = "hostile_canary()"
_NAMES = (
    "add",
    "x",
    "args_0",
    "relu",
    "output",
    "self",
    "torch",
    "layer.weight",
    "true_graph_0",
    "forward",
    "",
    "None",
)
_TEXTS = (
    *_NAMES,
    CALL,
    f"x={CALL}",
    f"a\r{CALL}\n{CALL}\r\n#",
    f'a"); {CALL}; ("',
    f"a'); {CALL}; ('",
    f"*a, b={CALL}",
    "__class__.__init__",
    "from",
    "é",
    "\ud800",
    "a\0b",
    "x" * 5000,
    "os:system",
    "builtins:eval",
    "torch:nn",
    "torch.fx.graph_module:GraphModule",
    "antigravity:x",
    "torch.ops.aten.from_file.default",
    "torch.ops.aten.set_.source_Tensor",
    "torch.ops.aten._assert_async.msg",
    "torch.ops.aten._assert_scalar.default",
    "torch.ops.higher_order.cond",
    "torch.ops.higher_order.while_loop",
    "torch.ops.higher_order.print",
    "torch.ops.aten.sym_size.int",
    "torch.ops.load_library.x",
    "_operator.getitem",
    "_operator.add",
    "math.floor",
    "torch.sym_sum",
    "builtins.eval",
    "Symbol('s0', positive=True, integer=True)",
    "Symbol('u0', integer=True)",
    "Symbol('s0')",
    "Mul(Integer(3), Symbol('s77', positive=True, integer=True))",
    "Pow(Symbol('s77', positive=True, integer=True), Integer(500))",
    "FloorDiv(Integer(1), Integer(0))",
    "Eq(Symbol('u0', integer=True), Integer(3))",
    "And(Eq(Symbol('s77', positive=True, integer=True), Integer(3)), true)",
    "Float('1.5', precision=53)",
    "zoo",
    "int_oo",
    "nan",
    "cuda",
    "cuda:99",
    "meta",
    "privateuseone:0",
    "xla",
    "mps",
    "cpu:-1",
    "float32",
    "os",
    "nn",
    "sparse_csr",
    "jagged",
    "../../up",
    "weight_0",
    '[1, {"type": "builtins.tuple", "context": "null", "children_spec": []}]',
    '[1, {"type": "collections.defaultdict", "context": {"default_factory_module": "os", "default_factory_name": "system", "dict_context": []}, "children_spec": []}]',
    '[1, {"type": "hostile_files.Boxed", "context": "[[\\"inner\\"], [\\"gone\\"]]", "children_spec": [{"type": null, "context": null, "children_spec": []}]}]',
    '{"__enum__": true, "fqn": "os:system", "name": "x"}',
    "TRAINING",
    "ATEN",
    "1e999",
    f"L['x'].size()[0] == {CALL}",
)
_NUMBERS = (0, 1, -1, 2, 7, 8, 20, 10**6, 2**31, 2**53, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e300)
_WORDS = ("NaN", "Infinity", "-Infinity")
#: Plain values by tag, of content that fits or almost.
_TAGGED: Mapping[str, tuple[Any, ...]] = {
    "int": ("7", "9" * 400, "9" * 9000, "-1", "x"),
    "float": ("nan", "inf", "x", "1e400"),
    "node": _NAMES,
    "tuple": ([], [1, 2], [[1], {"tuple": [1]}]),
    "dict": ([], [["a", 1]], [["a b", 1]], [[[1], 1]], [[1]]),
    "odict": ([["a", 1]],),
    "defaultdict": (["list", []], ["eval", []], ["list", [["a", 1]]]),
    "set": ([1, 2], [[1]], [{"dict": []}]),
    "frozenset": ([1, 2],),
    "sym_int": (["Symbol('s0', positive=True, integer=True)", 4], ["Symbol('u9', integer=True)", None], ["zoo", 1]),
    "sym_float": (["Symbol('zf0', real=True)", 1.5], ["Symbol('zuf0')", None]),
    "sym_bool": (["Eq(Symbol('u0', integer=True), Integer(3))", None], ["Integer(3)", None], ["true", None]),
    "size": ([1, 2], ["a"], [10**18, 10**18]),
    "dtype": ("float32", "os", "nn", "quint8", "bits8", "strided"),
    "layout": ("strided", "sparse_csr", "jagged", "_mkldnn"),
    "memory_format": ("contiguous_format", "x"),
    "device": ("cpu", "meta", "cuda", "cuda:3", "xla:0", "cpu:99999999999", "x"),
    "complex": ([1, 2], [1], ["1", 2]),
    "slice": ([1, 2, 3], [1]),
    "range": ([0, 10**12, 1], [0, 10**30, 1], [1, 2, 0], [3]),
    "ellipsis": (True,),
    "bytes": ("AAAA", "é", "A"),
    "node_source": (
        {},
        {"name": CALL, "target": CALL, "graph_id": 1, "pass_name": "p", "action": ["create"], "from_node": []},
        None,
    ),
    "path_key": (["SequenceKey", 1], ["MappingKey", CALL], ["GetAttrKey", "__class__"], ["eval", 1]),
    "argument": (["TensorArgument", "x"], ["SymIntArgument", 3], ["ConstantArgument", "x", 1], ["x", "x"], []),
    "custom_object": (["x", "os.system"], ["x"], ["x", "y", 3]),
    "bounds": (["Integer(1)", "int_oo"], ["int_oo", "Integer(1)"], ["Symbol('s0')", "true"]),
    "expression": ("Symbol('s0', positive=True, integer=True)", "Integer(3)"),
    "return_type": (["max", [1, 2]], ["max", [1]], ["eval", []]),
    "namedtuple": (["hostile_files:Pair", [1, 2]], ["os:stat_result", [1]], ["sys:flags", []], ["os:system", []]),
    "record": (
        ["torch.export.dynamic_shapes:_DimHint", [1, 2, 3, 4]],
        ["torch.distributed._mesh_layout:_MeshLayout", [1, 2]],
        ["torch.fx.graph:PythonCode", [CALL, {"global": "os:system"}, None, 0]],
        ["os:system", []],
    ),
    "tensor": (
        {"dtype": "float32", "shape": [2], "device": "cpu", "stride": [1]},
        {"dtype": "float32", "shape": [10**15], "device": "cpu", "stride": [1]},
        {"dtype": "float32", "shape": [2**62, 2**62], "device": "cpu", "stride": [1, 1]},
        {"dtype": "float32", "shape": [-1], "device": "cpu", "stride": [-1]},
        {"dtype": "float32", "shape": [2] * 70, "device": "cpu", "stride": [1] * 70},
        {"dtype": "float32", "shape": [2, 2], "device": "cpu", "stride": [1], "offset": 3},
        {"dtype": "int8", "shape": [2], "device": "cpu", "stride": [1], "requires_grad": True},
        {
            "dtype": "float32",
            "shape": [3, 10**9],
            "device": "cpu",
            "layout": "sparse_csr",
            "parts": {"compressed": [10**12], "plain": [10**12], "values": [10**12], "index": "int64"},
        },
        {
            "dtype": "float32",
            "shape": [3, 3],
            "device": "cpu",
            "layout": "sparse_coo",
            "parts": {"sparse_dim": 2, "dense_dim": 10**9, "coalesced": True},
        },
    ),
    "target": ("torch.ops.aten.add.Tensor", "os.system", "torch.ops.higher_order.cond"),
    "enum": (["torch.export.graph_signature:InputKind", "BUFFER"], ["signal:Signals", "SIGKILL"], ["os:system", "x"]),
    "global": ("os:system", "torch:nn", "builtins:exec"),
}
_KEYS = (
    *("val", "is_wrapped", "boxed_arg_indices", "unbacked_bindings", "example_value", "custom", "stack_trace", "is"),
    *("in", "at", "without", "graph", "nodes", "op", "target", "meta", "args", "kwargs", "as_none", "as_graph", "hint"),
)


def _value(random: random.Random) -> Any:
    """Something hostile, of any kind."""
    kind = random.randrange(9)
    if kind < 3:
        return random.choice(_TEXTS)
    if kind < 5:
        return random.choice((*_NUMBERS, *_WORDS))
    if kind < 8:
        tag = random.choice(list(_TAGGED))
        return {tag: copy.deepcopy(random.choice(_TAGGED[tag]))}
    deep: Any = 1
    for _ in range(random.choice((3, 300, 3000))):
        deep = [deep] if random.random() < 0.5 else {"tuple": [deep]}
    return random.choice((None, True, [], {}, [None] * 3, deep, {CALL: 1}))


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys."""
    found, rest = [], [tree]
    while rest:
        given = rest.pop()
        items = given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ()
        for key, value in items:
            found.append((given, key))
            rest.append(value)
    return found


def _spoiled(tree: Any, random: random.Random) -> Any:
    """The tree, spoiled at one to four places."""
    tree = copy.deepcopy(tree)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        places = _places(tree)
        if not places:
            return _value(random)
        holder, key = random.choice(places)
        other, far = random.choice(places)
        _EDITS[random.randrange(len(_EDITS))](random, holder, key, other, far)
    return tree


def _delete(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    del holder[key]


def _double(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    if isinstance(holder, list):
        holder.insert(random.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
    else:
        holder[random.choice((*_NAMES, *_KEYS, CALL))] = copy.deepcopy(holder[key])


def _rename(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    if isinstance(holder, dict):
        name = random.choice((*_TEXTS, *_KEYS, *_TAGGED))
        items = [(name if each == key else each, value) for each, value in holder.items()]
        holder.clear()
        holder.update(items)


def _swap(random: random.Random, holder: Any, key: Any, other: Any, far: Any) -> None:
    if type(holder[key]) is type(other[far]) and not isinstance(holder[key], (dict, list)):
        holder[key], other[far] = other[far], holder[key]
    else:
        holder[key] = copy.deepcopy(other[far])


def _replace(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    """By something of the same kind if the die says so."""
    value = holder[key]
    if isinstance(value, str) and value[:1] in ("[", "{") and random.random() < 0.7:
        try:
            holder[key] = json.dumps(_spoiled(json.loads(value), random))
            return
        except ValueError:
            pass
    if isinstance(value, str) and random.random() < 0.6:
        holder[key] = random.choice(_TEXTS)
    elif type(value) in (int, float) and random.random() < 0.6:
        holder[key] = random.choice(_NUMBERS)
    elif isinstance(value, dict) and len(value) == 1 and random.random() < 0.4:
        holder[key] = {random.choice(list(_TAGGED)): next(iter(value.values()))}
    else:
        holder[key] = _value(random)


def _nudge(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    value = holder[key]
    if isinstance(value, str) and value:
        at = random.randrange(len(value))
        holder[key] = value[:at] + random.choice(("", "_1", "0", "9", "(", "'", ".", ";", ",", value)) + value[at + 1 :]
    elif type(value) is int:
        holder[key] = value + random.choice((1, -1, 100))
    else:
        holder[key] = _value(random)


def _add(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    if isinstance(holder, dict):
        holder[random.choice((*_KEYS, *_NAMES))] = _value(random)
    else:
        holder.insert(key, _value(random))


def _retag(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    """A tag of the schema for another."""
    tags = ("as_tensor", "as_tensors", "as_int", "as_ints", "as_string", "as_sym_int", "as_none", "as_name", "as_expr")
    if isinstance(holder, dict) and str(key).startswith("as_"):
        holder[random.choice(tags)] = holder.pop(key)
    else:
        _replace(random, holder, key)


_EDITS = (_delete, _double, _rename, _swap, _swap, _replace, _replace, _replace, _nudge, _nudge, _add, _retag)


# --- ways to hand it in -------------------------------------------------------------------------


def _text(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def _read_json(sample: Sample, data: bytes) -> Any:
    structures, _ = decode_program(data, where="file")
    return build_program(
        from_structures(structures), state=sample.state, constants=sample.constants, example_inputs=None
    )


def _as_json(sample: Sample, random: random.Random) -> Callable[[], Any]:
    """The structures; their supplement stays as it was, and is left out."""
    data = _text(_spoiled(sample.tree, random))
    return lambda: _read_json(sample, data)


def _as_difference(sample: Sample, random: random.Random) -> Callable[[], Any]:
    """The supplement, with the checksum that goes with the structures."""
    tree = copy.deepcopy(sample.tree)
    supplement = tree.get("exportcheck") or {"version": 1, "difference": {"in": {"graph": {"in": {}}}}}
    supplement["difference"] = _spoiled(supplement["difference"], random)
    tree["exportcheck"] = None
    supplement["of"] = _digest(decode_program(_text(tree), where="file")[0])
    tree["exportcheck"] = supplement
    data = _text(tree)
    return lambda: _read_json(sample, data)


def _as_plain(sample: Sample, random: random.Random) -> Callable[[], Any]:
    """What ``{"is": ...}`` in a supplement may say: any plain program."""
    plain = _spoiled(sample.plain, random)
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
        records["exportcheck/example_structure.json"] = _text(_value(random))
        records.setdefault("exportcheck/example_leaves.pt", _pickled([torch.ones(2)]))
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
        return _text(_spoiled(json.loads(data), random))
    except (ValueError, UnicodeDecodeError):
        pass
    kind = random.randrange(5)
    if kind == 0 or not data:
        return random.choice((b"", b"\0" * 100, b"cos\nsystem\n(S'true'\ntR.", _text(_value(random)), EVIL))
    if kind == 1:
        return data[: random.randrange(len(data))]
    if kind == 2 and data[:2] == b"PK":
        return _inner(data, random)
    spoiled = bytearray(data)
    for _ in range(random.choice((1, 3, 20))):
        spoiled[random.randrange(len(spoiled))] = random.randrange(256)
    return bytes(spoiled)


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


def _pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


class _Evil:
    def __reduce__(self) -> Any:
        return eval, ("hostile_canary()",)


EVIL = _pickled((_Evil(),))
WAYS: Mapping[str, Callable[[Sample, random.Random], Callable[[], Any]]] = {
    "json": _as_json,
    "difference": _as_difference,
    "plain": _as_plain,
    "archive": _as_archive,
}


def spoil(sample: str, way: str, seed: int) -> Callable[[], Any]:
    return WAYS[way](samples()[sample], random.Random(f"{sample} {way} {seed}"))


# --- what reading does --------------------------------------------------------------------------

LIMIT = 5.0  # seconds


class TooLong(BaseException):
    """Not an Exception: nothing is to catch it."""


@dataclass
class Watched:
    """Of one reading: the result or the error, the time, and everything that a file must not bring about."""

    outcome: str = ""
    error: BaseException | None = None
    seconds: float = 0.0
    misdeeds: list[str] = field(default_factory=list)


_EVENTS = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.dlopen", "webbrowser.", "urllib.", "pty.")
_watching: list[Watched] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "open":
        writes = isinstance(args[1], str) and set(args[1]) & set("wax+")
        if writes:
            _watching[-1].misdeeds.append(f"opens {args[0]} to write")
    elif event.startswith(_EVENTS) and event not in ("os.listdir", "os.scandir"):
        _watching[-1].misdeeds.append(event)


@cache
def _audited() -> None:
    sys.addaudithook(_audit)


def _checked_exec(source: str, *args: Any) -> Any:
    """What FX compiles must be one function, which calls nothing that a file said and evaluates nothing before it is called."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return _exec(source, *args)
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    misdeeds = _watching[-1].misdeeds if _watching else []
    if len(functions) != len(tree.body) or len(functions) != 1:
        misdeeds.append(f"code beside the function: {source[:200]}")
    for function in functions:
        constants = [*function.args.defaults, *filter(None, function.args.kw_defaults)]
        if function.decorator_list or not all(isinstance(ast.literal_eval(each), object) for each in constants):
            misdeeds.append(f"code in the head of the function: {source[:200]}")
    for each in ast.walk(tree):
        if isinstance(each, ast.Name) and each.id == "hostile_canary":
            misdeeds.append(f"the file's code in the function: {source[:200]}")
    return _exec(source, *args)


_exec = torch.fx.graph_module._exec_with_source


def _alarm(*_: Any) -> None:
    raise TooLong


def watched(read: Callable[[], Any]) -> Watched:
    """Read, and look."""
    _audited()
    seen = Watched()
    modules = set(sys.modules)
    torch.fx.graph_module._exec_with_source = _checked_exec
    called = torch.export.ExportedProgram.module
    torch.export.ExportedProgram.module = lambda *_: seen.misdeeds.append("program.module() is called")
    before = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    began = time.perf_counter()
    _watching.append(seen)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            result = read()
            seen.outcome = "loaded"
            if not isinstance(result, torch.export.ExportedProgram):
                seen.misdeeds.append(f"gives a {type(result).__name__}")
        except ExportcheckError as error:
            seen.outcome, seen.error = type(error).__name__, error
            if not str(error).strip():
                seen.misdeeds.append("an error without a message")
        except BaseException as error:
            seen.outcome, seen.error = type(error).__name__, error
            seen.misdeeds.append(f"{type(error).__name__}: {str(error)[:200]}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _watching.pop()
    seen.seconds = time.perf_counter() - began
    signal.signal(signal.SIGALRM, before)
    torch.fx.graph_module._exec_with_source = _exec
    torch.export.ExportedProgram.module = called
    new = {name for name in set(sys.modules) - modules if not name.startswith(("torch.", "sympy.", "mpmath."))}
    if new:
        seen.misdeeds.append(f"imports {', '.join(sorted(new))}")
    odd = {
        str(each.message)[:100] for each in said if not issubclass(each.category, (SchemaWarning, SerializationWarning))
    }
    seen.misdeeds.extend(f"warns: {text}" for text in sorted(odd) if not text.startswith(_HARMLESS))
    return seen


#: torch's own, which sound files bring about too.
_HARMLESS = (
    *("Sparse ", "ComplexHalf support", "Validating sparse tensor invariants", "Raw Sym", "Detected pickle protocol"),
    *("str indices must be", "'", '"'),  # the compiler's, of a function that is not called
)
