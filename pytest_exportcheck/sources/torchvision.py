"""``torchvision:NAME``: torchvision's models with random weights, in eval mode, with a dynamic batch."""

from __future__ import annotations

import inspect
from functools import partial
from types import ModuleType
from typing import Any

import torch

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.sources.extent import BATCH_OPTIONS, batch_of, batched, dynamic_batch, images, with_fallbacks
from pytest_exportcheck.sources.optional import needed
from pytest_exportcheck.sources.spec import Found, Spec, found, matching

OPTIONS = {**BATCH_OPTIONS, "size": "height and width of an image (default: what the weights were trained at)"}

#: Folder of torchvision.models -> shape of one example without its batch; None: the size its weights were trained at.
_SHAPES: dict[str, tuple[int, ...] | None] = {
    "": None,
    "segmentation": (3, 224, 224),
    "video": (3, 8, 112, 112),
}


def cases(spec: Spec) -> Found:
    """Return a case for every model whose name matches the glob.

    Raises
    ------
    SelectionError
        When torchvision is not installed, nothing matches, or the one model named takes other inputs than images.
    """
    models = needed("torchvision", "torchvision", "torchvision.models")
    names = matching(spec, models.list_models(), what="model", see="torchvision.models.list_models()")
    taken = [name for name in names if _folder(models, name) in _SHAPES]
    if not taken:
        raise SelectionError(
            f"{spec.source}:{spec.name} is not a classification, segmentation or video model; "
            "write a case for it, with the inputs that it takes."
        )
    made = {name: _case(models, spec.named(name)) for name in taken}
    return found(spec, names, made, "which take other inputs than images")


def _folder(models: ModuleType, name: str) -> str:
    """Return the kind of a model: the package below torchvision.models that defines it."""
    parts: list[str] = models.get_model_builder(name).__module__.split(".")
    return parts[2] if len(parts) > 3 else ""


def _case(models: ModuleType, spec: Spec) -> Case:
    builder = models.get_model_builder(spec.name)
    batch, size = batch_of(spec), spec.number("size")
    shape = _shape(models, spec.name)
    if size:
        shape = (*shape[:-2], size, size)
    case = Case(
        name=spec.case_name,
        build=partial(_build, builder),
        origin=Origin("torchvision", inspect.getsourcefile(builder) or "torchvision", 0),
        args=partial(images, batch, shape),
        dynamic_shapes=partial(dynamic_batch, batch),
    )
    return with_fallbacks(case, spec, {"batch": batch}, partial(batched, shape))


def _build(builder: Any) -> torch.nn.Module:
    parameters = inspect.signature(builder).parameters
    options: dict[str, Any] = {"weights": None}
    if "weights_backbone" in parameters:
        options["weights_backbone"] = None
    if builder.__name__ in ("inception_v3", "googlenet"):
        options["init_weights"] = True
    module: torch.nn.Module = builder(**options)
    return module


def _shape(models: ModuleType, name: str) -> tuple[int, ...]:
    shape = _SHAPES[_folder(models, name)]
    if shape is not None:
        return shape
    crop = models.get_model_weights(name).DEFAULT.transforms.keywords.get("crop_size", 224)
    return (3, crop, crop)
