"""The facts of a case about sizes, read once."""

from __future__ import annotations

from functools import cached_property

from pytest_exportcheck.fuzz.boundary_values import code_constants
from pytest_exportcheck.fuzz.setup import Ground, ground_of
from pytest_exportcheck.run.observed_case import ObservedCase


class CaseSizes:
    """The sizes that a case declares, and how inputs of other sizes are made."""

    def __init__(self, observed: ObservedCase) -> None:
        self._observed = observed

    @cached_property
    def ground(self) -> Ground:
        """Return the facts.

        Raises
        ------
        CaseError
            As :func:`pytest_exportcheck.fuzz.setup.ground_of`.
        """
        prepared = self._observed.prepared
        return ground_of(
            self._observed.case,
            self._observed.declared,
            prepared.example,
            redraw=prepared.redraw,
            made=prepared.made,
            constants=code_constants(prepared.module),
            seed=self._observed.observer.seed,
        )
