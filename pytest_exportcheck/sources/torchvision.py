"""``torchvision:NAME``: torchvision's models with random weights, in eval mode, with a dynamic batch."""

from __future__ import annotations

import difflib
import inspect
from fnmatch import fnmatchcase
from functools import partial
from types import ModuleType
from typing import Any

import torch

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.records import Case, Origin

#: Folder of torchvision.models -> shape of one example without its batch; None: the size its weights were trained at.
_SHAPES: dict[str, tuple[int, ...] | None] = {
    "": None,
    "segmentation": (3, 224, 224),
    "video": (3, 8, 112, 112),
}
_BATCH, _LARGEST_BATCH = 2, 16


def cases(pattern: str) -> list[Case]:
    """A case for every model whose name matches the glob.

    Raises
    ------
    SelectionError
        When torchvision is not installed, nothing matches, or the one model named takes other inputs than images.
    """
    models = _models()
    names = [name for name in models.list_models() if fnmatchcase(name, pattern)]
    if not names:
        near = difflib.get_close_matches(pattern, models.list_models(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; see torchvision.models.list_models()."
        raise SelectionError(f"torchvision has no model {pattern!r}{hint}")
    taken = [name for name in names if _folder(models, name) in _SHAPES]
    if not taken:
        raise SelectionError(
            f"torchvision:{pattern} is no classification, segmentation or video model; "
            "write a case for it, with the inputs that it takes."
        )
    return [_case(models, name) for name in taken]


def _models() -> ModuleType:
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:  # RuntimeError: a wheel built for another torch
        raise SelectionError(
            f"the source torchvision needs torchvision, which cannot be imported here ({error}). "
            "Install it with: pip install 'pytest-exportcheck[zoo]'"
        ) from None
    module: ModuleType = models
    return module


def _folder(models: ModuleType, name: str) -> str:
    """Which kind of model it is: the package below torchvision.models that defines it."""
    parts: list[str] = models.get_model_builder(name).__module__.split(".")
    return parts[2] if len(parts) > 3 else ""


def _case(models: ModuleType, name: str) -> Case:
    builder = models.get_model_builder(name)
    return Case(
        name=name,
        build=partial(_build, builder),
        origin=Origin("torchvision", inspect.getsourcefile(builder) or "torchvision", 0),
        args=partial(_inputs, _shape(models, name)),
        dynamic_shapes=_dynamic_batch,
        doc=f"torchvision.models.{name} with random weights",
    )


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


def _inputs(shape: tuple[int, ...]) -> tuple[torch.Tensor]:
    return (torch.randn(_BATCH, *shape),)


def _dynamic_batch() -> tuple[dict[int, Any]]:
    return ({0: torch.export.Dim("batch", min=1, max=_LARGEST_BATCH)},)
