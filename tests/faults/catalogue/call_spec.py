"""How a program says that it is called and what it returns."""

from __future__ import annotations

import collections

from torch.export import ExportedProgram

from tests.faults.editing import reshape_input
from tests.faults.fault import fault


def _set_names(program: ExportedProgram, *names: str) -> None:
    program.module_call_graph[0].signature.forward_arg_names = list(names)


@fault("nonstrict-serdes", "layered", owner="call_spec", field="names")
def argument_renamed(program: ExportedProgram) -> None:
    _set_names(program, "x", "z")


@fault("nonstrict-decompose", "layered", owner="call_spec", field="names")
def arguments_named_in_another_order(program: ExportedProgram) -> None:
    _set_names(program, "y", "x")


@fault("nonstrict-retrace", "layered", owner="call_spec", field="names")
def arguments_retraced_by_number(program: ExportedProgram) -> None:
    _set_names(program, "arg0", "arg1")


@fault("nonstrict-serdes", "layered", owner="call_spec", field="names")
def argument_names_dropped(program: ExportedProgram) -> None:
    program.module_call_graph[0].signature.forward_arg_names = None


@fault("nonstrict", "layered", owner="call_spec", field="names")
def argument_captured_under_another_name(program: ExportedProgram) -> None:
    _set_names(program, "x", "z")


@fault("nonstrict-serdes", "structured", owner="call_spec", field="structure")
def list_expected_as_tuple(program: ExportedProgram) -> None:
    reshape_input(program, lambda args, kwargs: ((tuple(args[0]), *args[1:]), kwargs))


@fault("nonstrict-decompose", "structured", owner="call_spec", field="structure")
def dict_expected_as_ordered_dict(program: ExportedProgram) -> None:
    reshape_input(program, lambda args, kwargs: ((args[0], collections.OrderedDict(args[1])), kwargs))


@fault("nonstrict-serdes", "structured", owner="call_spec", field="structure")
def keyword_renamed(program: ExportedProgram) -> None:
    reshape_input(program, lambda args, kwargs: (args, {"switch": kwargs["flag"]}))


@fault("nonstrict", "structured", owner="call_spec", field="structure")
def keyword_captured_as_positional(program: ExportedProgram) -> None:
    reshape_input(program, lambda args, kwargs: ((*args, kwargs["flag"]), {}))


@fault("nonstrict-retrace", "structured", owner="call_spec", field="structure")
def keys_expected_in_another_order(program: ExportedProgram) -> None:
    reshape_input(program, lambda args, kwargs: ((args[0], dict(reversed(args[1].items()))), kwargs))


@fault("nonstrict-serdes", "structured", owner="call_spec", field="structure")
def key_expected_under_another_name(program: ExportedProgram) -> None:
    reshape_input(program, lambda args, kwargs: ((args[0], {"one": 0, "three": 0}), kwargs))
