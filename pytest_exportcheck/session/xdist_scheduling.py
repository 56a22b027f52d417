"""Schedulers for pytest-xdist: the items of a case stay on one worker. Needs pytest-xdist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdist.scheduler import LoadFileScheduling, LoadGroupScheduling, LoadScopeScheduling

#: The case that an item's id belongs to; empty for an item that is not of this plugin.
CaseOf = Callable[[str], str]


class _CrashesOnce(LoadScopeScheduling):  # type: ignore[misc]
    """xdist's scheduler by scopes, corrected: xdist's gives an item that ended a worker to the next worker, gives work
    to workers that have not collected yet, and may leave a worker that joins late with too little to begin.
    """

    def __init__(self, config: Any, log: Any, case_of: CaseOf) -> None:
        super().__init__(config, log)
        self._case_of = case_of

    def remove_node(self, node: Any) -> str | None:
        """Return the item that a lost worker was running, which counts as done; the worker's other items go to
        others.
        """
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
        """Distribute no further items."""
        self.workqueue.clear()

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Shut down a worker that joins late and found other items: nothing waits for it."""
        super().add_node_collection(node, collection)
        if node not in self.registered_collections:
            node.shutdown()

    def _reschedule(self, node: Any) -> None:
        """Assign work as often as the node has room: a worker begins an item only when it knows the one after."""
        if node not in self.registered_collections:
            return  # it joins late, and is still collecting
        super()._reschedule(node)
        while self.workqueue and not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            self._assign_work_unit(node)


class CaseScheduling(_CrashesOnce):
    """A scheduler with one scope for each case, and one for every other test."""

    def _split_scope(self, nodeid: str) -> str:
        return self._case_of(nodeid) or nodeid


class GroupScheduling(_CrashesOnce, LoadGroupScheduling):  # type: ignore[misc]
    """A scheduler with one scope for each case; other tests have the groups of their markers."""

    def _split_scope(self, nodeid: str) -> str:
        return self._case_of(nodeid) or super()._split_scope(nodeid)


class FileScheduling(_CrashesOnce, LoadFileScheduling):  # type: ignore[misc]
    """A scheduler with one scope for each file, and thus for its cases."""


#: Value of ``--dist`` -> the scheduler. The others (each, worksteal) use xdist's own.
_SCHEDULERS: dict[str, type[_CrashesOnce]] = {
    "load": CaseScheduling,
    "loadgroup": GroupScheduling,
    "loadscope": _CrashesOnce,
    "loadfile": FileScheduling,
}


def scheduler(config: Any, log: Any, case_of: CaseOf) -> LoadScopeScheduling | None:
    """Return the scheduler of a session; None for xdist's own."""
    kind = _SCHEDULERS.get(config.getvalue("dist"))
    return kind(config, log, case_of) if kind else None
