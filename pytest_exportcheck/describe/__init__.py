"""Descriptions of modules and programs: frozen records that the checks compare."""

from pytest_exportcheck.describe.declared import declared_dims, dims_in
from pytest_exportcheck.describe.graph_inputs import graph_inputs, writes_to_arguments
from pytest_exportcheck.describe.guards import guard_conditions
from pytest_exportcheck.describe.inputs import check_inputs
from pytest_exportcheck.describe.modules import (
    call_spec_of,
    call_spec_of_call,
    claimed_types_of,
    module_types_of,
    state_of,
    untraced_of,
)
from pytest_exportcheck.describe.places import input_places, place_of
from pytest_exportcheck.describe.program import node_of, program_of
from pytest_exportcheck.describe.runs import node_runs, run_digest
from pytest_exportcheck.describe.samples import check_sample
from pytest_exportcheck.describe.symbols import interval_of

__all__ = [
    "call_spec_of",
    "call_spec_of_call",
    "check_inputs",
    "check_sample",
    "claimed_types_of",
    "declared_dims",
    "dims_in",
    "graph_inputs",
    "guard_conditions",
    "input_places",
    "interval_of",
    "module_types_of",
    "node_of",
    "node_runs",
    "place_of",
    "program_of",
    "run_digest",
    "state_of",
    "untraced_of",
    "writes_to_arguments",
]
