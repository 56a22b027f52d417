"""Small models in which torch's known defects show, and their inputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
import torch.utils._pytree as pytree
from torch import nn
from torch.export import Dim
from torch.fx.experimental.dynamic_spec import IntVar, ParamsSpec
from torch.testing._internal.two_tensor import TwoTensor


class Calls(nn.Module):
    """``forward`` is a function of the inputs alone."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class CodeBook(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("code", torch.randn(3))

    def forward(self, x):
        return x + self.code


class Joined:
    """A registered class that computes when it is put together, as key-value caches do."""

    def __init__(self, *parts):
        self.whole = torch.cat(parts)


pytree.register_pytree_node(
    Joined,
    lambda joined: (list(joined.whole.split(2)), None),
    lambda parts, _: Joined(*parts),
    serialized_type_name="tests.Joined",
    to_dumpable_context=lambda context: context,
    from_dumpable_context=lambda context: context,
    flatten_with_keys_fn=lambda joined: (
        [(pytree.SequenceKey(number), part) for number, part in enumerate(joined.whole.split(2))],
        None,
    ),
)


class TakesJoined(nn.Module):
    def forward(self, joined):
        return joined.whole.sin()


class Rotary(nn.Module):
    """Two buffers that are views of one tensor."""

    def __init__(self):
        super().__init__()
        table = torch.randn(2, 3)
        self.register_buffer("cos", table[0])
        self.register_buffer("sin", table[1])

    def forward(self, x):
        return x * self.cos + self.sin


class CountsSteps(nn.Module):
    steps: torch.Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x):
        with torch.no_grad():
            self.steps += 1
        return x + 1


def calls(function):
    return lambda: Calls(function)


def of_shape(*shape):
    return lambda: (torch.randn(*shape),)


def empty_region(x):
    with torch.no_grad():
        x.detach()
    return x + 1


def counted(x):
    values, places, counts = torch.unique(x, return_inverse=True, return_counts=True)
    return values * 2, places, counts


class LambdaForward(nn.Module):
    forward = lambda self, x: (x + 1) * 2  # noqa: E731


def sparse():
    return (torch.eye(3).to_sparse(),)


def to_dense(x):
    return x.to_dense() + 1


class NestedAutocast(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 2)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = x @ x.t()
            with torch.autocast("cpu", enabled=False):
                return y, self.inner(x + y.float().sum())


class TwoWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(TwoTensor(torch.randn(2), torch.randn(2)))

    def forward(self, x):
        return x * self.weight


class Layered(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x):
        return self.layer(x).relu()


class Attention(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v).sum()


def traced():
    return torch.fx.symbolic_trace(Layered())


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("unused", torch.ones(1))

    def forward(self, x):
        return x + 1


class Reordered(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("first", torch.ones(1))
        self.register_buffer("second", torch.ones(1))

    def forward(self, x):
        return (x + self.second) * self.first


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class CallsFunction(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return Doubled.apply(self.layer(x)) + self.layer(x)


class BufferFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.layer = nn.BatchNorm1d(3, affine=False), nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(self.scale(x))


class ListAttribute(nn.Module):
    def __init__(self):
        super().__init__()
        self.kept = [torch.ones(2)]

    def forward(self, x):
        self.kept[0] = self.kept[0] + x
        return x.cos()


class Branches(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda v: v + 1, lambda v: v * 2, (x,))


class UnusedSize(nn.Module):
    def forward(self, x):
        size = x.max().item()
        torch._check(size >= 0)
        torch._check(size <= 5)
        return x + 1


SHARED = Dim("shared", min=3, max=9)


class Minus(nn.Module):
    def forward(self, x, y):
        return x - y


class Scaled(nn.Module):
    def forward(self, x, number):
        return x * number


class Keywords(nn.Module):
    def forward(self, x, **others):
        return x + others["y"]


class TransposedNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.layer = nn.BatchNorm1d(16), nn.Linear(16, 4)

    def forward(self, x):
        return self.layer(self.norm(x.transpose(1, 2)).transpose(1, 2))


class MaskedAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.mask = nn.Parameter(torch.zeros(6, 6))

    def forward(self, q):
        return F.scaled_dot_product_attention(q, q, q, attn_mask=self.mask * 2)


class Projected(nn.Module):
    """Attention between two layers, as models have it."""

    def __init__(self):
        super().__init__()
        self.mask, self.layer = nn.Parameter(torch.zeros(6, 6)), nn.Linear(16, 16)

    def forward(self, x):
        heads = self.layer(x).reshape(x.shape[0], 6, 2, 8).transpose(1, 2)
        attended = F.scaled_dot_product_attention(heads, heads, heads, attn_mask=self.mask * 2)
        return self.layer(attended.transpose(1, 2).reshape(x.shape))


class Region(nn.Module):
    """Calls a layer without grad, and again with it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        with torch.no_grad():
            y = self.layer(x)
        return self.layer(x) * y


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x) * self.layer(x).detach()


class NamedWithComma(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({"a,b": nn.Linear(2, 2)})

    def forward(self, x):
        return self.layers["a,b"](x)


def annotated(x):
    with torch.fx.traceback.annotate({1: (2, 3)}):  # type: ignore[dict-item]  # torch takes any key
        y = x + 1
    return y * 2


def annotated_region(x):
    with torch.fx.traceback.annotate({"a": 1}):
        y = x + 1
        with torch.no_grad():
            z = y.sin()
    return y * z


def drops_a_random_number(x):
    torch.rand(2)
    return x + 1


def attention_then_view(q):
    return F.scaled_dot_product_attention(q, q, q).transpose(1, 2).reshape(2, 6, 32).view(-1, 32)


def gradient(x):
    return torch.func.grad(lambda v: (v**2).sum())(x)


def channels_last():
    return (torch.randn(2, 4, 6, 5).contiguous(memory_format=torch.channels_last),)


def turned():
    return (torch.randn(3, 16, 8).transpose(1, 2),)


TWICE = torch.randn(3)
BATCH = Dim("batch", min=2, max=10)
DYNAMIC = {"dynamic_shapes": {"x": {0: BATCH}}}

NEGATIVE = {"dynamic_shapes": ParamsSpec({"x": None, "number": IntVar("number", min=-5)})}

KEYWORDS = {
    "kwargs": lambda: {"y": torch.randn(3, 2)},
    "dynamic_shapes": {"x": {0: BATCH}, "others": {"y": {0: BATCH}}},
}
ANNOTATED = {"context": torch.fx.traceback.preserve_node_meta}


def logsigmoid(x):
    return F.logsigmoid(x)


def roll(x):
    return x.roll(1, 1)


def shuffle(x):
    return F.channel_shuffle(x, 2)


def pool(x):
    return F.max_pool1d(x, 2)
