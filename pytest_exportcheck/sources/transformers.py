"""``transformers:CLASS``: models of transformers with tiny random configs, in eval mode, batch and length dynamic.

Nothing is downloaded: the config is the class's default with small numbers for its sizes, and weights are random. A
model returns its default outputs, including a cache where it has one: caches are registered as pytrees.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

import torch

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.harness.process_state import preserved_globals, seed_everything
from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.sources.caches import register_caches
from pytest_exportcheck.sources.extent import Extent, extent, with_fallbacks
from pytest_exportcheck.sources.model_inputs import Argument, arguments_of, one_length
from pytest_exportcheck.sources.optional import needed
from pytest_exportcheck.sources.spec import Found, Spec, found, matching
from pytest_exportcheck.sources.tiny_configs import POSITIONS, tiny

OPTIONS = {
    "batch": "examples in a batch (default: 2 to 4, another number for fresh inputs)",
    "length": "words in an example (default: 8 to 12, another number for fresh inputs)",
    "decoder_length": "words for the decoder (default: 5 to 7, another number for fresh inputs)",
    "size": "image_size of the config",
    "dynamic": "all (default: batch and lengths), batch, length or none",
}
_DYNAMIC = {
    "all": ("batch", "length", "decoder_length"),
    "batch": ("batch",),
    "length": ("length", "decoder_length"),
    "none": (),
}


def cases(spec: Spec) -> Found:
    """Return a case for every model class in the tables of transformers' Auto classes whose name matches the glob; any
    other model class of transformers can be named exactly.

    Raises
    ------
    SelectionError
        When transformers is not installed, nothing matches, or the one class named cannot be made small, or takes
        inputs of an unknown kind.
    """
    transformers = needed("transformers", "transformers")
    names = _names(transformers, spec)
    made: dict[str, Case] = {}
    problems: dict[str, str] = {}
    for name in names:
        try:
            case = _case(transformers, spec.named(name))
            if spec.is_glob:
                _try(case)
            made[name] = case
        except _NoDefaults as error:
            problems[name] = str(error)
    if not made:
        name, problem = next(iter(problems.items()))
        raise SelectionError(
            f"{spec}: {name} {problem} Write a case for it, with its config and the inputs that it takes."
        )
    return found(spec, names, made, "which need a special config or special inputs")


class _NoDefaults(Exception):
    """A class cannot be a case by its name only: with the reason."""


def _try(case: Case) -> None:
    """Check that a model that only a glob names is small and runs at all: if not, its defaults here do not fit it."""
    with preserved_globals():
        seed_everything(0)
        try:
            with torch.device("meta"):
                built: Any = case.build()
            size = sum(parameter.numel() for parameter in built.parameters())
            if size > _LARGEST:
                raise _NoDefaults(f"has {size} parameters.")
            module, inputs = case.build(), case.kwargs
            with torch.no_grad():
                module.eval()(**inputs())  # type: ignore[attr-defined, operator]
        except _NoDefaults:
            raise
        except Exception as error:  # a model may fail in any way with a config and inputs that are not meant for it
            raise _NoDefaults(f"does not run with its tiny config: {_last_line(error)}.") from error


_LARGEST = 20_000_000


def _names(transformers: ModuleType, spec: Spec) -> list[str]:
    if not spec.is_glob and _is_model(getattr(transformers, spec.name, None), transformers):
        return [spec.name]
    auto = needed("transformers", "transformers", "transformers.models.auto.modeling_auto")
    return matching(spec, _in_tables(auto), what="model class", see="the list of models in its documentation")


def _is_model(value: object, transformers: ModuleType) -> bool:
    return isinstance(value, type) and issubclass(value, transformers.PreTrainedModel)


def _in_tables(auto: ModuleType) -> list[str]:
    """Return the names of model classes in the tables of the Auto classes: model type to a name, or several."""
    tables = [table for name, table in vars(auto).items() if name.endswith("_MAPPING_NAMES")]
    entries = [entry for table in tables for entry in table.values()]
    names = [name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)]
    return sorted(dict.fromkeys(names))


def _case(transformers: ModuleType, spec: Spec) -> Case:
    model: Any = getattr(transformers, spec.name, None)
    if not _is_model(model, transformers) or getattr(model, "config_class", None) is None:
        raise _NoDefaults("is not a model class with a config.")
    config = _config(model, spec)
    extents = _extents(spec, ("batch", "decoder_length") if one_length(config) else _DYNAMIC["all"])
    main, parameters = str(model.main_input_name), inspect.signature(model.forward).parameters
    arguments = arguments_of(main, config, parameters)
    if not arguments:
        raise _NoDefaults(f"takes {main}, for which this source has no example.")
    case = Case(
        name=spec.case_name,
        build=partial(_build, model, config),
        origin=Origin("transformers", inspect.getsourcefile(model) or "transformers", 0),
        kwargs=partial(_inputs, arguments, extents),
        dynamic_shapes=partial(_dynamic_shapes, arguments, extents),
    )
    used = {axis for argument in arguments.values() for axis in argument.axes.values()}
    return with_fallbacks(
        case,
        spec,
        {name: each for name, each in extents.items() if name in used},
        lambda others: {
            "kwargs": partial(_inputs, arguments, {**extents, **others}),
            "dynamic_shapes": partial(_dynamic_shapes, arguments, {**extents, **others}),
        },
    )


def _config(model: Any, spec: Spec) -> Any:
    size = spec.number("size")
    try:
        return tiny(model.config_class, **({"image_size": size} if size else {}))
    except Exception as error:  # configs check themselves, each in its own way
        raise _NoDefaults(f"has a config that cannot be made tiny: {_last_line(error)}.") from error


def _last_line(error: Exception) -> str:
    """Return the last line of an error: the validators of configs begin with the chain of calls."""
    return str(error).strip().rpartition("\n")[2].strip() or type(error).__name__


def _extents(spec: Spec, possible: tuple[str, ...]) -> Mapping[str, Extent]:
    asked = _DYNAMIC[spec.word("dynamic", tuple(_DYNAMIC))]
    dynamic = [name for name in asked if name in possible]
    return {
        "batch": extent(spec, "batch", usual=(2, 4), least=1, most=16, dynamic="batch" in dynamic),
        "length": extent(spec, "length", usual=(8, 12), least=2, most=POSITIONS // 2, dynamic="length" in dynamic),
        "decoder_length": extent(
            spec, "decoder_length", usual=(5, 7), least=2, most=POSITIONS // 2, dynamic="decoder_length" in dynamic
        ),
    }


def _build(model: Any, config: Any) -> torch.nn.Module:
    register_caches()
    module: torch.nn.Module = model(config)
    return module


def _inputs(arguments: Mapping[str, Argument], extents: Mapping[str, Extent]) -> dict[str, torch.Tensor]:
    lengths = {name: each.draw() for name, each in extents.items()}
    return {name: argument.make(lengths) for name, argument in arguments.items()}


def _dynamic_shapes(arguments: Mapping[str, Argument], extents: Mapping[str, Extent]) -> dict[str, dict[int, Any]]:
    dims = {name: each.dim() for name, each in extents.items() if each.dynamic}
    return {
        name: {axis: dims[extent] for axis, extent in argument.axes.items() if extent in dims}
        for name, argument in arguments.items()
    }
