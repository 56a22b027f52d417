"""What a fault is: an edit of a sound program, and who must notice it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch.export import ExportedProgram

from pytest_exportcheck.modes import Mode

Inject: TypeAlias = Callable[[ExportedProgram], ExportedProgram | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Fault:
    """An edit of the program that the last stage of the mode ``where`` makes of ``model``.

    ``inject`` edits in place or returns another program. ``owner`` is the check that must report it, with ``field`` as the
    finding's field or kind; or ``ledger`` is the field whose losses must rise in the ledger, for what a stage may lose.
    """

    id: str
    where: str
    model: str
    inject: Inject
    owner: str = ""
    field: str = ""
    ledger: str = ""

    def __post_init__(self) -> None:
        if bool(self.owner) == bool(self.ledger):
            raise ValueError(f"fault {self.id} is either owned by a check or shown in the ledger.")

    @property
    def stage(self) -> str:
        return Mode.parse(self.where).last


def fault(where: str, model: str, *, owner: str = "", field: str = "", ledger: str = "") -> Callable[[Inject], Fault]:
    """Make a fault of a function that injects it; its name is the fault's."""

    def of(inject: Inject) -> Fault:
        name = inject.__name__.replace("_", "-")
        return Fault(id=name, where=where, model=model, inject=inject, owner=owner, field=field, ledger=ledger)

    return of
