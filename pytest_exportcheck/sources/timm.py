"""``timm:NAME``: timm's models with random weights, in eval mode, with a dynamic batch."""

from __future__ import annotations

import inspect
from functools import partial
from types import ModuleType
from typing import Any

import torch

from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.sources.extent import BATCH_OPTIONS, batch_of, batched, dynamic_batch, images, with_fallbacks
from pytest_exportcheck.sources.optional import needed
from pytest_exportcheck.sources.spec import Found, Spec, found, matching

OPTIONS = {**BATCH_OPTIONS, "size": "height and width of an image (default: input_size of the model's default cfg)"}


def cases(spec: Spec) -> Found:
    """Return a case for every model of ``timm.list_models()`` whose name matches the glob.

    Raises
    ------
    SelectionError
        When timm is not installed, or nothing matches.
    """
    timm = needed("timm", "timm")
    names = matching(spec, timm.list_models(), what="model", see="timm.list_models()")
    return found(spec, names, {name: _case(timm, spec.named(name)) for name in names})


def _case(timm: ModuleType, spec: Spec) -> Case:
    cfg = timm.get_pretrained_cfg(spec.name)
    batch, size = batch_of(spec), spec.number("size")
    shape = cfg.input_size if size is None else (cfg.input_size[0], size, size)
    # Models with positions for every patch need the other size as an argument; most others accept any size, and have no
    # such argument.
    options = {"img_size": size} if size and cfg.fixed_input_size else {}
    entrypoint = timm.model_entrypoint(spec.name)
    case = Case(
        name=spec.case_name,
        build=partial(_build, timm, spec.name, options),
        origin=Origin("timm", inspect.getsourcefile(entrypoint) or "timm", 0),
        args=partial(images, batch, shape),
        dynamic_shapes=partial(dynamic_batch, batch),
    )
    return with_fallbacks(case, spec, {"batch": batch}, partial(batched, shape))


def _build(timm: ModuleType, name: str, options: dict[str, Any]) -> torch.nn.Module:
    module: torch.nn.Module = timm.create_model(name, pretrained=False, **options)
    return module
