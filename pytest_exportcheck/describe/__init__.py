"""Modules and programs -> frozen records that the checks compare."""

from pytest_exportcheck.describe.declared import declared_dims
from pytest_exportcheck.describe.modules import call_spec_of, call_spec_of_call, module_types_of, state_of
from pytest_exportcheck.describe.program import program_of
from pytest_exportcheck.describe.runs import node_runs

__all__ = [
    "call_spec_of",
    "call_spec_of_call",
    "declared_dims",
    "module_types_of",
    "node_runs",
    "program_of",
    "state_of",
]
