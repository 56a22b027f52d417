"""Engines: bare objects adapted, the torch engine, and picking them by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytest_exportcheck.engines import all_engines, select_engines
from pytest_exportcheck.engines.artifacts import as_artifact
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.custom import ProgramEdge, with_edges
from pytest_exportcheck.engines.protocol import Engine, ModuleArtifact, ProgramArtifact, Request, StageArtifact
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.errors import EngineError, SelectionError, Unsupported
from pytest_exportcheck.harness.fingerprint import edited, fingerprint


class Program:
    def __init__(self, *history):
        self.history = history

    def module(self):
        return self.history


class Bare:
    """Every method notes that it was called."""

    name = "bare"

    def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
        return Program(module, args, kwargs, dynamic_shapes, strict, pre_dispatch)

    def decompose(self, program, decomp_table=None):
        return Program("decomposed", *program.history)

    def save(self, program, file, *, extra_files=None):
        file.write(b"saved")

    def load(self, file, *, extra_files=None):
        return Program("loaded", file.read())

    def unflatten(self, program):
        return ("unflattened", *program.history)


REQUEST = Request((1,), {"k": 2}, "shapes", strict=True, pre_dispatch=False)
ARTIFACT = as_artifact(ProgramArtifact(Program("given"), REQUEST), "a test")


def message_of(candidate):
    with pytest.raises(EngineError) as raised:
        as_engine(candidate)
    return str(raised.value)


def yielded(artifact: StageArtifact) -> Any:
    """What there is to call of a stand-in: its history."""
    return artifact.callable()


@pytest.mark.parametrize(
    ("capture", "strict", "pre_dispatch"),
    [
        ("nonstrict", False, True),
        ("nonstrict_postdispatch", False, False),
        ("strict", True, True),
        ("strict_postdispatch", True, False),
    ],
)
def test_the_four_captures_are_flags_of_export(capture, strict, pre_dispatch):
    module = torch.nn.Identity()
    artifact = as_engine(Bare()).captures[capture](module, (1,), {"k": 2}, "shapes")
    assert yielded(artifact) == (module, (1,), {"k": 2}, "shapes", strict, pre_dispatch)
    request = artifact.request
    assert (request.args, request.kwargs, request.dynamic_shapes) == ((1,), {"k": 2}, "shapes")
    assert (request.strict, request.pre_dispatch) == (strict, pre_dispatch)


def test_a_retrace_asks_for_the_same_capture_of_what_it_is_given():
    artifact = as_engine(Bare()).edges["retrace"](ARTIFACT)
    assert yielded(artifact) == (("given",), (1,), {"k": 2}, "shapes", True, False)


def test_serdes_loads_what_was_saved():
    assert yielded(as_engine(Bare()).edges["serdes"](ARTIFACT)) == ("loaded", b"saved")


def test_decompose_transforms_the_program_and_keeps_the_request():
    artifact = as_engine(Bare()).edges["decompose"](ARTIFACT)
    assert (yielded(artifact), artifact.request) == (("decomposed", "given"), REQUEST)


def test_unflatten_yields_a_module():
    artifact = as_engine(Bare()).edges["unflatten"](ARTIFACT)
    assert (yielded(artifact), artifact.request) == (("unflattened", "given"), REQUEST)


@pytest.mark.parametrize("edge", ["decompose", "serdes", "unflatten"])
def test_what_needs_a_program_is_unsupported_without_one(edge):
    with pytest.raises(Unsupported, match=r"^ModuleArtifact holds no program to transform\.$"):
        as_engine(Bare()).edges[edge](as_artifact(ModuleArtifact(torch.nn.Identity(), REQUEST), "a test"))


def test_a_bare_object_has_the_edges_for_which_it_has_methods():
    export_only = SimpleNamespace(name="small", export=lambda *args, **kwargs: None)
    assert list(as_engine(export_only).edges) == ["retrace"]
    assert set(as_engine(Bare()).edges) == {"retrace", "decompose", "serdes", "unflatten"}


def test_saving_without_loading_is_no_serdes():
    saver = SimpleNamespace(name="small", export=print, save=print)
    assert "serdes" not in as_engine(saver).edges


class Own:
    """The artifact of an engine that has captures and edges: there is something to call, and nothing else."""

    def __init__(self, *history):
        self.history = history

    def callable(self):
        return self.history


class OwnWithProgram(Own):
    program = Program("its program")


def full(capture=lambda *given: Own("captured"), **options):
    """An engine with captures and edges. Its edge takes artifacts of its own only."""
    edges = {"optimise": lambda own: Own("optimised", *own.history)}
    return SimpleNamespace(**{"name": "full", "captures": {"nonstrict": capture}, "edges": edges, **options})


def capture_of(engine):
    return engine.captures["nonstrict"](torch.nn.Identity(), (), {}, None)


def test_an_engine_with_captures_and_edges_has_every_attribute():
    engine = as_engine(full(edits_input=("optimise",), delegates_to={"optimise": "torch"}, refusals=[ValueError]))
    assert engine.edits_input == {"optimise"}
    assert engine.delegates_to == {"optimise": "torch"}
    assert engine.refusals == (ValueError,)
    assert (engine.contract_of, engine.default_modes, engine.objections) == ({}, frozenset(), ())
    assert (engine.save, engine.load, engine.format, engine.unportable) == (None, None, "", None)


def test_an_engine_that_is_adapted_stays_as_it_is():
    engine = as_engine(Bare())
    assert isinstance(engine, Engine)
    assert as_engine(engine) is engine


def test_an_artifact_has_every_attribute():
    artifact = capture_of(as_engine(full()))
    assert isinstance(artifact, StageArtifact)
    assert (yielded(artifact), artifact.program, artifact.request) == (("captured",), None, None)
    assert (artifact.saved, artifact.resaved(), artifact.reader, artifact.other_readers) == ({}, {}, "", {})


def test_an_attribute_that_means_something_else_to_an_engine_is_left_out():
    odd: Any = OwnWithProgram()
    odd.saved, odd.resave, odd.reader, odd.other_readers, odd.request = True, "no", None, ["a"], "no"
    artifact = capture_of(as_engine(full(lambda *given: odd)))
    assert artifact.program is odd.program
    assert (artifact.saved, artifact.resaved(), artifact.reader, artifact.other_readers) == ({}, {}, "", {})
    assert artifact.request is None


def test_the_edges_of_an_engine_get_its_own_artifacts():
    engine = as_engine(full())
    made = engine.edges["optimise"](capture_of(engine))
    assert (yielded(made), type(made.made)) == (("optimised", "captured"), Own)


def test_an_added_edge_transforms_the_program_of_an_engine_s_own_artifact():
    def inlined(program):
        return Program("inlined", *program.history)

    engine = with_edges(as_engine(full(lambda *given: OwnWithProgram())), {"inline": ProgramEdge(inlined, "serdes")})
    assert yielded(engine.edges["inline"](capture_of(engine))) == ("inlined", "its program")
    assert engine.contract_of == {"inline": "serdes"}


def test_an_added_edge_is_unsupported_where_there_is_no_program():
    engine = with_edges(as_engine(full()), {"inline": lambda program: program})
    with pytest.raises(Unsupported) as raised:
        engine.edges["inline"](capture_of(engine))
    assert str(raised.value) == "Own holds no program to transform."


def test_an_added_edge_leaves_every_attribute_of_the_engine():
    engine = as_engine(full(edits_input=("optimise",), refusals=(ValueError,), default_modes=("nonstrict",)))
    extended = with_edges(engine, {"inline": lambda program: program})
    assert set(extended.edges) == {"optimise", "inline"}
    assert (extended.edits_input, extended.refusals, extended.default_modes) == (
        frozenset({"optimise"}),
        (ValueError,),
        frozenset({"nonstrict"}),
    )


@pytest.mark.parametrize(
    ("made", "said"), [(None, "None"), (Program("bare"), "an object of type Program")], ids=["nothing", "a program"]
)
def test_an_engine_that_returns_no_artifact_is_refused(made, said):
    wanted = (
        f"returned {said}, expected an artifact: an object with a method callable() that returns a function of "
        "the model's arguments."
    )
    with pytest.raises(EngineError) as raised:
        capture_of(as_engine(full(lambda *given: made)))
    assert str(raised.value) == f"capture 'nonstrict' of engine 'full' {wanted}"
    engine = as_engine(full(edges={"optimise": lambda own: made}))
    with pytest.raises(EngineError) as raised:
        engine.edges["optimise"](capture_of(engine))
    assert str(raised.value) == f"edge 'optimise' of engine 'full' {wanted}"


@pytest.mark.parametrize(
    ("attribute", "value", "wanted"),
    [
        ("edits_input", "unflatten", "a tuple of names, got 'unflatten'."),
        ("default_modes", 3, "a tuple of names, got 3."),
        ("refusals", ValueError, "a tuple of exception classes, got <class 'ValueError'>."),
        ("objections", ("ValueError",), "a tuple of exception classes, got ('ValueError',)."),
        ("delegates_to", ["interop"], "a mapping from stages to names, got ['interop']."),
        ("contract_of", "serdes", "a mapping from stages to names, got 'serdes'."),
        ("format", 2, "a string, got 2."),
        ("load", "here", "a method, got 'here'."),
    ],
)
def test_an_attribute_of_another_type_is_refused(attribute, value, wanted):
    bare = SimpleNamespace(name="mine", export=print, **{attribute: value})
    assert message_of(bare) == f"engine 'mine': {attribute} must be {wanted}"
    assert message_of(full(name="mine", **{attribute: value})) == f"engine 'mine': {attribute} must be {wanted}"


def test_edits_input_is_handed_on():
    assert as_engine(TorchExport()).edits_input == {"unflatten"}


@pytest.mark.parametrize("name", [None, "", "Mine", "my-engine", "a b", 3])
def test_a_name_that_fits_no_id_is_refused(name):
    candidate = SimpleNamespace(name=name)
    assert message_of(candidate) == (
        f"the name of an engine must be of lower-case letters, digits and '_', got {name!r} from {candidate!r}."
    )


def test_an_engine_without_export_is_refused():
    assert message_of(SimpleNamespace(name="mine")) == (
        "engine 'mine' lacks export(module, args, kwargs=None, *, dynamic_shapes=None, strict=False, "
        "pre_dispatch=True). Add it: every engine must capture."
    )


def test_captures_without_edges_are_refused():
    assert message_of(SimpleNamespace(name="mine", captures={})) == (
        "engine 'mine' has captures but no mapping 'edges'. Add one; it may be empty."
    )


def test_the_torch_engine_is_always_there_and_first():
    assert list(all_engines([Bare()])) == ["torch", "reference", "bare"]


def test_two_engines_of_one_name_are_refused():
    with pytest.raises(EngineError) as raised:
        all_engines([SimpleNamespace(name="torch", export=print)])
    assert str(raised.value) == "two engines are called 'torch'; rename the one that your hook adds."


def test_engines_are_picked_by_glob():
    engines = all_engines([Bare()])
    assert [engine.name for engine in select_engines(engines, ["b*"])] == ["bare"]
    assert [engine.name for engine in select_engines(engines, ["*", "bare"])] == ["torch", "reference", "bare"]


def test_without_a_name_every_engine_runs():
    assert [engine.name for engine in select_engines(all_engines([Bare()]), [])] == ["torch", "reference", "bare"]


def test_a_glob_that_matches_no_engine_is_an_error():
    with pytest.raises(SelectionError) as raised:
        select_engines(all_engines([Bare()]), ["torch", "onnx"])
    assert str(raised.value) == "unknown engine 'onnx'. Engines: torch, reference, bare."


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x).relu()


@pytest.fixture
def captured():
    engine = as_engine(TorchExport())
    return engine, engine.captures["nonstrict"](Net(), (torch.ones(1, 2),), {}, None)


def ops(artifact):
    return {str(node.target) for node in artifact.program.graph.nodes if node.op == "call_function"}


def test_torch_captures_before_dispatch_and_below_autograd(captured):
    engine, artifact = captured
    below = engine.captures["nonstrict_postdispatch"](Net(), (torch.ones(1, 2),), {}, None)
    assert "aten.linear.default" in ops(artifact)
    assert below.program.graph_signature is not None
    assert torch.equal(below.callable()(torch.zeros(1, 2)).relu(), below.callable()(torch.zeros(1, 2)))


def test_torch_decomposes(captured):
    engine, artifact = captured
    assert "aten.linear.default" not in ops(engine.edges["decompose"](artifact))


@pytest.mark.parametrize("edge", ["serdes", "retrace", "decompose"])
def test_torch_leaves_its_input_alone(captured, edge):
    engine, artifact = captured
    before = fingerprint(artifact.program)
    engine.edges[edge](artifact)
    assert edited(before, fingerprint(artifact.program)) == ()


@pytest.mark.parametrize("edge", ["serdes", "retrace", "decompose", "unflatten"])
def test_every_edge_of_torch_yields_something_to_call(captured, edge):
    engine, artifact = captured
    x = torch.ones(1, 2)
    expected = artifact.callable()(x)
    assert torch.allclose(engine.edges[edge](artifact).callable()(x), expected)


def test_shapes_that_go_by_tensors_are_passed_on_as_they_are():
    shapes = torch.export.ShapesCollection()
    shapes[torch.ones(3)] = {0: torch.export.Dim.DYNAMIC}
    artifact = as_engine(Bare()).captures["nonstrict"](torch.nn.Identity(), (torch.ones(3),), {}, shapes)
    assert artifact.request.dynamic_shapes is shapes
    assert artifact.request.specs is None
