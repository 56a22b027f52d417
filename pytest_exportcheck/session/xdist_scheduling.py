"""Which worker of pytest-xdist runs what: the items of a case stay together. Needs pytest-xdist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdist.scheduler import LoadFileScheduling, LoadGroupScheduling, LoadScopeScheduling

#: The case that an item's id belongs to; empty for an item that is none of ours.
CaseOf = Callable[[str], str]


class _CrashesOnce(LoadScopeScheduling):  # type: ignore[misc]
    """xdist's scheduler by scopes, which gives an item that ended a worker to the next worker, gives work to workers that
    have not collected yet, and may leave one that joins late with too little to begin."""

    def __init__(self, config: Any, log: Any, case_of: CaseOf) -> None:
        super().__init__(config, log)
        self._case_of = case_of

    def remove_node(self, node: Any) -> str | None:
        """The item that a lost worker was running, which counts as done; the worker's other items go to others."""
        workload = self.assigned_work.pop(node)
        crashed = next((item for unit in workload.values() for item, done in unit.items() if not done), None)
        for unit in workload.values():
            if crashed in unit:
                unit[crashed] = True
        self.workqueue.update((scope, unit) for scope, unit in workload.items() if not all(unit.values()))
        if crashed is not None:
            for other in self.nodes:
                self._reschedule(other)
        return crashed

    def stop(self) -> None:
        """Give out nothing more."""
        self.workqueue.clear()

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """A worker that joins late and found other items is of no use, and nothing waits for it."""
        super().add_node_collection(node, collection)
        if node not in self.registered_collections:
            node.shutdown()

    def _reschedule(self, node: Any) -> None:
        """As often as the node has room: a worker begins an item only when it knows the one after."""
        if node not in self.registered_collections:
            return  # it joins late, and is still collecting
        super()._reschedule(node)
        while self.workqueue and not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            self._assign_work_unit(node)


class CaseScheduling(_CrashesOnce):
    """A case is a scope, and so is every other test."""

    def _split_scope(self, nodeid: str) -> str:
        return self._case_of(nodeid) or nodeid


class GroupScheduling(_CrashesOnce, LoadGroupScheduling):  # type: ignore[misc]
    """A case is a scope; other tests have the groups that their markers say."""

    def _split_scope(self, nodeid: str) -> str:
        return self._case_of(nodeid) or super()._split_scope(nodeid)


class FileScheduling(_CrashesOnce, LoadFileScheduling):  # type: ignore[misc]
    """A file is a scope, and so holds its cases."""


#: What ``--dist`` asks for -> who does it. For the others (each, worksteal) xdist's own do.
_SCHEDULERS: dict[str, type[_CrashesOnce]] = {
    "load": CaseScheduling,
    "loadgroup": GroupScheduling,
    "loadscope": _CrashesOnce,
    "loadfile": FileScheduling,
}


def scheduler(config: Any, log: Any, case_of: CaseOf) -> LoadScopeScheduling | None:
    """The scheduler of a session; None for xdist's own."""
    kind = _SCHEDULERS.get(config.getvalue("dist"))
    return kind(config, log, case_of) if kind else None
