"""Conditions on sizes where Dynamo evaluates the model: no frame of the model runs."""

from __future__ import annotations

import sys
from typing import Any

from pytest_exportcheck.reference._torch.dynamo import PYTHON_OF_DYNAMO, lines_in_progress, values_in_progress
from pytest_exportcheck.reference._torch.sizes import SYMBOLIC_NUMBER_FILES, DimDynamic, GuardOnDataDependentSymNode
from pytest_exportcheck.reference.exporter.inputs import Example
from pytest_exportcheck.reference.exporter.located_errors import data_dependence, unbacked_sizes
from pytest_exportcheck.reference.exporter.shape_env import WatchedShapeEnv, line_of_the_model


class DynamosShapeEnv(WatchedShapeEnv):
    """A watched shape environment for a model that Dynamo evaluates, called with an example."""

    def __init__(self, example: Example, **options: Any) -> None:
        self._example = example
        super().__init__(**options)

    @property
    def ignorable_fresh_unbacked_symbols(self) -> list[Any]:
        """Return all new symbols: a number that one call reads from a tensor is in no result of the call, and the second trace
        reads the number itself.
        """
        return list(self.pending_fresh_unbacked_symbols)

    @ignorable_fresh_unbacked_symbols.setter
    def ignorable_fresh_unbacked_symbols(self, _: list[Any]) -> None: ...

    def evaluate_expr(self, orig_expr: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().evaluate_expr(orig_expr, *args, **kwargs)
        except GuardOnDataDependentSymNode as error:
            values = values_in_progress()
            if values is None:
                raise
            inputs, variables = values
            sizes = unbacked_sizes(self._example, [inputs.get(leaf.place) for leaf in self._example.leaves])
            raise data_dependence(error, line_of_the_model(lines_in_progress()), variables, sizes) from error

    def asked_at(self, *, through_operators: bool) -> tuple[str, bool]:
        frame: Any = sys._getframe(2)
        while frame.f_code.co_filename in (*SYMBOLIC_NUMBER_FILES, __file__):
            frame = frame.f_back
        own = frame.f_code.co_filename.startswith(PYTHON_OF_DYNAMO)
        place = line_of_the_model(lines_in_progress()) if own or through_operators else ""
        return place, own

    def create_unspecified_symint_and_symbol(
        self, value: int, source: Any, dynamic_dim: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if dynamic_dim is DimDynamic.UNBACKED:  # a number of a specification may be negative; torch makes a size of it
            return self.create_unbacked_symint(source)
        return super().create_unspecified_symint_and_symbol(value, source, dynamic_dim, *args, **kwargs)
