"""Session: the worker, the plan and the store of one audit, open in this process."""

import json
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, Self

from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.errors import AuditError
from audits.evidence.codec import SCHEMA_VERSION, from_part, to_part
from audits.evidence.evidence import Evidence
from audits.execution import child, tuning
from audits.execution.cost import Cost
from audits.execution.inputs import Subject
from audits.execution.keys import key_of
from audits.execution.plans import Plans
from audits.execution.store import Store
from audits.execution.tuning import Planned
from audits.execution.worker import Worker, WorkerFailure
from fillblanks import Plan, __version__

log = logging.getLogger(__name__)
NOTICE = logging.INFO + 5  # what a person should find in the terminal afterwards

open_sessions: dict[str, "Session"] = {}
"""Sessions open in this process by their ticket; entered and left by Session alone."""


class Session:
    """Measures units and concludes checks of one audit. Use it as a context manager.

    Entering it starts the worker and opens the model there: it raises AuditError or WorkerFailure
    where that does not work. The subject must be entered first and stay open as long.
    """

    def __init__(self, subject: Subject, plan: Plan | None = None):
        self.subject = subject
        self.config, self.model = subject.config, subject.model
        self.files, self.images = subject.files, subject.images
        self._open = ExitStack()
        self._warm = False
        self._given_plan = plan
        self._units: dict[str, list[Unit]] = {}
        self._finished: dict[tuple[str, Unit], str] = {}
        self._digests: dict[tuple[int, ...], str] = {}
        self._passes_done = self._passes_measured = 0
        self._measuring_seconds = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self.store = Store(self.config.store)
            self._worker = opening.enter_context(Worker(self.config.limits.memory_gib))
            self._job = child.Job(self.config, self.files, self.subject.reference_files)
            self.setting = self._open_model()
            self.plans = Plans(self.store, self._plan_key, self._given_plan)
            self.plans.choose(self._find_plan)
            for note in self.notes:
                log.warning(note)
            if tuning.is_long(self.config, self.images):
                log.log(NOTICE, "%s: %s", self.model, self.cost())
            open_sessions[self.ticket] = self
            opening.callback(open_sessions.pop, self.ticket, None)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def context(self) -> AuditContext:
        """What checks see here: everything but the model."""
        return AuditContext(self.images, self.config.seed, self.plan)

    @property
    def plan(self) -> Plan:
        """How passes are run now; memory that is too short makes it a smaller one."""
        if self.plans.current is None:
            raise RuntimeError("Enter the session first; then a plan is chosen.")
        return self.plans.current

    @property
    def engine(self) -> dict[str, object]:
        """Where and how the passes were run, for the evidence."""
        return {**vars(self.setting), "plans": [asdict(plan) for plan in self.plans.all]}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the evidence should know of model, data and passes."""
        return (*self.subject.notes, *self.plans.notes)

    @cached_property
    def ticket(self) -> str:
        """This audit as text, from which `attach` opens the same one in another process."""
        return json.dumps(
            {
                "config": self.config.model_dump(mode="json"),
                "model": asdict(self.model),
                "digest": self.subject.digest,
                "setting": asdict(self.setting),
                "plan": asdict(self.plans.all[0]),
            }
        )

    def check(self, name: str) -> Check:
        return next(check for check in self.config.checks if check.name == name)

    def units(self, check: Check) -> list[Unit]:
        if check.name not in self._units:
            self._units[check.name] = check.units(self.context)
        return self._units[check.name]

    def measure(self, check: Check, unit: Unit) -> None:
        """Measures one unit, unless its part is in the store.

        Raises NotApplicable, AuditError or WorkerFailure.
        """
        key = self._stored(check, unit)
        cached = key is not None
        if key is None:
            started = time.monotonic()
            key = self._measured(check, unit)
            self._measuring_seconds += time.monotonic() - started
        self._finished[check.name, unit] = key
        self._tell(check, unit, cached)

    def conclude(self, check: Check) -> Evidence:
        """Evidence from the parts of all units, kept in the store. Raises as `measure` does."""
        parts = [self._finished_key(check, unit) for unit in self.units(check)]
        for plan in reversed(self.plans.all):
            kept = self.store.get(self._conclusion_key(check, parts, plan))
            if kept is None:
                continue
            try:
                return from_part(kept)
            except (KeyError, TypeError, ValueError):  # an older release concluded otherwise
                log.info("%s: the conclusion that is kept is of another release", check.name)
        new = to_part(self._in_worker(child.conclude, check, parts))
        self.store.put(self._conclusion_key(check, parts, self.plan), new)
        return from_part(new)  # the same as when it was kept

    def cost(self) -> Cost:
        """What is left to do: units that are not in the store."""
        left = [
            (check, unit)
            for check in self.config.checks
            for unit in self.units(check)
            if self._stored(check, unit) is None
        ]
        passes = sum(check.unit_passes(unit) for check, unit in left)
        most = sum(check.most_unit_passes(unit) for check, unit in left)
        while isinstance(found := self._in_worker(tuning.time_plan), Plan):
            self._shrink(found)
        seconds, peak_gib = found
        return Cost(passes, most, seconds, peak_gib)

    def _find_plan(self) -> Planned | Plan:
        if tuning.is_short(self.config, self.images):
            return tuning.default(self.config, self.images)
        log.info("%s: tuning", self.model)
        try:
            found: Planned = self._in_worker(tuning.find_plan)
        except WorkerFailure as failure:
            # A check that would succeed is not given up for a plan that is only faster.
            return tuning.untuned(self.config, self.images, failure.reason)
        return found

    @property
    def _plan_key(self) -> str:
        return key_of(
            model=self.files.digest,
            preprocessing=self.subject.preprocessing,
            data=self.subject.data_digest,
            fills=[check.fill_options() for check in self.config.checks],
            engine=self.config.engine.fixed,
            passes=self.config.passes(len(self.images)),
            memory_gib=self.config.limits.memory_gib,
            seed=self.config.seed,
            setting=asdict(self.setting),
        )

    def _measured(self, check: Check, unit: Unit) -> str:
        """Measures in the worker, with smaller plans while memory is short; returns the key."""
        while True:
            key = self._key(check, unit, self.plan)
            smaller = self._in_worker(child.measure, check, unit, key, self._images_digest(unit))
            if smaller is None:
                return key
            self._shrink(smaller)

    def _shrink(self, smaller: Plan) -> None:
        log.warning("%s: out of memory; going on with chunk %d", self.model, smaller.chunk)
        self.plans.shrink(smaller)
        # What a pass that failed leaves behind is given back with its process.
        self._worker.restart()
        self._warm = False

    def _stored(self, check: Check, unit: Unit) -> str | None:
        """The key of the unit's part, where it is in the store under a plan of this audit."""
        for plan in reversed(self.plans.all):
            key = self._key(check, unit, plan)
            if self.store.has(key):
                return key
        return None

    def _finished_key(self, check: Check, unit: Unit) -> str:
        if (check.name, unit) in self._finished:
            return self._finished[check.name, unit]
        key = self._stored(check, unit)
        if key is None:
            # Another process may have measured it, with a plan that it had to make smaller.
            self.plans.reload()
            key = self._stored(check, unit)
        if key is None:
            raise AuditError(f"Expected {unit} of {check.name} to be measured, it is not.")
        return key

    def _open_model(self) -> child.Setting:
        setting: child.Setting = self._worker.call(
            child.open_model, self._job, seconds=self.config.limits.load_seconds
        )
        self._warm = True
        return setting

    def _in_worker(self, function: Callable[..., Any], *args: Any) -> Any:
        if not self._warm:
            self._open_model()
        job = replace(self._job, plan=self.plans.current)
        seconds = self.config.limits.unit_seconds
        try:
            return self._worker.call(function, job, *args, seconds=seconds)
        except WorkerFailure:
            self._warm = False
            raise

    def _tell(self, check: Check, unit: Unit, cached: bool) -> None:
        """Logs progress; time left from the passes measured here so far."""
        passes = check.unit_passes(unit)
        self._passes_done += passes
        self._passes_measured += 0 if cached else passes
        left = self.config.passes(len(self.images)) - self._passes_done
        done = f"{self.model}: {check.name} {unit.number + 1}/{len(self.units(check))}"
        if cached:
            log.info("%s, kept from before", done)
        else:
            seconds = left * self._measuring_seconds / max(self._passes_measured, 1)
            log.info("%s, about %.0f s left", done, seconds)

    def _key(self, check: Check, unit: Unit, plan: Plan) -> str:
        return key_of(
            model=self.files.digest,
            preprocessing=self.subject.preprocessing,
            images=self._images_digest(unit),
            reference=self.subject.reference_digest if check.asks_reference else None,
            unit=unit.content,
            check=check.unit_identity(unit) | {"version": check.version},
            seed=self.config.seed,
            setting=asdict(self.setting),
            plan=asdict(plan),
        )

    def _conclusion_key(self, check: Check, parts: list[str], plan: Plan) -> str:
        return key_of(
            release=__version__,
            schema=SCHEMA_VERSION,
            conclusion=check.model_dump(mode="json") | {"version": check.version},
            subject=self.subject.digest,
            parts=parts,
            setting=asdict(self.setting),
            plan=asdict(plan),
        )

    def _images_digest(self, unit: Unit) -> str:
        if unit.indices not in self._digests:
            self._digests[unit.indices] = self.images.digest(unit.indices)
        return self._digests[unit.indices]
