"""Source that runs in this process, in a module that Dynamo finds by its name."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_NAME = "exportcheck_reduced"


@contextmanager
def executed(text: str, given: Mapping[str, Any]) -> Iterator[ModuleType]:
    """Run source as a module, which can be imported by its name inside."""
    module = ModuleType(_NAME)
    vars(module).update(given)
    before = sys.modules.get(_NAME)
    sys.modules[_NAME] = module
    try:
        exec(compile(text, f"{_NAME}.py", "exec"), vars(module))
        yield module
    finally:
        del sys.modules[_NAME]
        if before is not None:
            sys.modules[_NAME] = before
