"""The pause of Python's cycle collector while a program is read or written.

A program is many small objects that all stay alive. The collector would search them again and again, for a third of the
time of a save, and find nothing to free. Objects without cycles are freed as always.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Run the block without the collector of cycles, which continues also after an error; one that is off stays off."""
    runs = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if runs:
            gc.enable()
