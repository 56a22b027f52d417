"""An example database that has some choices to try first, in addition to the failures that the user's own database
keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from hypothesis.database import ExampleDatabase, choices_to_bytes


class FirstChoices(ExampleDatabase):
    """A database of choices to try first: hypothesis tries what the database holds under a test's key before it draws
    anything, and shrinks from there.

    ``first`` are sequences of choices in the order in which the strategy draws them; ``kept`` is where failures are
    saved, if anywhere. Both together are ``most``, so that none of the failures is left out: hypothesis tries short
    ones first. Nothing is saved or deleted once ``frozen`` returns True: an example that is not run did not pass.
    """

    def __init__(
        self,
        key: bytes,
        first: Iterable[Sequence[int]],
        kept: ExampleDatabase | None,
        most: int,
        frozen: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self._key = key
        # One choice more than is drawn: hypothesis treats an example that is replayed exactly as one that was shrunk
        # before.
        self._first = [choices_to_bytes([*choices, 0]) for choices in first]
        self._kept = kept
        self._most = most
        self._frozen = frozen

    def fetch(self, key: bytes) -> Iterable[bytes]:
        known = list(self._kept.fetch(key)) if self._kept is not None else []
        yield from known
        if key == self._key:
            first = [each for each in self._first if each not in known]
            yield from first[: max(0, self._most - len(known))]

    def save(self, key: bytes, value: bytes) -> None:
        if self._kept is not None and not self._frozen():
            self._kept.save(key, value)

    def delete(self, key: bytes, value: bytes) -> None:
        if self._kept is not None and not self._frozen():
            self._kept.delete(key, value)
