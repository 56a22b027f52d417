"""Conversion between a plain program and the structures of the schema, with a supplement for what these cannot hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import sympy
import torch

from pytest_exportcheck.errors import SchemaError, SerializationWarning, UnsupportedError
from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.convert.arguments import Argument, Scope, read_argument, write_argument
from pytest_exportcheck.reference.pt2.convert.metadata import read_graph_metadata, write_graph_metadata
from pytest_exportcheck.reference.pt2.convert.read_graph import read_graph
from pytest_exportcheck.reference.pt2.convert.unrepresentable import MARK, Unrepresentable
from pytest_exportcheck.reference.pt2.convert.write_graph import write_graph
from pytest_exportcheck.reference.pt2.expressions import SymbolTable, parse
from pytest_exportcheck.reference.pt2.expressions import write as write_expression
from pytest_exportcheck.reference.pt2.json.codec import encode_program
from pytest_exportcheck.reference.pt2.plain.difference import difference, restored
from pytest_exportcheck.reference.pt2.plain.kind import Plain
from pytest_exportcheck.reference.pt2.plain.values import number_of, plain
from pytest_exportcheck.reference.pt2.treespec import describe_foreign, describe_spec, dumps, loads, spec_of
from pytest_exportcheck.reference.pt2.warn import warn_caller

SCHEMA_VERSION = schema.SchemaVersion(major=schema.SCHEMA_VERSION[0], minor=schema.SCHEMA_VERSION[1])
#: The version of the supplement, under the key ``exportcheck`` of the JSON. A reader leaves out a supplement of another version,
#: so every change of its form needs a new number, a line here and a row in docs/stability.md.
#:
#: - 1, 23 November 2026: the first version.
SUPPLEMENT_VERSION = 1


def to_structures(given: Mapping[str, Plain], opset_version: Mapping[str, int]) -> schema.ExportedProgram:
    """Return the structures, which hold all that torch can read, and the supplement, which holds the rest."""
    written = _written(given, opset_version)
    change = difference(given, _read(written, read_spec))
    if not change:
        return written
    supplement = {"version": SUPPLEMENT_VERSION, "of": _digest(written), "difference": change}
    return msgspec.structs.replace(written, exportcheck=msgspec.Raw(msgspec.json.encode(supplement)))


def read_spec(text: str) -> Plain:
    """Return the description of a pytree spec whose classes are registered here."""
    return None if text == MARK else describe_spec(loads(text))


def read_foreign_spec(text: str) -> Plain:
    """Return the description of a pytree spec by the names of its classes, which need not exist here."""
    return None if text == MARK else describe_foreign(text)


def from_structures(given: schema.ExportedProgram, read_spec_text: Callable[[str], Plain] = read_spec) -> Plain:
    """Return the plain program. ``read_spec_text`` reads the pytree specs in it.

    Raises
    ------
    SchemaError
        Where the structures contradict themselves, or the supplement belongs to another program.
    """
    return restored(_read(given, read_spec_text), _difference_for(given))


def _difference_for(given: schema.ExportedProgram) -> Plain:
    """Return the difference in the supplement, if the supplement is about this program: another tool may have changed
    the structures.
    """
    if given.exportcheck is None:
        return {}
    try:
        supplement = msgspec.json.decode(given.exportcheck)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SchemaError(f"$.exportcheck: the supplement cannot be read ({error}). Save the program again.") from None
    if not isinstance(supplement, dict) or not {"version", "of", "difference"} <= supplement.keys():
        raise SchemaError(
            "$.exportcheck: expected an object with version, of and difference. Another program wrote this key."
        )
    if supplement["version"] != SUPPLEMENT_VERSION:
        _leave_out(f"it has version {supplement['version']!r}, this reader knows {SUPPLEMENT_VERSION}")
        return {}
    if supplement["of"] != _digest(given):
        _leave_out("the program was changed after the supplement was saved")
        return {}
    return supplement["difference"]


def _leave_out(why: str) -> None:
    warn_caller(
        f"the supplement of the program is ignored: {why}. What only the supplement holds is lost, as when torch loads the file.",
        SerializationWarning,
    )


def _digest(given: schema.ExportedProgram) -> str:
    """Return the digest of the structures that are understood: a file of a newer version that keeps its fields has a
    supplement all the same.
    """
    bare = msgspec.structs.replace(given, exportcheck=None, schema_version=SCHEMA_VERSION)
    return hashlib.sha256(encode_program(bare)).hexdigest()


def _written(given: Mapping[str, Plain], opset_version: Mapping[str, int]) -> schema.ExportedProgram:
    return schema.ExportedProgram(
        graph_module=schema.GraphModule(
            graph=write_graph(given["graph"]),
            signature=schema.GraphSignature(
                input_specs=[_write_input(each) for each in given["inputs"]],
                output_specs=[_write_output(each) for each in given["outputs"]],
            ),
            module_call_graph=[_write_call(each) for each in given["calls"]],
            metadata=write_graph_metadata(given["graph"]["meta"]),
        ),
        opset_version=dict(opset_version),
        range_constraints=dict(_write_range(*each) for each in given["ranges"]),
        schema_version=SCHEMA_VERSION,
        verifiers=list(given["verifiers"]),
        torch_version=str(torch.__version__),
        guards_code=list(given["guards"]),
    )


def _read(given: schema.ExportedProgram, read_spec_text: Callable[[str], Plain]) -> dict[str, Plain]:
    module = given.graph_module
    inputs = [_read_input(each) for each in module.signature.input_specs]
    graph = read_graph(module.graph, [_argument_name(each["arg"]) or f"arg{n}" for n, each in enumerate(inputs)])
    graph["meta"] = read_graph_metadata(module.metadata)
    table = SymbolTable()
    for text in _symbols_of(graph):
        parse(text, table)
    return {
        "graph": graph,
        "inputs": inputs,
        "outputs": [_read_output(each) for each in module.signature.output_specs],
        "ranges": [_read_range(name, each, table) for name, each in given.range_constraints.items()],
        "calls": [_read_call(each, read_spec_text) for each in module.module_call_graph],
        "verifiers": list(given.verifiers),
        "guards": list(given.guards_code),
    }


# --- the signature --------------------------------------------------------------------------


def _argument_name(arg: Plain) -> str:
    tag, content = next(iter(arg.items()))
    return str(content[1] if tag == "argument" else content[0])


#: Kind of an input -> the tag, the structure, and the field of its target.
_INPUTS: Mapping[str, tuple[str, Any, str]] = {
    "PARAMETER": ("parameter", schema.InputToParameterSpec, "parameter_name"),
    "BUFFER": ("buffer", schema.InputToBufferSpec, "buffer_name"),
    "CONSTANT_TENSOR": ("tensor_constant", schema.InputToTensorConstantSpec, "tensor_constant_name"),
    "CUSTOM_OBJ": ("custom_obj", schema.InputToCustomObjSpec, "custom_obj_name"),
}
_OUTPUTS: Mapping[str, tuple[str, Any, str]] = {
    "LOSS_OUTPUT": ("loss_output", schema.LossOutputSpec, ""),
    "BUFFER_MUTATION": ("buffer_mutation", schema.BufferMutationSpec, "buffer_name"),
    "PARAMETER_MUTATION": ("parameter_mutation", schema.ParameterMutationSpec, "parameter_name"),
    "GRADIENT_TO_PARAMETER": ("gradient_to_parameter", schema.GradientToParameterSpec, "parameter_name"),
    "GRADIENT_TO_USER_INPUT": ("gradient_to_user_input", schema.GradientToUserInputSpec, "user_input_name"),
    "USER_INPUT_MUTATION": ("user_input_mutation", schema.UserInputMutationSpec, "user_input_name"),
}
_CONSTANTS = {type(None): "as_none", bool: "as_bool", int: "as_int", float: "as_float", str: "as_string"}


def _write_input(given: Plain) -> schema.InputSpec:
    kind, arg = given["kind"], given["arg"]
    if kind == "USER_INPUT":
        if arg.get("argument", [""])[0] == "ConstantArgument":
            _, name, value = arg["argument"]
            return schema.InputSpec(
                "constant_input", schema.InputToConstantInputSpec(name=name, value=_write_constant(value))
            )
        return schema.InputSpec("user_input", schema.UserInputSpec(arg=_write_arg(arg)))
    if kind == "TOKEN":
        return schema.InputSpec("token", schema.InputTokenSpec(arg=schema.TokenArgument(name=_argument_name(arg))))
    tag, structure, field = _INPUTS[kind]
    rest = {"persistent": bool(given["persistent"])} if kind == "BUFFER" else {}
    named: Any = schema.TensorArgument(name=_argument_name(arg))
    if kind == "CUSTOM_OBJ":
        named = schema.CustomObjArgument(name=arg["custom_object"][0], class_fqn=arg["custom_object"][1])
    return schema.InputSpec(tag, structure(arg=named, **{field: given["target"]}, **rest))


def _write_constant(value: Plain) -> schema.ConstantValue:
    value = number_of(value)
    if type(value) not in _CONSTANTS:
        value = MARK
    return schema.ConstantValue(_CONSTANTS[type(value)], True if value is None else value)


def _write_output(given: Plain) -> schema.OutputSpec:
    if given["kind"] == "USER_OUTPUT":
        return schema.OutputSpec("user_output", schema.UserOutputSpec(arg=_write_arg(given["arg"])))
    if given["kind"] == "TOKEN":
        token = schema.TokenArgument(name=_argument_name(given["arg"]))
        return schema.OutputSpec("token", schema.OutputTokenSpec(arg=token))
    tag, structure, field = _OUTPUTS[given["kind"]]
    named = schema.TensorArgument(name=_argument_name(given["arg"]))
    return schema.OutputSpec(tag, structure(arg=named, **({field: given["target"]} if field else {})))


def _write_arg(arg: Plain) -> Argument:
    """Return an argument of the signature: a constant, or the name of a value."""
    if "custom_object" in arg:
        name, class_fqn = arg["custom_object"]
        return Argument("as_custom_obj", schema.CustomObjArgument(name=name, class_fqn=class_fqn))
    kind, *content = arg["argument"]
    if kind in _ARGUMENTS:
        tag, structure = _ARGUMENTS[kind]
        return Argument(tag, structure(content[0]))
    try:
        return write_argument(content[1], Scope())
    except Unrepresentable:
        return Argument("as_operator", MARK)


_ARGUMENTS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "TensorArgument": ("as_tensor", lambda name: schema.TensorArgument(name=name)),
    "SymIntArgument": ("as_sym_int", lambda name: schema.SymIntArgument("as_name", name)),
    "SymFloatArgument": ("as_sym_float", lambda name: schema.SymFloatArgument("as_name", name)),
    "SymBoolArgument": ("as_sym_bool", lambda name: schema.SymBoolArgument("as_name", name)),
}


def _read_input(given: schema.InputSpec) -> Plain:
    value = given.value
    if given.tag == "user_input":
        return _spec("USER_INPUT", _read_arg(value.arg))
    if given.tag == "constant_input":
        constant = None if value.value.tag == "as_none" else plain(value.value.value)
        return _spec("USER_INPUT", {"argument": ["ConstantArgument", value.name, constant]})
    if given.tag == "token":
        return _spec("TOKEN", {"argument": ["TokenArgument", value.arg.name]})
    kind, (_, _, field) = next((kind, each) for kind, each in _INPUTS.items() if each[0] == given.tag)
    persistent = value.persistent if kind == "BUFFER" else None
    if kind == "CUSTOM_OBJ":
        return _spec(kind, {"custom_object": [value.arg.name, value.arg.class_fqn]}, getattr(value, field))
    return _spec(kind, _tensor(value.arg.name), getattr(value, field), persistent)


def _spec(kind: str, arg: Plain, target: str | None = None, persistent: bool | None = None) -> dict[str, Plain]:
    return {"kind": kind, "arg": arg, "target": target, "persistent": persistent}


def _tensor(name: str) -> Plain:
    return {"argument": ["TensorArgument", name]}


def _read_output(given: schema.OutputSpec) -> Plain:
    if given.tag == "user_output":
        return {"kind": "USER_OUTPUT", "arg": _read_arg(given.value.arg), "target": None}
    if given.tag == "token":
        return {"kind": "TOKEN", "arg": {"argument": ["TokenArgument", given.value.arg.name]}, "target": None}
    kind, (_, _, field) = next((kind, each) for kind, each in _OUTPUTS.items() if each[0] == given.tag)
    target = getattr(given.value, field) if field else None
    return {"kind": kind, "arg": _tensor(given.value.arg.name), "target": target}


def _read_arg(argument: Argument) -> Plain:
    if argument.tag == "as_custom_obj":
        return {"custom_object": [argument.value.name, argument.value.class_fqn]}
    for kind, (tag, _) in _ARGUMENTS.items():
        if tag == argument.tag:
            name = argument.value.name if tag == "as_tensor" else argument.value.value
            return {"argument": [kind, name]}
    return {"argument": ["ConstantArgument", "", read_argument(argument, _no_graph)]}


def _no_graph(argument: schema.GraphArgument) -> str:
    raise SchemaError(
        f"the signature names a graph, {argument.name!r}, where a tensor, a number or a constant is expected."
    )


# --- calls of modules -----------------------------------------------------------------------


def _write_call(given: Plain) -> schema.ModuleCallEntry:
    signature = given["signature"]
    if signature is None:
        return schema.ModuleCallEntry(fqn=given["fqn"])
    return schema.ModuleCallEntry(
        fqn=given["fqn"],
        signature=schema.ModuleCallSignature(
            inputs=[_write_arg(each) for each in signature["inputs"]],
            outputs=[_write_arg(each) for each in signature["outputs"]],
            in_spec=_write_spec(signature["in_spec"]),
            out_spec=_write_spec(signature["out_spec"]),
            forward_arg_names=signature["forward_arg_names"] or None,
        ),
    )


def _write_spec(given: Plain) -> str:
    try:
        return dumps(spec_of(given))
    except UnsupportedError:
        return MARK


def _read_call(given: schema.ModuleCallEntry, read_spec_text: Callable[[str], Plain]) -> Plain:
    signature = given.signature
    if signature is None:
        return {"fqn": given.fqn, "signature": None}
    return {
        "fqn": given.fqn,
        "signature": {
            "inputs": [_read_arg(each) for each in signature.inputs],
            "outputs": [_read_arg(each) for each in signature.outputs],
            "in_spec": read_spec_text(signature.in_spec),
            "out_spec": read_spec_text(signature.out_spec),
            "forward_arg_names": signature.forward_arg_names,
        },
    }


# --- symbols --------------------------------------------------------------------------------


def _write_range(symbol: str, lower: str, upper: str) -> tuple[str, schema.RangeConstraint]:
    table = SymbolTable()
    low, high = (parse(each, table) for each in (lower, upper))
    return str(parse(symbol, table)), schema.RangeConstraint(
        min_val=int(sympy.ceiling(low)) if low.is_Rational else None,
        max_val=int(sympy.floor(high)) if high.is_Rational else None,
    )


def _read_range(name: str, given: schema.RangeConstraint, table: SymbolTable) -> Plain:
    """Return a range by the plain form of ``name``: a symbol, or an expression of symbols in Python's spelling."""
    lower = "-int_oo" if given.min_val is None else f"Integer({given.min_val})"
    upper = "int_oo" if given.max_val is None else f"Integer({given.max_val})"
    return [write_expression(parse(name, table)), lower, upper]


_SYMBOL = re.compile(r"Symbol\('[^']{1,256}'[^()']{0,512}\)")  # bounded: a search must not read on and on


def _symbols_of(graph: Mapping[str, Plain]) -> Iterator[str]:
    """Yield every symbol in the values of a graph, as its text has it."""
    for inner in graph["graphs"].values():
        yield from _symbols_of(inner)
    for node in graph["nodes"].values():
        yield from _symbols_in(node["meta"].get("val"))


def _symbols_in(value: Plain) -> Iterator[str]:
    if isinstance(value, dict):
        for tag, content in value.items():
            if tag in ("sym_int", "sym_float", "sym_bool"):
                yield from _SYMBOL.findall(content[0])
            else:
                yield from _symbols_in(content)
    elif isinstance(value, list):
        for each in value:
            yield from _symbols_in(each)
