"""The reference exporter below autograd, and calls of submodules whose signatures are kept."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch.export import Dim
from torch.export.graph_signature import InputKind, OutputKind

from pytest_exportcheck import reference
from tests.differential.roundtrips import difference_of, saved


def targets(program):
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


def mutations(program):
    return {spec.target: spec.kind for spec in program.graph_signature.output_specs if "MUTATION" in spec.kind.name}


class Mutates(torch.nn.Module):
    """A parameter, two buffers and an input, one by a copy; results that are what was mutated, and a view of it."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.register_buffer("total", torch.zeros(3))
        self.register_buffer("last", torch.zeros(3, dtype=torch.float64))
        self.register_buffer("same", torch.zeros(3))

    def forward(self, x, y):
        with torch.no_grad():
            self.weight.mul_(2)
        self.total.add_(x.sum(0))
        self.last.copy_(x[0])
        self.same.copy_(y)
        y.copy_(self.total)
        return self.weight * x, self.last, y.view(3, 1), self.same


def test_what_is_changed_is_among_the_outputs():
    args = (torch.randn(2, 3), torch.randn(3))
    program = reference.export(Mutates(), args)
    lowered = reference.decompose(program)
    assert mutations(program) == {}
    assert mutations(lowered) == {
        "weight": OutputKind.PARAMETER_MUTATION,
        "total": OutputKind.BUFFER_MUTATION,
        "last": OutputKind.BUFFER_MUTATION,
        "same": OutputKind.BUFFER_MUTATION,
        "y": OutputKind.USER_INPUT_MUTATION,
    }
    assert not [target for target in targets(lowered) if target.endswith("_.Tensor") or "copy_" in target]
    (kept,) = (spec.arg.name for spec in lowered.graph_signature.output_specs if spec.target == "last")
    assert {node.name: node for node in lowered.graph.nodes}[kept].meta["val"].dtype is torch.float64
    eager, ours, given = Mutates(), lowered.module(), copy.deepcopy(args)
    for _ in range(2):
        with torch.no_grad():  # torch writes parameters back as it runs
            expected, found = eager(*args), ours(*given)
        assert difference_of(found, expected) == ""
        assert difference_of((given, dict(ours.state_dict())), (args, dict(eager.state_dict()))) == ""
        assert found[3].data_ptr() != given[1].data_ptr()


def test_a_second_lowering_changes_nothing():
    lowered = reference.decompose(reference.export(Mutates(), (torch.randn(2, 3), torch.randn(3))))
    again = reference.decompose(lowered)
    assert targets(again) == targets(lowered)
    assert mutations(again) == mutations(lowered)
    assert again.dialect == lowered.dialect == "ATEN"


class ReturnsConstants(torch.nn.Module):
    def forward(self, x):
        return x + 1, None, 3


def test_constants_among_the_results_stay_what_they_are():
    lowered = reference.decompose(reference.export(ReturnsConstants(), (torch.zeros(2),)))
    results = lowered.module()(torch.zeros(2))
    assert results[1:] == (None, 3)
    assert results[0].tolist() == [1, 1]


def test_state_is_shared_with_the_program_before():
    program = reference.export(torch.nn.BatchNorm1d(3), (torch.randn(2, 3),))
    lowered = reference.decompose(program)
    assert all(lowered.state_dict[name] is value for name, value in program.state_dict.items())


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.linear = torch.nn.Conv1d(2, 2, 1), torch.nn.Linear(4, 4)

    def forward(self, x):
        return torch.nn.functional.silu(self.linear(self.convolution(x)))


def test_a_table_says_what_stays():
    program = reference.export(Net(), (torch.randn(1, 2, 4),))
    kept = {torch.ops.aten.linear.default, torch.ops.aten.conv1d.default}
    table = torch.export.default_decompositions()
    for operator in kept:
        table.pop(operator)
    assert targets(reference.decompose(program, {})) == [
        "aten.conv1d.default",
        "aten.linear.default",
        "aten.silu.default",
    ]
    assert targets(reference.decompose(program, table)) == [
        "aten.conv1d.default",
        "aten.linear.default",
        "aten.sigmoid.default",
        "aten.mul.Tensor",
    ]
    assert {*map(str, kept)}.isdisjoint(targets(reference.decompose(program)))


def test_a_table_may_have_decompositions_of_ones_own():
    def linear(x, weight, bias=None):
        return (x[..., None, :] * weight).sum(-1).add_(bias)  # mutates what it made itself

    program = reference.export(Net(), (torch.randn(1, 2, 4),))
    lowered = reference.decompose(program, {torch.ops.aten.linear.default: linear})
    assert "aten.linear.default" not in targets(lowered)
    assert "aten.sum.dim_IntList" in targets(lowered)
    assert not [target for target in targets(lowered) if "add_" in target]
    x = torch.randn(1, 2, 4)
    torch.testing.assert_close(lowered.module()(x), program.module()(x))


class Checked(torch.nn.Module):
    """An operator whose effect keeps its order, a number that must lie in a range, and a region of autocast."""

    def forward(self, x, n):
        size = n.item()
        torch._check(size >= 2)
        torch._check(size <= 5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = torch.linalg.inv(x) @ x
        return y, torch.zeros(size)


def test_effects_are_threaded_through_tokens():
    program = reference.export(Checked(), (torch.eye(2), torch.tensor(3)))
    for lowered in (reference.decompose(program), reference.decompose(reference.decompose(program))):
        kinds = [spec.kind for spec in lowered.graph_signature.input_specs]
        assert kinds == [InputKind.TOKEN, InputKind.USER_INPUT, InputKind.USER_INPUT]
        assert lowered.graph_signature.output_specs[0].kind is OutputKind.TOKEN
        assert "with_effects" in targets(lowered)
        with pytest.raises(torch.linalg.LinAlgError):  # type: ignore[attr-defined]  # torch imports it from its extension
            lowered.module()(torch.zeros(2, 2), torch.tensor(3))


def test_assertions_hold_below_autograd():
    program = reference.export(Checked(), (torch.eye(2), torch.tensor(3)), pre_dispatch=False)
    y, made = program.module()(2 * torch.eye(2), torch.tensor(5))
    assert (y.dtype, made.shape) == (torch.bfloat16, (5,))
    for size in (1, 6):
        with pytest.raises(RuntimeError, match="Runtime assertion failed"):
            program.module()(torch.eye(2), torch.tensor(size))


def test_sizes_stay_dynamic_and_calls_outside_of_them_refused():
    dims = ({0: Dim("n", min=1, max=8)}, {0: Dim("n", min=1, max=8)})
    program = reference.export(Twice(), (torch.randn(3, 2), torch.randn(3, 2)), dynamic_shapes=dims)
    lowered = reference.load(io.BytesIO(saved(reference.decompose(program), reference.save)))
    assert lowered.module()(torch.randn(1, 2), torch.randn(1, 2)).shape == (1, 2)
    for sizes in ((9, 9), (0, 0), (2, 3)):
        with pytest.raises((AssertionError, RuntimeError)):
            lowered.module()(*(torch.randn(size, 2) for size in sizes))


def test_provenance_is_kept_and_names_the_node_before():
    program = reference.export(Net(), (torch.randn(1, 2, 4),))
    (node,) = (each for each in reference.decompose(program).graph.nodes if each.name == "permute")
    assert "in forward" in node.meta["stack_trace"]
    assert [path for path, _ in node.meta["nn_module_stack"].values()] == ["", "linear"]
    assert [source.name for source in node.meta["from_node"]] == ["linear"]


def test_provenance_of_a_second_lowering_leads_back_to_the_first():
    once = reference.decompose(reference.export(Net(), (torch.randn(1, 2, 4),)))
    (node,) = (each for each in reference.decompose(once).graph.nodes if each.name == "permute")
    (source,) = node.meta["from_node"]
    assert (source.name, [each.name for each in source.from_node]) == ("permute", ["linear"])


class Viewed(torch.nn.Module):
    def forward(self, x):
        made = x.clone()
        view = made.view(-1, 1)
        made.add_(1)
        return view


def test_a_view_made_anew_stands_where_it_was_made():
    lowered = reference.decompose(reference.export(Viewed(), (torch.randn(3),)))
    assert targets(lowered) == ["aten.clone.default", "aten.add.Tensor", "aten.view.default"]
    (view,) = (node for node in lowered.graph.nodes if node.target is torch.ops.aten.view.default)
    assert "view = made.view(-1, 1)" in view.meta["stack_trace"]


def test_annotations_of_the_user_are_kept_everywhere():
    with torch.fx.traceback.preserve_node_meta():
        with torch.fx.traceback.annotate({"stage": (1, {2: "two"})}):
            program = reference.export(Net(), (torch.randn(1, 2, 4),))
        lowered = reference.decompose(program)
    for each in (program, lowered):
        assert {str(node.meta["custom"]["stage"]) for node in each.graph.nodes} == {"(1, {2: 'two'})"}


@pytest.mark.parametrize(
    "model", [Net(), torch.nn.BatchNorm1d(2), torch.nn.LSTM(4, 4)], ids=lambda each: type(each).__name__
)
def test_torchs_tools_take_our_programs(model):
    x = torch.randn(1, 2, 4)
    program = reference.export(model, (x,))
    lowered = program.run_decompositions()
    assert targets(lowered) == targets(reference.decompose(program))
    for each in (lowered, torch.export.load(io.BytesIO(saved(program, torch.export.save)))):
        torch.testing.assert_close(each.module()(x), copy.deepcopy(model)(x))
    assert list(dict(torch.export.unflatten(program).named_parameters())) == list(dict(model.named_parameters()))


# --- calls of submodules ----------------------------------------------------------------------


class Inner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)

    def forward(self, x, *, scale=1, extra=None):
        return {"y": self.linear(x) * scale, "x": x, "size": x.shape[0], "extra": extra}


class Twice(torch.nn.Module):
    """One layer called twice, in two ways, and one in a region of another grad mode."""

    def __init__(self):
        super().__init__()
        self.inner, self.other = Inner(), Inner()

    def forward(self, x, z):
        first = self.inner(x, scale=2)
        second = self.inner(first["y"], extra=[z, None])
        with torch.no_grad():
            third = self.other(second["y"], scale=x.shape[0])
        return first["y"] + second["y"] + third["y"] + second["extra"][0] * first["size"]


@pytest.mark.parametrize("strict", [False, True], ids=["nonstrict", "strict"])
@pytest.mark.parametrize("lower", [lambda program: program, reference.decompose], ids=["captured", "lowered"])
def test_signatures_of_calls_are_kept(lower, strict):
    dims = ({0: Dim("n")}, {0: Dim("n")})
    model = Twice()
    program = lower(
        reference.export(
            model,
            (torch.randn(3, 2), torch.randn(3, 2)),
            dynamic_shapes=dims,
            strict=strict,
            preserve_module_call_signature=("inner", "other"),
        )
    )
    signatures = {entry.fqn: entry.signature for entry in program.module_call_graph if entry.signature}
    assert list(signatures) == ["", "inner", "other", "inner@1"]
    names = {node.name for node in program.graph.nodes}
    for name in ("inner", "inner@1", "other"):
        arguments = [*signatures[name].inputs, *signatures[name].outputs]
        assert {each.name for each in arguments} - {""} <= names
    assert [each.name or each.value for each in signatures["inner"].inputs] == ["x", 2]
    assert [each.name or each.value for each in signatures["inner@1"].inputs][1:] == ["z", None]
    module = torch.export.unflatten(program)
    x, z = torch.randn(5, 2), torch.randn(5, 2)
    torch.testing.assert_close(module(x, z), model(x, z))


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.here = torch.nn.Linear(2, 2)
        self.there = self.here

    def forward(self, x):
        return self.here(x) + self.there(2 * x)


def test_calls_by_another_name_are_not_those_of_the_name_asked_for():
    program = reference.export(Tied(), (torch.randn(3, 2),), preserve_module_call_signature=("here",))
    signatures = {entry.fqn: entry.signature for entry in program.module_call_graph}
    assert list(signatures) == ["", "here", "there"]
    assert signatures["there"] is None
    assert [each.name for each in signatures["here"].inputs] == ["x"]


def test_notes_of_calls_do_not_stay():
    program = reference.export(Twice(), (torch.randn(3, 2),) * 2, preserve_module_call_signature=("inner",))
    kept = {key for part in program.graph_module.modules() for node in part.graph.nodes for key in node.meta}
    assert not [key for key in kept if "exportcheck" in key]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in program.graph_module.modules())


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ("inner", r"must be a tuple of names, got 'inner'. Write \('inner',\)."),
        (
            ("inne",),
            r"names 'inne', which is not a submodule. Submodules: 'inner', 'inner.linear', 'other', 'other.linear'.",
        ),
    ],
)
def test_names_of_no_submodule_are_refused(paths, message):
    with pytest.raises(reference.InvalidInput, match=message):
        reference.export(Twice(), (torch.randn(3, 2),) * 2, preserve_module_call_signature=paths)


class Reassigns(torch.nn.Module):
    count: torch.Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.count = self.count + 1
        return x * self.count


@pytest.mark.parametrize("strict", [False, True])
def test_a_child_that_reassigns_a_buffer_is_unflattened_with_what_follows_it(strict):
    """torch drops the new value in both captures."""
    model = torch.nn.Sequential(Reassigns(), Reassigns(), torch.nn.Linear(2, 2))
    program = reference.export(copy.deepcopy(model), (torch.ones(2),), strict=strict)
    for made in (program, reference.decompose(program)):
        unflattened = torch.export.unflatten(copy.deepcopy(made))
        eager = copy.deepcopy(model)
        for _ in range(2):
            assert torch.equal(unflattened(torch.ones(2)), eager(torch.ones(2)))
        assert getattr(unflattened, "0").count.item() == 2
