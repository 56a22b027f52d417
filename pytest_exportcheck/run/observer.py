"""Calls of the module and of the programs of one case, after which their shared state is restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch

from pytest_exportcheck.harness.internal import Attempts, call_foreign
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.harness.outside import Watched, attributes_of, nothing, surroundings_of
from pytest_exportcheck.harness.setup import PreparedCase
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import without_grad
from pytest_exportcheck.records import Case, Inputs, Observation


class Observer:
    """The caller of the module and the programs of one case, always under the same seed and in the context of the case.

    ``around`` are the values outside the module that calls change. Programs share the weights of the prepared module: a
    stage that edits them must not spoil what runs after it (:meth:`weights_intact`).
    """

    def __init__(self, case: Case, prepared: PreparedCase, seed: int, attempts: Attempts) -> None:
        self.case = case
        self.prepared = prepared
        self.seed = seed
        self.attempts = attempts
        self._guard = ModuleSnapshot(prepared.module, prepared.pristine)
        self.around: Watched = attempts.at(
            "values outside the module", lambda: surroundings_of(prepared.module), nothing()
        )

    def observe(
        self,
        run: Callable[..., Any],
        calls: Sequence[Inputs],
        *,
        like: Observation | None = None,
        mode: Mode | None = None,
        watched: Sequence[Watched] = (),
    ) -> tuple[Observation, ...]:
        """Call ``run`` with each of the inputs in turn: as ``mode`` is judged, or as the user makes calls if it is
        None.
        """
        return observe(
            run,
            calls,
            snapshot=ModuleSnapshot(run, self.prepared.pristine) if isinstance(run, torch.nn.Module) else None,
            seed=self.seed,
            context=partial(self.context, mode),
            like=like,
            watched=(*watched, self.around),
        )

    def caller(self, run: Callable[..., Any], mode: Mode | None) -> Callable[[Inputs], Observation]:
        """Return a function that makes one call of ``run`` as if it were the first, for many calls in a row."""
        snapshot = None
        if isinstance(run, torch.nn.Module):
            snapshot = ModuleSnapshot(run, self.prepared.pristine, by_version=True)

        def call(inputs: Inputs) -> Observation:
            (observed,) = observe(
                run,
                (inputs,),
                snapshot=snapshot,
                seed=self.seed,
                context=partial(self.context, mode),
                gradients=False,
                watched=(self.around,),
            )
            return observed

        return call

    def attributes(self, module: torch.nn.Module) -> Watched:
        """Watch the plain attributes of a module."""
        return self.attempts.at("the attributes of the module", lambda: attributes_of(module), nothing())

    @contextmanager
    def weights_intact(self) -> Iterator[None]:
        """Put the weights and the values outside the module back afterwards."""
        try:
            yield
        finally:
            self._guard.restore()
            self.around.restore()

    @contextmanager
    def context(self, mode: Mode | None = None) -> Iterator[None]:
        """Enter the context of the case, and in it ``torch.no_grad()`` for a mode that is judged without grad."""
        given = call_foreign(self.case.context) if self.case.context else nullcontext()
        with given, torch.no_grad() if mode and without_grad(mode.stages) else nullcontext():
            yield


@contextmanager
def pinned_threads(number: int) -> Iterator[None]:
    """Set one number of threads for all runs that are compared: it changes what models compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
