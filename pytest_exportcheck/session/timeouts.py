"""Support for pytest-timeout's method ``thread`` for items of the plugin: it ends the process, after showing the user's
lines.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from pytest_exportcheck.harness.isolation import stopped_text


def set_timer(item: pytest.Item, settings: Any, clean_up: Callable[[], None]) -> bool:
    """Set a timer that ends the process; return whether pytest-timeout must not set its own. ``settings`` are
    pytest-timeout's.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if settings.method == "signal" and is_main:
        return False
    thread = threading.get_ident()
    timer = threading.Timer(settings.timeout, _end, (item, settings, thread, clean_up))
    timer.daemon = True

    def cancel() -> None:
        timer.cancel()
        timer.join()

    item.cancel_timeout = cancel  # type: ignore[attr-defined]
    timer.start()
    return True


def _end(item: pytest.Item, settings: Any, thread: int, clean_up: Callable[[], None]) -> None:
    from pytest_timeout import is_debugging

    if not settings.disable_debugger_detection and is_debugging():
        return
    frames = traceback.extract_stack(sys._current_frames()[thread])
    terminal = item.config.get_terminal_writer()
    try:
        capture = item.config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(item)
        terminal.line()
        terminal.sep("+", title="Timeout")
        terminal.line(
            f"{item.nodeid} ran for more than {settings.timeout}s, and pytest-timeout's method thread ends the process."
        )
        terminal.line(stopped_text(frames))
        terminal.sep("+", title="Timeout")
        clean_up()
    finally:
        terminal.flush()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
