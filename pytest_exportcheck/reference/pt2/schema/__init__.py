"""The schema 8.x of a program's JSON, typed: every type and every field is named as torch's ``schema.yaml`` names it.

Records are frozen msgspec structs that take their fields by keyword; unions are made as ``Argument("as_int", 3)``.
"""

from pytest_exportcheck.reference.pt2.schema.arguments import *  # noqa: F403
from pytest_exportcheck.reference.pt2.schema.base import Record as Record
from pytest_exportcheck.reference.pt2.schema.base import Tagged as Tagged
from pytest_exportcheck.reference.pt2.schema.base import fields as fields
from pytest_exportcheck.reference.pt2.schema.base import type_name as type_name
from pytest_exportcheck.reference.pt2.schema.graph import *  # noqa: F403
from pytest_exportcheck.reference.pt2.schema.payload import *  # noqa: F403
from pytest_exportcheck.reference.pt2.schema.program import *  # noqa: F403
from pytest_exportcheck.reference.pt2.schema.scalars import *  # noqa: F403
from pytest_exportcheck.reference.pt2.schema.signature import *  # noqa: F403
