"""The prompt of ``--pdb`` at a failing item: the objects that it was judged by are local variables there."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from pytest_exportcheck.bundles.failure import Failure

_NAME = "exportcheck-prompt"

#: The line above the prompt.
TEXT = "exportcheck: local variables here: module, program_before (None for a capture), program_after, inputs, finding"


def announce(config: pytest.Config) -> bool:
    """Return True if pdb stops at failures in this session, and let it say which variables are there."""
    if not config.getoption("usepdb"):
        return False
    if not config.pluginmanager.hasplugin(_NAME):
        config.pluginmanager.register(PromptPlugin(config), _NAME)
    return True


def stop_with(error: BaseException, failure: Failure | None) -> NoReturn:
    """Raise an error; with a failure, from a frame that has its objects."""
    __tracebackhide__ = True
    if failure is None:
        raise error
    _stop(
        error,
        module=failure.module,
        program_before=failure.program_before,
        program_after=failure.program_after,
        inputs=failure.inputs,
        finding=failure.finding,
    )


def _stop(
    error: BaseException,
    *,
    module: Any,  # noqa: ARG001 -- shown at the prompt
    program_before: Any,  # noqa: ARG001 -- shown at the prompt
    program_after: Any,  # noqa: ARG001 -- shown at the prompt
    inputs: Any,  # noqa: ARG001 -- shown at the prompt
    finding: Any,  # noqa: ARG001 -- shown at the prompt
) -> NoReturn:
    """Raise an error from a frame with these local variables: pdb stops in the innermost frame that is not hidden."""
    raise error


class PromptPlugin:
    """The plugin that says which variables are there. pytest calls ``pytest_enter_pdb`` just before the prompt."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._stopped = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_exception_interact(self, call: pytest.CallInfo[Any]) -> None:
        frame = call.excinfo.traceback[-1] if call.excinfo else None
        self._stopped = frame is not None and frame.name == _stop.__name__ and str(frame.path) == __file__

    def pytest_enter_pdb(self) -> None:
        if self._stopped:
            self._config.get_terminal_writer().line(TEXT)
            self._stopped = False
