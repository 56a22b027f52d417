"""Specifications of dynamic shapes: the reference exporter makes torch's program of them, or refuses with what to declare."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch.fx.experimental import dynamic_spec
from torch.fx.experimental.dynamic_spec import (
    DictSpec,
    IntVar,
    ObjectSpec,
    ParamsSpec,
    SeqSpec,
    ShapesSpec,
    ShapeVar,
    TensorSpec,
)

from pytest_exportcheck import reference
from pytest_exportcheck.harness._torch import guards_of, pytree, takes_specifications

taken = pytest.mark.skipif(not takes_specifications(), reason="torch.export takes specifications since torch 2.14")


@dataclass
class Box:
    first: torch.Tensor
    second: torch.Tensor


torch.export.register_dataclass(Box, serialized_type_name="test_specified_shapes.Box")


def model(forward: Callable[..., Any]) -> torch.nn.Module:
    return type("Model", (torch.nn.Module,), {"forward": forward})()


def matrix(rows: int, columns: int = 3) -> torch.Tensor:
    return torch.ones(rows, columns)


def rows(size: Any) -> TensorSpec:
    return TensorSpec([size, None])


B, A, SOME = ShapeVar("b", min=2, max=40), ShapeVar("a", min=2, max=9), ShapeVar("some")
N, FREE = IntVar("n", min=-5, max=50), IntVar()


def _doubled(self: Any, x: Any, y: Any) -> Any:
    return x.sum() + y


def _added(self: Any, x: Any, y: Any) -> Any:
    return x + y


def _checked(self: Any, x: Any) -> Any:
    torch._check(x.shape[0] % 3 == 0)
    return x.view(3, -1)


def _items(self: Any, x: Any, n: Any) -> Any:
    k = n.item()
    torch._check(k >= 0)
    torch._check(k <= x.shape[0])
    return x[:k] * 2, x[x > 0]


#: Name -> forward, positional arguments, keyword arguments, specification.
ACCEPTED: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any]] = {
    "derived and assumed": (
        _doubled,
        (matrix(8), matrix(16)),
        {},
        ShapesSpec(ParamsSpec({"x": rows(B), "y": rows(B * 2)}), assumptions=[B % 2 == 0]),
    ),
    "derived before its variable": (
        _doubled,
        (matrix(16), matrix(8)),
        {},
        ParamsSpec({"x": rows(B * 2), "y": rows(B)}),
    ),
    "a sum": (
        lambda self, x, y, z: torch.cat([x, y]) + z,
        (matrix(2), matrix(3), matrix(5)),
        {},
        ShapesSpec(ParamsSpec({"x": rows(A), "y": rows(B), "z": rows(A + B)}), assumptions=[A <= B]),
    ),
    "half": (
        lambda self, x, y: x.sum() + y.sum(),
        (matrix(5), matrix(2)),
        {},
        ParamsSpec({"x": rows(A), "y": rows(A // 2)}),
    ),
    "shared": (_added, (matrix(4), matrix(4)), {}, ParamsSpec({"x": rows(B), "y": rows(B)})),
    "apart": (_added, (matrix(4), matrix(4)), {}, ParamsSpec({"x": rows(A), "y": rows(B)})),
    "by keyword": (
        lambda self, x, *, y: x + y,
        (matrix(4),),
        {"y": matrix(4)},
        ParamsSpec({"x": rows(B), "y": rows(B)}),
    ),
    "variadic": (
        lambda self, *args, **kwargs: args[0] + args[1] + kwargs["z"],
        (matrix(4), matrix(4)),
        {"z": matrix(4)},
        ParamsSpec({"*args": [rows(B), rows(B)], "**kwargs": {"z": rows(B)}}),
    ),
    "in a dict": (
        lambda self, d: d["x"] + d["y"][0] * d["y"][1],
        ({"x": matrix(4), "y": [matrix(4), 2]},),
        {},
        ParamsSpec({"d": DictSpec({"x": rows(B), "y": SeqSpec([rows(B)])})}),
    ),
    "in a dataclass": (
        lambda self, d: d.first + d.second,
        (Box(matrix(4), matrix(4)),),
        {},
        ParamsSpec({"d": ObjectSpec({"first": rows(B), "second": rows(B)})}),
    ),
    "a number": (lambda self, x, n: x * n, (matrix(4), 5), {}, ParamsSpec({"n": N})),
    "a number as a size": (lambda self, x, n: x.expand(n, 3), (matrix(1), 5), {}, ParamsSpec({"n": FREE})),
    "a number that is fixed": (lambda self, x, n: x * n, (matrix(4), 5), {}, ParamsSpec({"x": rows(B), "n": 5})),
    "unused": (lambda self, x, y: y + 1, (matrix(4), matrix(2)), {}, ParamsSpec({"x": rows(B)})),
    "one or none": (lambda self, x: x.relu().sum(0), (matrix(1),), {}, ParamsSpec({"x": rows(SOME)})),
    "checked": (_checked, (matrix(6),), {}, ParamsSpec({"x": rows(SOME)})),
    "with items": (_items, (matrix(6), torch.tensor(2)), {}, ParamsSpec({"x": rows(SOME)})),
    "sliced": (
        lambda self, x: (x[:3], x[-2:], x[x.shape[0] // 2 :], x[:-1]),
        (matrix(6),),
        {},
        ParamsSpec({"x": rows(B)}),
    ),
    "sliced by a number": (lambda self, x, n: x[:n], (matrix(6), 4), {}, ParamsSpec({"x": rows(B), "n": FREE})),
    "with a hint": (
        lambda self, x: x.relu(),
        (matrix(4),),
        {},
        ParamsSpec({"x": rows(ShapeVar("h", min=2, optimization_hint=32))}),
    ),
    "nothing": (lambda self, x: x + 1, (matrix(4),), {}, ShapesSpec()),
}


def program_text(program: torch.export.ExportedProgram) -> list[tuple[str, ...]]:
    return [
        (node.op, str(node.target), str(getattr(val, "shape", val)), str(node.meta.get("unbacked_bindings")))
        for node in program.graph.nodes
        for val in [node.meta.get("val")]
    ]


def accepted(program: torch.export.ExportedProgram, args: Any, kwargs: Any) -> list[str]:
    """What the program does with every dim and number of the arguments at other sizes: one after the other, and together."""
    leaves, spec = pytree.tree_flatten((args, kwargs))
    run, found = program.module(), []
    for place in [*range(len(leaves)), None]:
        for size in (0, 1, 2, 3, 4, 7, 8, 9, 40, 41):
            given = [_at(leaf, size) if place in (number, None) else leaf for number, leaf in enumerate(leaves)]
            changed_args, changed_kwargs = pytree.tree_unflatten(given, spec)
            try:
                run(*changed_args, **changed_kwargs)
                found.append("")
            except (RuntimeError, AssertionError) as error:
                found.append(str(error).partition("\n")[0])
    return found


def _at(leaf: Any, size: int) -> Any:
    if isinstance(leaf, int):
        return size - 6
    return torch.ones(size, *leaf.shape[1:]) if leaf.dim() else leaf


@taken
@pytest.mark.parametrize("name", ACCEPTED)
def test_the_program_is_torchs(name: str) -> None:
    forward, args, kwargs, shapes = ACCEPTED[name]
    theirs = torch.export.export(model(forward), args, kwargs, dynamic_shapes=shapes)
    ours = reference.export(model(forward), args, kwargs, dynamic_shapes=shapes)
    assert program_text(ours) == program_text(theirs)
    assert str(ours.range_constraints) == str(theirs.range_constraints)
    assert guards_of(ours) == guards_of(theirs)
    assert accepted(ours, args, kwargs) == accepted(theirs, args, kwargs)


@taken
def test_a_size_that_breaks_an_assumption_is_refused() -> None:
    forward, args, kwargs, shapes = ACCEPTED["derived and assumed"]
    run = reference.export(model(forward), args, kwargs, dynamic_shapes=shapes).module()
    assert run(matrix(40), matrix(80)).shape == (80, 3)
    with pytest.raises(RuntimeError, match=r"Eq\(Mod\(u0, 2\), 0\)"):
        run(matrix(7), matrix(14))


@taken
def test_the_decorator_of_forward_is_read() -> None:
    class Decorated(torch.nn.Module):
        @dynamic_spec.dynamic_spec({"x": rows(B)})
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    assert str(reference.export(Decorated(), (matrix(4),)).range_constraints) == "{u0: VR[2, 40]}"
    with pytest.raises(reference.InvalidInput) as refused:
        reference.export(Decorated(), (matrix(4),), dynamic_shapes=ParamsSpec({"x": rows(B)}))
    assert str(refused.value) == (
        "Both `@dynamic_spec(...)` is attached to the function/forward AND a `dynamic_shapes=` argument was passed. Provide "
        "only one. Leave out dynamic_shapes, or take the decorator away."
    )


KINDS = (
    "Name parameters that the example gives, and specify each by its kind: a tensor by TensorSpec, an int by IntVar or an int, "
    "a list or tuple by SeqSpec, a dict by DictSpec, a registered class by ObjectSpec."
)
ENTRIES = "x has the shape (4, 3): give one entry for each of its dims, None for a static one."
WRAP = 'Wrap it: dynamic_shapes=ShapesSpec(ParamsSpec({"x": TensorSpec([ShapeVar("batch"), None])})).'


@taken
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (ParamsSpec({"x": TensorSpec([B])}), f"TensorSpec has 1 dims but tensor L['x'] has 2 dims. {ENTRIES}"),
        (
            ParamsSpec({"x": TensorSpec([B, 4])}),
            f"shapes_spec declares dim 1 as static with value 4, but got 3. {ENTRIES}",
        ),
        (
            ParamsSpec({"z": rows(B)}),
            "ParamsSpec has entries ['z'] that do not match any argument passed to export(). Spec keys must be forward "
            f"parameter names that were actually passed. Inputs received: ['x', 'n']. {KINDS}",
        ),
        (ParamsSpec({"x": B}), f"shapes_spec['x']: spec is ShapeVar (scalar spec) but the actual arg is Tensor, not int. {KINDS}"),
        (
            ParamsSpec({"x": rows(B * 2)}),
            "shapes_spec: 1 pending check(s) reference unbound IntVar(s) ['b']. Every IntVar used in a derived expression or "
            "assumption must also appear as a bare-IntVar slot somewhere in the spec. Offending checks:\n"
            "  - Eq(u0, 2*b)  (unbound: ['b']). Give each of them the size of a dim, or a number, of an input.",
        ),
        (
            ParamsSpec({"n": 4}),
            "shapes_spec declared L['n'] as static with value 4, but got 5 at trace time. Give n that value in the example, or "
            "declare an IntVar.",
        ),
        (
            {"x": rows(B), "n": None},
            f"dynamic_shapes has a TensorSpec outside of a specification, which torch.export does not take. {WRAP}",
        ),
        (
            {"x": {0: B}, "n": None},
            f"dynamic_shapes has a ShapeVar outside of a specification, which torch.export does not take. {WRAP}",
        ),
    ],
)  # fmt: skip
def test_a_specification_that_does_not_fit_is_refused(shapes: Any, message: str) -> None:
    scaled = model(lambda self, x, n: x * n)
    with pytest.raises(Exception):  # noqa: B017 -- of whichever type
        torch.export.export(scaled, (matrix(4), 5), dynamic_shapes=shapes)
    with pytest.raises(reference.InvalidInput) as refused:
        reference.export(scaled, (matrix(4), 5), dynamic_shapes=shapes)
    assert str(refused.value) == message


@taken
def test_a_specification_has_runtime_assertions_already() -> None:
    options: Any = {"dynamic_shapes": ParamsSpec({"x": rows(B)}), "prefer_deferred_runtime_asserts_over_guards": True}
    sentence = (
        "`prefer_deferred_runtime_asserts_over_guards=True` cannot be combined with `dynamic_shapes=ShapesSpec(...)`"
    )
    for export in (torch.export.export, reference.export):
        with pytest.raises(ValueError if export is torch.export.export else reference.InvalidInput) as refused:
            export(model(lambda self, x: x + 1), (matrix(4),), **options)
        assert str(refused.value).startswith(sentence)


@taken
@pytest.mark.parametrize("strict", [False, True])
def test_a_branch_on_a_specified_size_says_what_to_assume(strict: bool) -> None:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.shape[0] > 4 else x

    with pytest.raises(reference.DataDependent) as refused:
        reference.export(model(forward), (matrix(6),), dynamic_shapes=ParamsSpec({"x": rows(SOME)}), strict=strict)
    first, place, last, *checks = str(refused.value).split("\n")
    assert first == (
        "Could not guard on data-dependent expression u0 > 4: the model branches on x.shape[0] (u0), which the specification "
        "leaves open, or needs one as a number, at"
    )
    assert place.endswith("return x + 1 if x.shape[0] > 4 else x")
    assert last == (
        "A program takes one branch for all values. Compute both and choose with torch.where, use torch.cond, add the condition "
        "to the assumptions of the ShapesSpec, or state the condition before that line with torch._check(...)."
    )
    assert checks == [
        "To fix the error, insert one of the following checks before this call:",
        "  1. torch._check(x.shape[0] <= 4)",
        "  2. torch._check(x.shape[0] > 4)",
    ]
    assumed = ShapesSpec(ParamsSpec({"x": rows(SOME)}), assumptions=[SOME > 4])
    program = reference.export(model(forward), (matrix(6),), dynamic_shapes=assumed, strict=strict)
    assert program.module()(matrix(5)).sum() == 30


@taken
@pytest.mark.parametrize("strict", [False, True])
def test_a_specified_size_that_is_needed_as_a_number_has_no_checks(strict: bool) -> None:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return x + sum(range(x.shape[0]))

    with pytest.raises(reference.DataDependent) as refused:
        reference.export(model(forward), (matrix(6),), dynamic_shapes=ParamsSpec({"x": rows(SOME)}), strict=strict)
    first, _, last = str(refused.value).split("\n")
    assert first == (
        "Could not extract specialized integer from data-dependent expression u0: the model branches on x.shape[0] (u0), which "
        "the specification leaves open, or needs one as a number, at"
    )
    assert last.endswith("or state the condition before that line with torch._check(...).")


@taken
@pytest.mark.parametrize(
    "name", ["derived and assumed", "a sum", "half", "variadic", "in a dataclass", "unused", "with items"]
)
def test_a_strict_program_accepts_what_torchs_accepts(name: str) -> None:
    forward, args, kwargs, shapes = ACCEPTED[name]
    theirs = torch.export.export(model(forward), args, kwargs, dynamic_shapes=shapes, strict=True)
    ours = reference.export(model(forward), args, kwargs, dynamic_shapes=shapes, strict=True)
    assert [*map(bool, accepted(ours, args, kwargs))] == [*map(bool, accepted(theirs, args, kwargs))]
    assert [str(node.target) for node in ours.graph.nodes] == [str(node.target) for node in theirs.graph.nodes]


@taken
def test_a_strict_capture_keeps_the_declared_range_of_a_number_and_captures_its_program_again() -> None:
    """torch's strict capture makes a size of the number: its program refuses -4."""
    shapes = ParamsSpec({"x": None, "n": IntVar("n", min=-5)})
    args = matrix(4), -4
    first = reference.export(model(lambda self, x, n: x * n), args, dynamic_shapes=shapes, strict=True)
    again = reference.export(first.module(), args, dynamic_shapes=shapes, strict=True)
    for program in (first, again):
        assert str(program.range_constraints) == "{u0: VR[-5, int_oo]}"
        assert torch.equal(program.module()(*args), matrix(4) * -4)


def test_a_strict_capture_takes_no_branch_by_the_value_of_the_example() -> None:
    branching = model(lambda self, x, n: x + 1 if n.item() > 1 else x)
    with pytest.raises(Exception, match="Could not guard on data-dependent expression u0 > 1"):
        torch.export.export(branching, (matrix(4), torch.tensor(2)), strict=True)
    with pytest.raises(reference.DataDependent, match="Could not guard on data-dependent expression u0 > 1"):
        reference.export(branching, (matrix(4), torch.tensor(2)), strict=True)


@taken
@pytest.mark.parametrize("name", ["derived and assumed", "a sum", "a number", "with items"])
def test_a_file_keeps_the_program(name: str) -> None:
    forward, args, kwargs, shapes = ACCEPTED[name]
    program, file = reference.export(model(forward), args, kwargs, dynamic_shapes=shapes), io.BytesIO()
    reference.save(program, file)
    file.seek(0)
    loaded = reference.load(file)
    assert str(loaded.range_constraints) == str(program.range_constraints)
    assert accepted(loaded, args, kwargs) == accepted(program, args, kwargs)


@pytest.mark.skipif(takes_specifications(), reason="this torch takes specifications")
@pytest.mark.parametrize(("shapes", "kind"), [(ParamsSpec({}), "ParamsSpec"), ({"x": rows(B)}, "TensorSpec")])
def test_an_older_torch_says_what_to_use(shapes: Any, kind: str) -> None:
    with pytest.raises(reference.InvalidInput) as refused:
        reference.export(model(lambda self, x: x), (matrix(4),), dynamic_shapes=shapes)
    assert str(refused.value) == (
        f"dynamic_shapes has a {kind}: torch.export takes specifications since torch 2.14, and this is torch "
        f"{torch.__version__}. Declare the dims with torch.export.Dim, or upgrade torch."
    )
