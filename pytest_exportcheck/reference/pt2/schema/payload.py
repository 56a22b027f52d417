"""The other JSON records of an archive: what is said of weights and constants."""

from __future__ import annotations

from pytest_exportcheck.reference.pt2.schema.base import Record
from pytest_exportcheck.reference.pt2.schema.scalars import TensorMeta


class PayloadMeta(Record, frozen=True):
    """One weight or constant; a pickled object has no ``tensor_meta``."""

    path_name: str
    is_param: bool
    use_pickle: bool
    tensor_meta: TensorMeta | None


class PayloadConfig(Record, frozen=True):
    """The configuration of every weight or constant, by its fully qualified name."""

    config: dict[str, PayloadMeta]


__all__ = ["PayloadConfig", "PayloadMeta"]
