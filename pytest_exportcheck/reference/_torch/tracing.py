"""Tracing: proxies, dispatch below autograd, functionalisation, regions, sources of guards, and the errors of a
capture.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import _guards
from torch._dispatch import python as _python_dispatch
from torch._dynamo import exc as _exc
from torch._dynamo import source as _source
from torch._higher_order_ops import effects as _effects
from torch._subclasses import fake_tensor as _fake_tensor
from torch._subclasses import functional_tensor as _functional_tensor
from torch.fx.experimental import proxy_tensor as _proxy_tensor
from torch.fx.experimental import symbolic_shapes as _symbolic_shapes

from pytest_exportcheck.reference._torch.values import OpOverload, pytree, schema_of_operator

# Errors of torch.export: the engine's own are subclasses, so that one handler catches both engines' (2.13).
UserError = _exc.UserError
UserErrorType = _exc.UserErrorType

# Errors of torch's fake tensors: for what depends on values, and for an operator without a fake implementation (2.13).
DataDependentOutputException = _fake_tensor.DataDependentOutputException
DynamicOutputShapeException = _fake_tensor.DynamicOutputShapeException
UnsupportedOperatorException = _fake_tensor.UnsupportedOperatorException

# Places of inputs, as guards name them (2.13).
AttrSource = _source.AttrSource
ConstantSource = _source.ConstantSource
GetItemSource = _source.GetItemSource
LocalSource = _source.LocalSource
TensorProperty = _source.TensorProperty
TensorPropertySource = _source.TensorPropertySource

# Writes the operators of a run down as a graph (2.13).
make_fx = _proxy_tensor.make_fx

# Makes a tensor of numbers that are symbols by operators; torch.tensor requests their values (2.13).
tensor_of_symbols = torch._refs.tensor

# Runs a graph again so that unbacked symbols keep their names (2.13).
PropagateUnbackedSymInts = _symbolic_shapes.PropagateUnbackedSymInts

# Makes operators with kernels or decompositions in Python use these while tracing (2.13).
enable_python_dispatcher = _python_dispatch.enable_python_dispatcher

# Gives the branches of higher-order operators the fake mode of the trace (2.13).
TracingContext = _guards.TracingContext
tracing = _guards.tracing

# Turn mutations into new values; torch.func.functionalize does not trace higher-order operators (2.13).
FunctionalTensor = _functional_tensor.FunctionalTensor
FunctionalTensorMode = _functional_tensor.FunctionalTensorMode
PythonFunctionalizeAPI = _functional_tensor.PythonFunctionalizeAPI

# --- the process while tracing --------------------------------------------------------------

# Backends whose own operators would appear in a program. They are off while tracing, as in torch.export. Their public
# switches set more than this one (2.13).
_BACKENDS = tuple(
    (getattr(torch._C, f"_get_{name}_enabled"), getattr(torch._C, f"_set_{name}_enabled"))
    for name in ("mkldnn", "nnpack", "cudnn")
)


@contextmanager
def exporting() -> Iterator[None]:
    """Make ``torch.compiler.is_compiling()`` and ``is_exporting()`` true, and switch backends' own operators off: the
    public functions only read these flags (2.13).
    """
    before = torch.compiler._is_compiling_flag, torch.compiler._is_exporting_flag
    with ExitStack() as stack:
        stack.callback(_set_exporting, *before)
        for read, switch in _BACKENDS:
            stack.callback(switch, read())
            switch(False)
        _set_exporting(True, True)
        yield


def _set_exporting(compiling: bool, exporting: bool) -> None:
    torch.compiler._is_compiling_flag, torch.compiler._is_exporting_flag = compiling, exporting


@contextmanager
def transforms_kept() -> Iterator[None]:
    """Leave the transforms of torch.func that an error leaves entered: a graph of Dynamo enters and leaves them by
    calls, and there is no public access to them (2.13).
    """
    functorch, dual = torch._C._functorch, torch.autograd.forward_ad._current_level >= 0
    depth = functorch.get_dynamic_layer_stack_depth()
    try:
        yield
    except BaseException:
        functorch.pop_dynamic_layer_stack_and_undo_to_depth(depth)
        if not dual:
            with suppress(RuntimeError):  # no level of duals is entered
                torch._C._exit_dual_level(level=0)
        raise


def with_state(module: torch.nn.Module, tensors: dict[str, Any]) -> Any:
    """Return a context in which a module has other parameters and buffers, tied ones under every name.
    ``torch.func.functional_call`` calls the module in it, and gives no access to what the call leaves in the module
    (2.13).
    """
    return torch.nn.utils.stateless._reparametrize_module(
        module, tensors, tie_weights=True, strict=True, stack_weights=True
    )


# Leaves autograd out of the dispatch: an operator arrives as it is called, composite ones too (2.13).
below_autograd = torch._C._AutoDispatchBelowAutograd

# --- the graph in progress ------------------------------------------------------------------


def set_stack_root(function: Any, root: torch.nn.Module) -> None:
    """Name the module from which ``make_fx`` counts the module stack of a traced function (2.13)."""
    function._orig_mod = root


def _tracer() -> Any:
    """Return the tracer that writes the graph in progress (2.13)."""
    mode: Any = _proxy_tensor.get_proxy_mode()
    return mode.tracer


def is_traced() -> bool:
    """Return True while ``make_fx`` writes a graph (2.13)."""
    return _proxy_tensor.get_proxy_mode() is not None


def module_in_progress() -> str:
    """Return the path of the module that is being called while tracing (2.13)."""
    path: str = next(reversed(_tracer().module_stack.values()))[0]
    return path


def node_of(value: Any) -> torch.fx.Node | None:
    """Return the node that yields a value in the graph in progress, None for a constant (2.13)."""
    proxy = _tracer().unwrap_proxy(value)
    return proxy.node if isinstance(proxy, torch.fx.Proxy) else None


def recorded_whole(operator: Any, *args: Any, **kwargs: Any) -> Any:
    """Record one node for a composite operator, and compute its value by its decomposition, which is not recorded
    (2.13).
    """
    tracer = _tracer()
    given, named = pytree.tree_map(tracer.unwrap_proxy, (args, kwargs))
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    kernel = operator.py_kernels.get(key, functools.partial(operator._op_dk, key))
    node = tracer.create_proxy("call_function", operator, given, named, name=operator.overloadpacket.__name__)
    with _proxy_tensor.disable_proxy_modes_tracing():
        value = kernel(*args, **kwargs)
    return _proxy_tensor.track_tensor_tree(value, node, constant=None, tracer=tracer)


# --- regions --------------------------------------------------------------------------------

# Functions that a trace calls where a region begins and ends (2.13).
SET_GRAD = torch._C._set_grad_enabled
ENTER_AUTOCAST = torch.amp.autocast_mode._enter_autocast
EXIT_AUTOCAST = torch.amp.autocast_mode._exit_autocast
REGION_MARKS = (SET_GRAD, ENTER_AUTOCAST, EXIT_AUTOCAST)

# Higher-order operators that call a region in a program (2.13).
WRAP_SET_GRAD = torch._higher_order_ops.wrap.wrap_with_set_grad_enabled
WRAP_AUTOCAST = torch._higher_order_ops.wrap.wrap_with_autocast
WITH_EFFECTS = _effects.with_effects

# The higher-order operator that Dynamo writes for a torch.autograd.Function (2.13).
AUTOGRAD_FUNCTION = torch._functorch.autograd_function.autograd_function_apply

# The beginning of the keys that Dynamo adds to the annotations of the model where a function of Dynamo makes a node
# (2.13).
NOTES_OF_DYNAMO = "_torchdynamo_"

# --- functionalisation ----------------------------------------------------------------------


class EffectsMode(FunctionalTensorMode):  # type: ignore[no-untyped-call]
    """Functionalisation that makes a token for each kind of effect when it meets the first: only private arguments ask
    for it (2.13).
    """

    def __init__(self) -> None:
        super().__init__(export=True, _allow_token_discovery=True)

    def tokens(self) -> list[torch.Tensor]:
        """Return the token after the last effect of each kind (2.13)."""
        return list(self._tokens.values())


def value_of_functional(tensor: FunctionalTensor) -> torch.Tensor:
    """Return the value of a functional tensor after the mutations so far (2.13)."""
    tensor.sync()
    return torch._from_functional_tensor(tensor.elem)


def forget_numbers(tensor: torch.Tensor) -> None:
    """Drop the symbol that a fake remembers of ``item`` or ``nonzero``: 2.13 cannot give it a new name a second time
    (2.13).
    """
    for memo in ("item_memo", "nonzero_memo", "unique_memo", "unique_consecutive_memo"):
        setattr(tensor, memo, None)


@functools.cache
def is_functional_composite(operator: Any) -> bool:
    """Return True if an operator is composite for all devices, and neither mutates nor may return an alias: such an
    operator can stay whole in a functional graph. There is no public list of them (2.13).
    """
    if not isinstance(operator, OpOverload) or operator in FunctionalTensor.metadata_fns:
        return False
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    schema, name = schema_of_operator(operator), str(operator.name())  # type: ignore[no-untyped-call]
    return (
        not torch._decomp._should_decompose_because_unsafe_op(operator)
        and not schema.is_mutable
        and all(each.alias_info is None for each in schema.arguments)
        and torch._C._dispatch_has_kernel(name)
        and (torch._C._dispatch_has_kernel_for_dispatch_key(name, key) or key in operator.py_kernels)
    )


def composite_operators() -> Iterator[Any]:
    """Yield all operators that are registered as composite; only the dispatcher lists them (2.13)."""
    for name in torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd"):
        namespace, _, rest = name.partition("::")
        packet, _, overload = rest.partition(".")
        yield getattr(getattr(getattr(torch.ops, namespace), packet), overload or "default")


def autograd_kernel(operator: Any) -> Callable[..., Any] | None:
    """Return what autograd would call in place of an operator if that is written in Python, None for most operators
    (2.13).
    """
    kernel = getattr(operator, "py_kernels", {}).get(torch._C.DispatchKey.Autograd)
    return kernel if callable(kernel) else None
