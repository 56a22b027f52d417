"""The script of a reduced finding: a module of a few lines, the stage, and what is expected and got; it needs torch only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export.graph_signature import InputKind

from pytest_exportcheck.bundles.reduction.draft import Candidate, Draft, Slot, calls_of
from pytest_exportcheck.bundles.reduction.literals import expression_of
from pytest_exportcheck.bundles.reduction.shapes_text import dynamic_shapes_of
from pytest_exportcheck.bundles.reduction.spelling import Source, Spelling, Unspeakable, source_of
from pytest_exportcheck.describe.operators import operator_facts


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The content of a script: the ``title`` for its docstring, the finding, the stages up to the one that is at fault, and the engine.

    ``stage`` is its last stage; ``capture`` the one before all others. ``engine`` is ``module:name`` of another engine
    than torch's, whose object has the methods of the stages.
    """

    title: str
    check: str
    change: str
    key: str
    capture: str
    stage: str
    exact: bool = True
    engine: str = ""
    no_grad: bool = False


#: Lines that make ``after`` of ``program``.
_EDGES: Mapping[str, tuple[str, ...]] = {
    "decompose": ("after = {engine}decompose(program)",),
    "serdes": (
        "file = io.BytesIO()",
        "{engine}save(program, file)",
        "file.seek(0)",
        "after = {engine}load(file)",
    ),
    "retrace": ("after = {engine}export(program.module(), {args})",),
    "unflatten": ("after = {engine}unflatten(program)",),
}
_FACTS = {"stride": ".stride()", "dtype": ".dtype", "shape": ".shape", "device": ".device", "layout": ".layout"}
_SUPPORTED = ("outputs", "effects", "gradients", "stage")


def can_script(subject: Subject) -> str:
    """Return why no script can be written for a finding; empty where one can."""
    if subject.check not in _SUPPORTED:
        return f"a script that needs torch only compares values, and the finding is about {subject.check}"
    if subject.stage not in (*_EDGES, subject.capture):
        return f"the stage {subject.stage} is not one of torch.export"
    return ""


def scripts_of(candidate: Candidate, subject: Subject, spelling: Spelling) -> Iterator[str]:
    """Yield scripts that may show a finding, the plainest first: the caller runs them, and takes one that exits with 1.

    Raises
    ------
    Unspeakable
        If the program cannot be written as source.
    """
    source = source_of(candidate.program, spelling)
    given = subject.capture.startswith("strict")
    for strict in (given,) if subject.stage == subject.capture else dict.fromkeys((False, given)):
        for shown in _ways(subject):
            yield "\n".join(_lines(candidate, subject, source, strict=strict, shown=shown)) + "\n"


def module_text(candidate: Candidate, spelling: Spelling) -> str:
    """Return the source of the module."""
    return "\n".join(_class(candidate, source_of(candidate.program, spelling)))


def _ways(subject: Subject) -> Sequence[str]:
    """Return what may be shown of the outputs, as the end of an expression."""
    if subject.check != "outputs" or subject.change == "raised":
        return ("",)
    return (_FACTS[subject.key],) if subject.key in _FACTS else ("", ".signbit()")


def _lines(candidate: Candidate, subject: Subject, source: Source, *, strict: bool, shown: str) -> Iterator[str]:
    serdes = subject.stage == "serdes"
    yield f'"""{subject.title}"""'
    yield ""
    if serdes:
        yield "import io"
        yield ""
    yield "import torch"
    if _is_below_autograd(subject):
        yield "from torch.export._trace import _export"
    engine = "torch.export."
    if subject.engine:
        module, _, name = subject.engine.partition(":")
        yield f"from {module} import {name}"
        engine = f"{name}()."
    yield from ("", "", *_class(candidate, source), "", "")
    call = _Call(args="args", run="{}(*args)") if _is_plain(candidate, subject) else _Call("arguments()", "run({})")
    if call.args == "args":
        yield f"args = {_tuple(map(_input, candidate.calls[0].args))}"
    else:
        yield from _arguments(candidate)
        yield from _running(candidate, subject)
    shapes = dynamic_shapes_of(candidate)
    yield from shapes.lines
    options = f"{f', dynamic_shapes={shapes.text}' if shapes.text else ''}{', strict=True' if strict else ''}"
    if subject.stage != subject.capture:
        yield f"program = torch.export.export(M(), {call.args}{options})"
    yield from _shown(subject, engine, call, options, shown)


@dataclass(frozen=True)
class _Call:
    """The expressions of the arguments and of a call."""

    args: str
    run: str


def _shown(subject: Subject, engine: str, call: _Call, options: str, shown: str) -> Iterator[str]:
    edge = _edge(subject, engine, call, options)
    module = "after" if subject.stage == "unflatten" else "after.module()"
    yield f"expected = {call.run.format('M()')}{shown}"
    got = f"got = {call.run.format(module)}{shown}"
    if subject.check == "stage" or subject.change == "raised":
        yield "try:"
        yield from (f"    {line}" for line in (*edge, got))
        yield "except Exception as error:"
        yield '    got = f"{type(error).__name__}: {error}"'
        ending = ["raise SystemExit(isinstance(got, str))"]
    else:
        yield from (*edge, got)
        plain = shown in _FACTS.values()
        tolerance = ", rtol=0, atol=0" if subject.exact else ""
        ending = (
            ["raise SystemExit(got != expected)"]
            if plain
            else [f"torch.testing.assert_close(got, expected{tolerance}, equal_nan=True)"]
        )
    yield 'print("expected", expected)'
    yield 'print("got     ", got)'
    yield from ending


def _edge(subject: Subject, engine: str, call: _Call, options: str) -> Sequence[str]:
    """Return the lines that make ``after``: of the program, or by a capture."""
    if _is_below_autograd(subject):
        strict = "" if "strict=True" in options else ", strict=False"
        return (f"after = _export(M(), {call.args}{options}{strict}, pre_dispatch=False)",)
    if subject.stage == subject.capture:
        return (f"after = {engine}export(M(), {call.args}{options})",)
    if not subject.engine and subject.stage == "decompose":
        return ("after = program.run_decompositions()",)
    return [line.format(engine=engine, args=call.args) for line in _EDGES[subject.stage]]


def _is_below_autograd(subject: Subject) -> bool:
    return subject.stage == subject.capture and subject.capture.endswith("_postdispatch") and not subject.engine


def _is_plain(candidate: Candidate, subject: Subject) -> bool:
    """Return True if the arguments may be made once and passed to both: nothing is written, drawn or differentiated."""
    program = candidate.program
    facts = {
        fact for node in calls_of(program.graph_module) for fact in operator_facts(node.target, node.args, node.kwargs)
    }
    written = any(spec.target is not None for spec in program.graph_signature.output_specs)
    return (
        subject.check in ("outputs", "stage")
        and len(candidate.calls) == 1
        and not written
        and not facts & {"mutates", "random"}
    )


def _tuple(texts: Iterable[str]) -> str:
    given = list(texts)
    return f"({', '.join(given)}{',' if len(given) == 1 else ''})"


def _class(candidate: Candidate, source: Source) -> Iterator[str]:
    yield "class M(torch.nn.Module):"
    if source.state:
        yield "    def __init__(self):"
        yield "        super().__init__()"
        held = {str(slot.spec.target): slot for slot in Draft(candidate).slots.values() if slot.spec.target}
        for attribute, (_, target) in source.state.items():
            yield f"        {_assignment(attribute, held[target])}"
        yield ""
    yield f"    def forward({', '.join(('self', *source.parameters))}):"
    yield from (f"        {line}" if line else "" for line in source.body)


def _assignment(attribute: str, slot: Slot) -> str:
    value = slot.values[0]
    text = _expression(value.detach() if isinstance(value, torch.Tensor) else value)
    if slot.spec.kind is InputKind.PARAMETER:
        grad = "" if value.requires_grad else ", requires_grad=False"
        return f"self.{attribute} = torch.nn.Parameter({text}{grad})"
    if slot.spec.kind is InputKind.BUFFER:
        persistent = "" if slot.spec.persistent else ", persistent=False"
        return f'self.register_buffer("{attribute}", {text}{persistent})'
    return f"self.{attribute} = {text}"


def _arguments(candidate: Candidate) -> Iterator[str]:
    """Yield the function that makes the arguments of the call, or of each of several."""
    texts = [[_input(leaf) for leaf in call.args] for call in candidate.calls]
    if len(texts) == 1:
        yield "def arguments():"
        yield f"    return {_tuple(texts[0])}"
    else:
        yield "def arguments(call=0):"
        for number, each in enumerate(texts):
            yield f"    if call == {number}:"
            yield f"        return {_tuple(each)}"
    yield ""
    yield ""


def _running(candidate: Candidate, subject: Subject) -> Iterator[str]:
    """Yield the function that runs a module and returns what is compared."""
    yield "def run(module):"
    if _is_random(candidate):
        yield "    torch.manual_seed(0)"
    calls = len(candidate.calls)
    if subject.check == "outputs" or subject.check == "stage":
        yield from (f"    module(*arguments({number}))" for number in range(calls - 1))
        yield f"    return module(*arguments({calls - 1 if calls > 1 else ''}))"
    elif subject.check == "gradients":
        yield "    args = arguments()"
        yield "    module(*args).sum().backward()"
        yield "    return [each.grad for each in (*args, *module.parameters()) if each.requires_grad]"
    else:
        yield "    args = arguments()"
        yield "    module(*args)"
        yield from (f"    module(*arguments({number}))" for number in range(1, calls))
        yield "    return [*args, *module.buffers()]"
    yield ""
    yield ""


def _input(value: Any) -> str:
    text = _expression(value.detach() if isinstance(value, torch.Tensor) else value)
    return f"{text}.requires_grad_()" if isinstance(value, torch.Tensor) and value.requires_grad else text


def _expression(value: Any) -> str:
    text = expression_of(value)
    if text is None:
        raise Unspeakable("a tensor that is too large to be written, and that no recipe makes")
    return text


def _is_random(candidate: Candidate) -> bool:
    return any(
        "random" in operator_facts(node.target, node.args, node.kwargs)
        for node in calls_of(candidate.program.graph_module)
    )
