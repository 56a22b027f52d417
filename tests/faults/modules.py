"""The sound modules that faults are injected into, each with something that a fault can touch."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Iterator

import torch
import torch.utils._pytree as pytree
from torch.fx.traceback import annotate, preserve_node_meta


class Pair(torch.nn.Module):
    """Two layers of equal shape, annotated: what belongs to one can be given to the other."""

    def __init__(self) -> None:
        super().__init__()
        self.left = torch.nn.Linear(3, 3)
        self.right = torch.nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with annotate({"part": "left"}):
            left = self.left(x)
        with annotate({"part": "right", "number": 2}):
            right = self.right(x)
        return left - right


class Layered(torch.nn.Module):
    """Parameters, buffers of both kinds, constants, an operation with a keyword, and two outputs of equal shape."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.register_buffer("scale", torch.tensor([1.5, 2.0, 3.0]))
        self.register_buffer("shift", torch.tensor([0.25, 0.5, 1.0]), persistent=False)
        self.register_buffer("unused", torch.zeros(1))
        self.table = torch.tensor([1.0, 3.0, 9.0])

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
        scaled = self.pair(x) * self.scale + self.shift
        moved = torch.add(scaled, y, alpha=2) + self.table
        return torch.relu(scaled), moved + torch.tensor([7.0, 8.0, 9.0]), 3


class Normed(torch.nn.Module):
    """An operation with many plain arguments, one that is lowered to several, and one with a list of results."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second = torch.split(self.norm(x), [2, 2], dim=1)
        return first, second, x.permute(1, 0).clone(memory_format=torch.contiguous_format) / 0.5, x / x


class Sine(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sin()


class Half(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


class Branching(torch.nn.Module):
    """``cond`` with two subgraphs over the same operands; each calls a module."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)
        self.wave, self.middle = Sine(), Half()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def doubled(v: torch.Tensor) -> torch.Tensor:
            with annotate({"branch": "doubled"}):
                return self.wave(v * 2) - v.cos()

        def halved(v: torch.Tensor) -> torch.Tensor:
            with annotate({"branch": "halved"}):
                return self.middle(v).cos() - v.sin()

        result: torch.Tensor = torch.cond(x.sum() > 0, doubled, halved, (self.layer(x),))
        return result


class Resizing(torch.nn.Module):
    """Dynamic dims, one of them twice as long as the other, an unbacked symbol, and a guard."""

    def forward(self, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows = x.shape[0]
        found = torch.nonzero(z)
        paired = y.reshape(rows, 2, 4).sum(1) + x
        return paired, x.new_ones(rows + 1), found * 2, x[:-1]


class Counted(torch.nn.Module):
    """Numbers read from a tensor: lengths of parts, a factor, and what is asserted of them."""

    def forward(self, lengths: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        first, second = lengths.tolist()
        for number in (first, second):
            torch._check(number >= 1)
            torch._check(number <= 5)
        torch._check(first + second == x.shape[0])
        head, tail = torch.split(x, [first, second])
        return head, tail, x * second, x.new_zeros(first * 2)


class Merging(torch.nn.Module):
    """Attention over keys and values whose lengths are declared apart: lowering makes them one."""

    def forward(self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(query, keys, values).sum(1)


class Hooked(torch.nn.Module):
    """Hooks on the root, and a layer without any."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)
        self.register_forward_pre_hook(lambda module, given: (given[0] + 1,))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(x))


@dataclasses.dataclass
class Scores:
    """A user's own output type."""

    first: torch.Tensor
    second: torch.Tensor


Bounds = collections.namedtuple("Bounds", ["low", "high"])
pytree.register_dataclass(Scores, serialized_type_name="tests.faults.Scores")
pytree._register_namedtuple(Bounds, serialized_type_name="tests.faults.Bounds")


class Structured(torch.nn.Module):
    """Every kind of container, in and out."""

    def forward(self, pair: list[torch.Tensor], named: dict[str, torch.Tensor], *, flag: torch.Tensor) -> object:
        low, high = pair
        total = named["one"] - named["two"]
        return {
            "scores": Scores(low + 1, high + 1),
            "bounds": Bounds(low - total, high - total),
            "list": [low * 2, high * 2],
            "tuple": (flag * 2,),
            "none": None,
        }


class Counting(torch.nn.Module):
    """Updates two buffers and an input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(2))
        self.register_buffer("total", torch.zeros(2))

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        self.count.add_(1)
        self.total.add_(x)
        memory.mul_(2)
        return x * 3


class Viewing(torch.nn.Module):
    """Outputs that share storage with an input, with a buffer and with each other, one that does not, and one whose
    strides are not the default ones."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("held", torch.arange(6.0).reshape(2, 3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        fresh = x + 1
        return x.view(-1), self.held.view(-1), fresh, fresh.view(-1), x.clone(), torch.mul(x, 2).t(), self.held.clone()


class Drawing(torch.nn.Module):
    """Draws random numbers twice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(x, 0.5, training=True) + torch.rand_like(x)


class Tied(torch.nn.Module):
    """Two names of one parameter, and two buffers that share storage."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.Linear(3, 3, bias=False)
        self.decoder = torch.nn.Linear(3, 3, bias=False)
        self.decoder.weight = self.encoder.weight
        self.register_buffer("whole", torch.arange(4.0))
        self.register_buffer("head", self.whole[:2])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x)).sum() * self.whole.sum() + self.head.sum()


class Learning(torch.nn.Module):
    """Gradients to parameters and to an input; one output without grad, and a region without grad."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(3, 3)
        self.second = torch.nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            steady = torch.sin(self.first(x))
        return torch.tanh(self.second(x)) * 2, steady


class Attending(torch.nn.Module):
    """Attention, whose key bias has a true gradient of zero: only rounding is left of it."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (torch.nn.Linear(16, 16) for _ in range(3))
        self.last = torch.nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            attended = torch.nn.functional.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x))
            x = x + self.last(torch.nn.functional.gelu(attended * 4))
        return x


class Stepping(torch.nn.Module):
    """Rounds down, to another step in float64: 0.7 / 0.1 is 7 in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.floor(x / 0.1))


class Padded(torch.nn.Module):
    """An encoder that is given a padding mask, and whose padded positions count for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = encoder()

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        encoded: torch.Tensor = self.encoder(x, src_key_padding_mask=padding)
        return encoded.masked_fill(padding.unsqueeze(-1), 0.0) * 2


def encoder() -> torch.nn.Module:
    """Without gradients eager takes a fast path through it, which a non-strict capture does not take."""
    return torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1)


class Imaged(torch.nn.Module):
    """An image in channels_last, and state that is views: one expanded, one of a part of another."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", numbers(1, 3, 1, 3).expand(1, 3, 2, 3))
        self.register_buffer("whole", numbers(6))
        self.register_buffer("left", self.whole[:3])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.shift * self.left + self.whole[3:])


class Remembering(torch.nn.Module):
    """Changes Python state that it looks at and that no output depends on, and fills a tensor of a given dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * 2 + torch.ones(3, dtype=torch.float32)


class Tallying(torch.nn.Module):
    """Draws, takes a dict, updates a buffer, and counts calls in Python, on which no output depends."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))
        self.calls = 0

    def forward(self, x: torch.Tensor, held: dict[str, torch.Tensor]) -> torch.Tensor:
        self.calls += 1
        self.total.add_(x)
        return torch.nn.functional.dropout(x * held["scale"], 0.5, training=True)


def numbers(*shape: int) -> torch.Tensor:
    """Of both signs, none twice, in a shape; the first element is zero."""
    count = torch.Size(shape).numel()
    return torch.linspace(-1.0, 1.5, count + 1)[1:].roll(1).index_fill(0, torch.tensor([0]), 0.0).reshape(shape)


def resizable() -> tuple[torch.Tensor, ...]:
    rows = int(torch.randint(3, 8, ()))
    return torch.rand(rows, 4), torch.rand(2 * rows, 4), torch.rand(6) - 0.4


class Masked(torch.nn.Module):
    """Attention with a mask that requires grad, which inference programs can do without grad only, and a count of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor([[0.0, 1.0, -1.0], [1.0, 0.0, 1.0], [-1.0, 1.0, 0.0]]))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls.add_(1)
        attended = torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=self.bias * 2)
        return attended, x.transpose(2, 3) * 2


class Settled(torch.nn.Module):
    """Attention whose result is made contiguous, and normalised: neither has the strides that attention chooses."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        attended = torch.nn.functional.scaled_dot_product_attention(x, x, x)
        return attended.transpose(1, 2).contiguous(), torch.nn.functional.layer_norm(attended, [4])


class Gated(torch.nn.Module):
    """A gate of four elements with a small gradient, behind a layer with large ones."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)
        self.gate = torch.nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * 1000 + (self.gate * 2e-6).sum()


@contextlib.contextmanager
def annotated_as_a_whole() -> Iterator[None]:
    with preserve_node_meta(), annotate({"whole": ("yes", 1)}):
        yield
