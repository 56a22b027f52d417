"""The private torch names that are used outside the reference engine, under public names.

Other files outside ``reference/`` name none; ``tests/unit/test_private_torch_names.py`` holds that. Each name says why
it is needed, and in parentheses the torch version since which it has been checked. Dynamo and torch's exporter are
loaded where a function here is called, not with this module.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import _ops
from torch._library import fake_class_registry as _fake_classes
from torch._library import opaque_object as _opaque
from torch._subclasses import fake_tensor as _fake_tensor
from torch._subclasses import functional_tensor as _functional_tensor
from torch.utils import _device, _python_dispatch, _pytree

# Inputs and outputs of models are this module's; ``torch.utils.pytree`` has no key paths and no registered names
# (2.13).
pytree = _pytree

# --- operators ------------------------------------------------------------------------------

# The classes of operators, which distinguish operators from functions; torch.ops has no public ones (2.13).
HigherOrderOperator = _ops.HigherOrderOperator
OpOverload = _ops.OpOverload


def schema_of_operator(operator: OpOverload) -> Any:
    """Return the ``torch.FunctionSchema`` of an operator, which has no public attribute (2.13)."""
    return operator._schema


# The mode that sees every ATen operator below autograd; ``torch.utils._python_dispatch`` has the only name of it (2.13).
TorchDispatchMode = _python_dispatch.TorchDispatchMode


def current_backward() -> Any:
    """Return the autograd node that backward runs in this thread, or None outside of it; there is no public name
    (2.13).
    """
    return torch._C._current_autograd_node()


# --- tensors --------------------------------------------------------------------------------

# Tensors without data or with a later value, which cannot be read; torch has no public names for them (2.13).
FakeTensor = _fake_tensor.FakeTensor
FunctionalTensor = _functional_tensor.FunctionalTensor

# Keeps ``__torch_function__`` of tensor subclasses out of a block; there is no public name for it (2.13).
DisableTorchFunctionSubclass = torch._C.DisableTorchFunctionSubclass


def is_view(tensor: torch.Tensor) -> bool:
    """Return True for a view, one made without a gradient too: ``Tensor.is_leaf`` and ``grad_fn`` do not say it
    (2.13).
    """
    return tensor._is_view()


def write_count(tensor: torch.Tensor) -> int:
    """Return the number of writes to a tensor that autograd counted; there is no public counter (2.13)."""
    return tensor._version


def coo_parts(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return indices and values as they are stored: the public methods refuse a tensor that is not coalesced (2.13)."""
    return tensor._indices(), tensor._values()


# --- objects --------------------------------------------------------------------------------

# Whether a Python class is registered for custom operators: a private function that 2.14 renamed (2.13).
_is_opaque: Callable[[Any], bool] = getattr(_opaque, "is_custom_class", None) or _opaque.is_opaque_type


def is_object(value: Any) -> bool:
    """Return True for an object that operators take: of a C++ class or of a Python class that is registered for that;
    there is no public test (2.13).
    """
    if isinstance(value, torch.ScriptObject):
        return class_of_object(value).startswith("__torch__.torch.classes.")
    return not isinstance(value, (torch.nn.Module, enum.Enum)) and _is_opaque(type(value))


def class_of_object(value: Any) -> str:
    """Return the name of the class of an object as signatures have it; a script object has no public type (2.13)."""
    if isinstance(value, torch.ScriptObject):
        return str(value._type().qualified_name())
    return f"{type(value).__module__}.{type(value).__qualname__}"


# The operator that calls a method of a script object; torch.ops.higher_order has no public names (2.13).
CALL_TORCHBIND = torch.ops.higher_order.call_torchbind


def is_fake_object(value: Any) -> bool:
    """Return True for what tracing sees in the place of an object; its class is private (2.13)."""
    return isinstance(value, _fake_classes.FakeScriptObject)


# --- modules --------------------------------------------------------------------------------

# Prefix of the names under which Dynamo notes something in the metadata of nodes (2.13).
DYNAMO_NOTE = "_torchdynamo_disable"


def state_tables(module: torch.nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tables of the parameters and buffers that a module holds itself. The public iterators leave out tied
    ones, and nothing public restores a table with its order (2.13).
    """
    return module._parameters, module._buffers


def non_persistent_buffers(module: torch.nn.Module) -> set[str]:
    """Return the names of the buffers that a module holds itself and its state dict leaves out; there is no public list
    (2.13).
    """
    return module._non_persistent_buffers_set


def forward_hooks(module: torch.nn.Module) -> list[Callable[..., Any]]:
    """Return the hooks around a module's forward; there is no public list (2.13)."""
    return [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]


def has_hooks(module: torch.nn.Module) -> bool:
    """Return True if a module has a hook around its forward or its backward; there is no public list (2.13)."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def compiled_module(module: torch.nn.Module) -> torch.nn.Module | None:
    """Return the module that ``torch.compile`` was given, None if this is not a compiled one: a graph names its modules
    (2.13).
    """
    inside = getattr(module, "_orig_mod", None)
    return inside if isinstance(inside, torch.nn.Module) else None


def map_state(module: torch.nn.Module, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Replace the parameters and buffers of a module and of its submodules by what a function returns for them.
    ``Module.to`` takes a dtype, and converts complex tensors to real ones (2.13).
    """
    module._apply(function)  # type: ignore[no-untyped-call]


# --- programs -------------------------------------------------------------------------------


def guards_of(program: torch.export.ExportedProgram) -> tuple[str, ...]:
    """Return the guards that ``program.module()`` checks at each call; they have no public attribute, and programs of
    other engines may lack them (2.13).
    """
    return tuple(getattr(program, "_guards_code", None) or ())


def static_fake_mode() -> Any:
    """Return a mode in which tensors have no data and sizes are numbers, as a capture without dynamic shapes makes it;
    neither class has a public name (2.13).
    """
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    shape_env = ShapeEnv(assume_static_by_default=True)
    return _fake_tensor.FakeTensorMode(shape_env=shape_env, static_shapes=True)


# --- specifications of dynamic shapes ------------------------------------------------------------


def takes_specifications() -> bool:
    """Return True if torch.export takes specifications: 2.13 has their classes for torch.compile only (2.13)."""
    from torch.fx.experimental import dynamic_spec

    return hasattr(dynamic_spec, "dynamic_spec")


def is_specification(shapes: Any) -> bool:
    """Return True for dynamic shapes that are a specification; its classes are experimental (2.13)."""
    from torch.fx.experimental import dynamic_spec

    return isinstance(shapes, (dynamic_spec.ShapesSpec, dynamic_spec.ParamsSpec))


def attached_specification(module: Any) -> Any:
    """Return the specification that ``@dynamic_spec`` attached to forward, None if there is none (2.14)."""
    return getattr(getattr(module, "forward", None), "_dynamic_spec", None)


def refusal_of_specification(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], shapes: Any
) -> str:
    """Return torch's words for a specification that does not fit these arguments, empty if it fits (2.14)."""
    from torch.fx.experimental import _spec_binding, dynamic_spec

    specification: Any = dynamic_spec._coerce_to_shapes_spec(shapes)
    try:
        _spec_binding._bind_spec_to_args(module, args, dict(kwargs), specification)
    except (ValueError, AssertionError) as error:
        return str(error)
    return ""


def parameters_of_specification(shapes: Any) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """Return what a specification says of parameters by name, of ``*args`` and of ``**kwargs``: it has no public access
    to them (2.14).
    """
    params = getattr(shapes, "_params", shapes)
    if params is None:
        return {}, [], {}
    return params._named_args, params._varargs or [], params._varkw or {}


def specification_of(params: dict[str, Any], assumptions: Sequence[Any]) -> Any:
    """Return a specification of parameters, with these assumptions (2.14)."""
    from torch.fx.experimental import dynamic_spec

    return dynamic_spec.ShapesSpec(params, assumptions=assumptions)


def plain_spec(spec: Any) -> Any:
    """Return a part of a specification as lists and dicts, with sizes as leaves; sequences have no public entries
    (2.14).
    """
    from torch.fx.experimental import dynamic_spec

    if isinstance(spec, dynamic_spec.TensorSpec):
        return list(spec)
    if isinstance(spec, dynamic_spec.SeqSpec):
        return [plain_spec(each) for each in spec._entries]
    if isinstance(spec, (dynamic_spec.DictSpec, dynamic_spec.ObjectSpec)):
        return {key: plain_spec(each) for key, each in spec.items()}
    return spec


# --- the process ----------------------------------------------------------------------------


def default_device() -> Any:
    """Return the device that ``torch.set_default_device`` set, None if none is set: the public getter names one in that
    case too, and to set that one leaves a function mode behind (2.13).
    """
    return _device.CURRENT_DEVICE


# --- torch's exporter -----------------------------------------------------------------------

# The module of torch's collection of examples; it needs expecttest (2.13).
EXPORTDB_MODULE = "torch._export.db.examples"


# The name of the function that captures below autograd, for scripts that run without this package (2.13).
EXPORTER_BELOW_AUTOGRAD = "torch.export._trace._export"


def exporter_below_autograd() -> Callable[..., torch.export.ExportedProgram]:
    """Return the only function that captures below autograd directly, with ``pre_dispatch=False`` (2.13)."""
    from torch.export._trace import _export  # noqa: TID251 -- the torch engine captures with torch's exporter

    capture: Callable[..., torch.export.ExportedProgram] = _export
    return capture


def compiler_of_inductor() -> Callable[..., str]:
    """Return the function of AOTInductor that compiles a program into a package, whose path ``package_path`` ends in
    ``.pt2``; it has no public name (2.13).
    """
    from torch import _inductor

    return _inductor.aoti_compile_and_package


def inductor_settings() -> dict[str, Any]:
    """Return the settings that AOTInductor compiles by, without two that change by themselves: the folder of CUTLASS, by the
    working directory, and facts that a compilation writes there. No public function lists them (2.13).
    """
    from torch._functorch import config as functorch
    from torch._inductor import config as inductor

    every = {
        **inductor.get_config_copy(),
        **{f"functorch.{name}": value for name, value in functorch.get_config_copy().items()},
    }
    return {name: value for name, value in every.items() if not name.endswith(("cutlass_dir", "aot_inductor.metadata"))}


def cpp_compiler() -> tuple[str, list[str]]:
    """Return the command of the C++ compiler that AOTInductor uses, empty if it finds none, and those that it looks for: the
    variable CXX is read when torch is imported (2.13).
    """
    from torch._inductor import config, cpp_builder, exc

    known = config.cpp.cxx
    looked = [each for each in (known if isinstance(known, (list, tuple)) else (known,)) if each]
    try:
        return str(cpp_builder.get_cpp_compiler()), looked
    except exc.InvalidCxxCompiler:
        return "", looked


def failed_compiler_command(error: BaseException) -> tuple[list[str], str] | None:
    """Return the command and the output of the C++ compiler that failed in a compilation by AOTInductor, whose error has no
    public name (2.13); None for another error.
    """
    from torch._inductor import exc

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, exc.CppCompileError):
            return list(cause.cmd), str(cause.output)
        cause = cause.__cause__ or cause.__context__
    return None


def runner_of_package(package: str) -> Callable[[list[torch.Tensor]], list[torch.Tensor | None]]:
    """Load a package of AOTInductor. The function that it returns takes and returns flat lists: the public one needs the
    classes of the user (2.13).
    """
    from torch import _inductor

    loader: Any = _inductor.aoti_load_package(package).loader
    run: Callable[[list[torch.Tensor]], list[torch.Tensor | None]] = loader.run
    return run


def registered_at(operator: str) -> str:
    """Return the file and line that registers an operator, such as ``shop::twice``: of its Python function, or as torch's
    table of operators has it, which only a private function prints. Empty if neither is known (2.13).
    """
    from torch._library import custom_ops

    defined = custom_ops.OPDEFS.get(operator)
    if defined is not None:
        code = inspect.unwrap(defined._init_fn).__code__
        return f"{code.co_filename}:{code.co_firstlineno}"
    found = re.search(r"registered at (\S+:\d+)", torch._C._dispatch_dump(operator))
    return found[1] if found else ""


def runner_of_executorch(file: str) -> Callable[[tuple[Any, ...]], list[Any]]:
    """Load a ``.pte`` file. ``executorch.runtime`` has the same bindings under public names, and imports the compiler
    with them, which takes seconds (2.14).
    """
    try:
        bindings = importlib.import_module("executorch.extension.pybindings._C")
    except ImportError:
        bindings = importlib.import_module("executorch.extension.pybindings.portable_lib")
    module = bindings._load_for_executorch(file)

    def run(inputs: tuple[Any, ...]) -> list[Any]:
        return list(module.run_method("forward", inputs))

    return run


def draft_report(module: Any, args: Any, kwargs: Any, shapes: Any) -> str:
    """Return the report of ``torch.export.draft_export``, which the program has under a private name only (2.13)."""
    program: Any = torch.export.draft_export(module, args, kwargs, dynamic_shapes=shapes)
    return str(program._report)


def refusals_of_capture() -> tuple[type[Exception], ...]:
    """Return the errors in which torch's tracing refuses a model; none of them has a public name (2.13)."""
    from torch._dynamo.exc import UserError

    return UserError, _fake_tensor.DynamicOutputShapeException, _fake_tensor.DataDependentOutputException


def holds_guards_of_dynamo(callback: Any) -> bool:
    """Return True if the callback of a finalizer belongs to the guards of a capture by Dynamo. Their class is private
    and nothing else distinguishes the callback (2.13).
    """
    owner = getattr(getattr(callback, "func", None), "__self__", None)
    return type(owner).__name__ == "CheckFunctionManager"


def schema_version_of_torch() -> tuple[int, ...]:
    """Return the version of the schema that torch writes: a file states it, but torch has no public name for it
    (2.13).
    """
    from torch._export.serde import schema  # noqa: TID251 -- the version is reported, nothing is written by it

    return tuple(schema.SCHEMA_VERSION)
