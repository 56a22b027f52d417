"""The schema 8.x of a program's JSON, typed: every type and every field is named as torch's ``schema.yaml`` names it.

Records are frozen msgspec structs that take their fields by keyword; unions are made as ``Argument("as_int", 3)``.
"""

from pytest_exportcheck.serde.schema.arguments import *  # noqa: F403
from pytest_exportcheck.serde.schema.base import Record as Record
from pytest_exportcheck.serde.schema.base import Tagged as Tagged
from pytest_exportcheck.serde.schema.base import fields as fields
from pytest_exportcheck.serde.schema.base import type_name as type_name
from pytest_exportcheck.serde.schema.graph import *  # noqa: F403
from pytest_exportcheck.serde.schema.payload import *  # noqa: F403
from pytest_exportcheck.serde.schema.program import *  # noqa: F403
from pytest_exportcheck.serde.schema.scalars import *  # noqa: F403
from pytest_exportcheck.serde.schema.signature import *  # noqa: F403
