"""Hostile values: texts, numbers and tagged values that fit almost, and a pickle that calls."""

from __future__ import annotations

import copy
import io
import random
from collections.abc import Mapping
from typing import Any

import torch
import torch.fx.graph_module

CALL = "hostile_canary()"

NAMES = (
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

TEXTS = (
    *NAMES,
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
    '[1, {"type": "tests.hostile.Boxed", "context": "[[\\"inner\\"], [\\"gone\\"]]", "children_spec": [{"type": null, "context": null, "children_spec": []}]}]',
    '{"__enum__": true, "fqn": "os:system", "name": "x"}',
    "TRAINING",
    "ATEN",
    "1e999",
    f"L['x'].size()[0] == {CALL}",
)
NUMBERS = (0, 1, -1, 2, 7, 8, 20, 10**6, 2**31, 2**53, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e300)
_WORDS = ("NaN", "Infinity", "-Infinity")

#: Plain values by tag, of content that fits or almost.
TAGGED: Mapping[str, tuple[Any, ...]] = {
    "int": ("7", "9" * 400, "9" * 9000, "-1", "x"),
    "float": ("nan", "inf", "x", "1e400"),
    "node": NAMES,
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
    "namedtuple": (
        ["tests.hostile.programs:Pair", [1, 2]],
        ["os:stat_result", [1]],
        ["sys:flags", []],
        ["os:system", []],
    ),
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

KEYS = (
    *("val", "is_wrapped", "boxed_arg_indices", "unbacked_bindings", "example_value", "custom", "stack_trace", "is"),
    *("in", "at", "without", "graph", "nodes", "op", "target", "meta", "args", "kwargs", "as_none", "as_graph", "hint"),
)


def hostile_value(random: random.Random) -> Any:
    """Something hostile, of any kind."""
    kind = random.randrange(9)
    if kind < 3:
        return random.choice(TEXTS)
    if kind < 5:
        return random.choice((*NUMBERS, *_WORDS))
    if kind < 8:
        tag = random.choice(list(TAGGED))
        return {tag: copy.deepcopy(random.choice(TAGGED[tag]))}
    deep: Any = 1
    for _ in range(random.choice((3, 300, 3000))):
        deep = [deep] if random.random() < 0.5 else {"tuple": [deep]}
    return random.choice((None, True, [], {}, [None] * 3, deep, {CALL: 1}))


def pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


class _Evil:
    def __reduce__(self) -> Any:
        return eval, ("hostile_canary()",)


EVIL = pickled((_Evil(),))
