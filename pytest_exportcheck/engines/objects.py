"""Uses of objects, script objects and opaque ones, that stages of torch do not support (2.13, 2.14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from torch.export import ExportedProgram
from torch.export.graph_signature import CustomObjArgument, InputKind, OutputKind

from pytest_exportcheck.errors import Unsupported
from pytest_exportcheck.harness._torch import CALL_TORCHBIND, is_fake_object, is_object, pytree

Stage = Literal["file", "unflatten"]


def beyond_torch(program: Any, stage: Stage) -> str:
    """Name the first use of an object in a program that a stage of torch fails on; empty if there is none."""
    found = _USES[stage](program) if isinstance(program, ExportedProgram) else iter(())
    return next(found, "")


@contextmanager
def refused_by_torch(program: Any, stage: Stage) -> Iterator[None]:
    """Turn an error of a stage of torch into ``Unsupported``, if the program uses an object in a way that explains it.

    Raises
    ------
    Unsupported
        With the use, and the error.
    """
    try:
        yield
    except Exception as error:
        if what := beyond_torch(program, stage):
            raise Unsupported(f"torch does not support {what} here: {type(error).__name__}: {_line(error)}") from error
        raise


def check_real(program: ExportedProgram) -> None:
    """Refuse a program of a strict capture in which torch left fakes in the place of script objects.

    Raises
    ------
    Unsupported
        With the names of the objects.
    """
    names = [name for name, value in program.constants.items() if is_fake_object(value)]
    if names:
        raise Unsupported(
            f"a strict capture by torch has no script object in {', '.join(names)}, but a fake of it. Capture non-strictly."
        )


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _in_files(program: ExportedProgram) -> Iterator[str]:
    signature = program.graph_signature
    for spec in signature.output_specs:
        if spec.kind is OutputKind.USER_OUTPUT and isinstance(spec.arg, CustomObjArgument):
            yield f"an object that is returned ({spec.arg.name})"
    given = {spec.arg.name for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT}
    for node in program.graph.nodes:
        if node.op == "placeholder" and is_object(node.meta.get("val")):
            yield f"an opaque object that is passed in ({node.name})"
        if node.op != "call_function":
            continue
        for value in pytree.tree_leaves((node.args, node.kwargs)):
            if is_object(value):
                yield f"a constant object in the graph ({node.name})"
        if CALL_TORCHBIND not in (node.target, *node.args[1:2]):
            continue
        if any(type(each) in (int, float, bool) for each in pytree.tree_leaves(node.meta.get("val"))):
            yield f"a method of a script object that returns a number ({node.name})"
        if node.target is not CALL_TORCHBIND and any(each.name in given for each in node.all_input_nodes[1:2]):
            yield f"a method of a script object that is passed in ({node.name})"


def _unflattened(program: ExportedProgram) -> Iterator[str]:
    for spec in program.graph_signature.input_specs:
        if isinstance(spec.arg, CustomObjArgument):
            yield f"an object among the inputs of the graph ({spec.arg.name})"


_USES: Mapping[Stage, Callable[[ExportedProgram], Iterator[str]]] = {"file": _in_files, "unflatten": _unflattened}
