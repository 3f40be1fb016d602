"""The plans of one audit: decided once, written down in the store, read again on resuming."""

import json
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise

import numpy as np

from audits.errors import AuditError, shortened
from audits.execution.store import Store
from audits.execution.tuning import Planned
from fillblanks import Plan

_LONGEST = 400  # characters of a reason


def smaller_plan(plan: Plan, reason: str, memory_gib: float | None) -> Plan:
    """Half the plan, for which memory was too short. Raises AuditError if there is none.

    The reason comes from the process of the model: it is told, and decides nothing.
    """
    smaller = plan.halved()
    if smaller != plan:
        return smaller
    limit = f" limits.memory_gib = {memory_gib:g}." if memory_gib else ""
    raise AuditError(shortened(reason, _LONGEST) + limit)


class Plans:
    """The plan in use, and the larger ones before it, for which memory was too short.

    `key` is a hash of all that the plan depends on. Without a `given` plan there is none before
    `choose`.
    """

    def __init__(self, store: Store, key: str, given: Plan | None = None):
        self._store, self._key = store, f"plan-{key}"
        self._plans = [] if given is None else [given]
        self._planned: Planned | None = None
        self.reload()

    @property
    def current(self) -> Plan | None:
        return self._plans[-1] if self._plans else None

    @property
    def all(self) -> tuple[Plan, ...]:
        return tuple(self._plans)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the plans for a reader of the evidence."""
        shrunk = [
            f"Memory was too short for {before.chunk} images in a pass; the audit went on with "
            f"{after.chunk}."
            for before, after in pairwise(self._plans)
        ]
        return (*([self._planned.note] if self._planned else []), *shrunk)

    def choose(self, find: Callable[[], Planned | Plan]) -> None:
        """Decides with `find`, unless it was decided before; a tuning is written down."""
        if self._plans:
            return
        found = find()
        self.reload()  # another process may have found one meanwhile
        if self._plans:
            return
        if isinstance(found, Plan):
            self._plans = [found]
        else:
            self._planned, self._plans = found, [Plan(**found.plan)]
            self._write()

    def shrink(self, smaller: Plan) -> None:
        """Goes on with a plan that needs less memory."""
        self.reload()  # another process may have come to the same
        if smaller not in self._plans:
            self._plans.append(smaller)
            self._write()

    def reload(self) -> None:
        """Reads what was written down, maybe by another process."""
        part = self._store.get(self._key)
        if part is not None:
            content = json.loads(str(part["json"]))
            self._plans = [Plan(**plan) for plan in content["plans"]]
            self._planned = Planned(**content["planned"]) if content["planned"] else None

    def _write(self) -> None:
        plans = [asdict(plan) for plan in self._plans]
        planned = asdict(self._planned) if self._planned else None
        text = json.dumps({"plans": plans, "planned": planned})
        self._store.put(self._key, {"json": np.array(text)})
