"""Cases from elsewhere: ``SOURCE:NAME`` on the command line. One file each; a source is imported when a run names
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.sources.spec import Found, Spec, parse

#: source -> module with ``OPTIONS``, the meaning of each option, and ``cases(spec) -> Found``.
SOURCES = {
    "exportdb": "pytest_exportcheck.sources.exportdb",
    "import": "pytest_exportcheck.sources.importing",
    "timm": "pytest_exportcheck.sources.timm",
    "torchvision": "pytest_exportcheck.sources.torchvision",
    "transformers": "pytest_exportcheck.sources.transformers",
}

#: source -> an example of a name, for messages.
_EXAMPLES = {
    "exportdb": "cond_operands",
    "import": "shop.models:small",
    "timm": "test_vit",
    "torchvision": "resnet18",
    "transformers": "BertModel",
}


def cases_from(text: str) -> Found:
    """Return the cases that ``SOURCE:NAME[,OPTION=VALUE...]`` names; a name may be a glob.

    Raises
    ------
    SelectionError
        For an unknown source or option, a name that the source does not have, or a package that is not installed.
    """
    spec = parse(text)
    if spec.source not in SOURCES:
        raise SelectionError(f"unknown source {spec.source!r} in {text!r}. Sources: {', '.join(SOURCES)}.")
    if not spec.name:
        example = f"{spec.source}:{_EXAMPLES[spec.source]}"
        raise SelectionError(f"source {text!r} names no model: write {spec.source}:NAME, for example {example}.")
    module = import_module(SOURCES[spec.source])
    _check_options(spec, module.OPTIONS)
    with quiet():  # large packages warn while they are imported, which ends the session under -W error
        found: Found = module.cases(spec)
    return found


def _check_options(spec: Spec, known: Mapping[str, str]) -> None:
    unknown = [option for option in spec.options if option not in known]
    if unknown:
        options = "; ".join(f"{option}: {meaning}" for option, meaning in known.items())
        raise SelectionError(
            f"{spec}: the source {spec.source} has no option {', '.join(map(repr, unknown))}. "
            + (f"Its options are {options}." if options else "It has none.")
        )
