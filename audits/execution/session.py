"""Session: the model of one audit, open in a worker, with the audit's plan and store."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.errors import AuditError, Contradicted, NotApplicable
from audits.evidence.codec import Part, from_part
from audits.evidence.evidence import Evidence
from audits.execution import child, tuning
from audits.execution.audit_keys import AuditKeys
from audits.execution.child import Measured
from audits.execution.concluding import checked_answers, checked_part, concluded
from audits.execution.cost import Cost
from audits.execution.first_plan import first_plan
from audits.execution.inputs import AuditInputs
from audits.execution.model_in_worker import ModelInWorker
from audits.execution.plans import Plans, smaller_plan
from audits.execution.progress import Progress
from audits.execution.setting import Setting
from audits.execution.store import Store
from audits.execution.tuning import Planned, Timed
from audits.execution.worker import Worker, WorkerFailure, of_type
from fillblanks import Plan

log = logging.getLogger(__name__)
NOTICE = logging.INFO + 5  # of lines that a person should find in the terminal afterwards


@dataclass(frozen=True)
class Start:
    """Setting and plan of an audit, decided when it began; all its units are measured by them."""

    setting: Setting
    plan: Plan


class Session:
    """Measures units and concludes checks of one audit. Use it as a context manager.

    Entering it opens the model in the worker, in place of the one that was open there: it raises
    AuditError or WorkerFailure if that does not work. Inputs and worker must be entered first and
    stay open as long. A session of an audit that began in another process is given its `start`.
    Threads may call `units`, `measure`, `conclude` and `cost` at once; the calls take turns, since
    one process holds the model and each call may change the plan.
    """

    def __init__(self, inputs: AuditInputs, worker: Worker, start: Start | None = None):
        self.inputs = inputs
        self.config, self.model, self.images = inputs.config, inputs.model, inputs.images
        self._start = start
        self._open = ExitStack()
        self._turn = threading.RLock()
        self._model = ModelInWorker(inputs, worker)
        self._units: dict[str, list[Unit]] = {}
        self._finished: dict[tuple[str, Unit], str] = {}

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self.store = Store(self.config.store)
            passes = self.config.passes(len(self.images))
            self._progress = Progress(str(self.model), passes, self.store.folder)
            opening.callback(self._model.leave)
            here = self._model.open()
            self.setting = here if self._start is None else self._start.setting
            if not here.suits(self.setting):
                raise AuditError(
                    f"Expected {self.setting.dtype} on {self.setting.device} with torch "
                    f"{self.setting.torch}, as where the audit began, got {here.dtype} on "
                    f"{here.device} with torch {here.torch}. Give all machines the same."
                )
            given = None if self._start is None else self._start.plan
            if given is None:
                self._model.ask_on_other_kernels(here)
            self.plans = Plans(self.store, self._keys.plan, given)
            self.plans.choose(self._find_plan)
            if given is None and tuning.is_long(self.config, self.images):
                log.log(NOTICE, "%s: %s", self.model, self.cost())
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def _keys(self) -> AuditKeys:
        return AuditKeys(self.inputs, self.setting)

    @property
    def context(self) -> AuditContext:
        """The context of checks in this process: everything but the model."""
        given, config = self.inputs, self.config
        context = AuditContext(self.images, config.seed, self.plan, version_names=config.versions)
        referred = given.reference_files is not None
        return replace(context, contract=given.files.contract, expects_reference=referred)

    @property
    def plan(self) -> Plan:
        """How passes are run now; if memory is too short, a smaller plan takes its place."""
        if self.plans.current is None:
            raise RuntimeError("Enter the session first; then a plan is chosen.")
        return self.plans.current

    @property
    def start(self) -> Start:
        """Setting and plan, from which another process measures units of the same audit."""
        return Start(self.setting, self.plans.all[0])

    @property
    def engine(self) -> dict[str, object]:
        """Where and how the passes were run, for the evidence."""
        return {**asdict(self.setting), "plans": [asdict(plan) for plan in self.plans.all]}

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about model, data and passes for a reader of the evidence."""
        cell = self.inputs.cell
        told = (self._model.held.note(cell),) if cell and self._model.held else ()
        return (*self.inputs.notes, *told, *self.setting.notes, *self.plans.notes)

    def check(self, name: str) -> Check:
        return next(check for check in self.config.checks if check.name == name)

    def units(self, check: Check) -> list[Unit]:
        with self._turn:
            if check.name not in self._units:
                self._units[check.name] = check.units(self.context)
            return self._units[check.name]

    def measure(self, check: Check, unit: Unit) -> None:
        """Measures one unit, unless its part is in the store.

        Raises NotApplicable, and AuditError or WorkerFailure whose message begins with the unit.
        """
        with self._turn:
            try:
                self._finish(check, unit)
            except NotApplicable:
                raise
            except AuditError as error:
                kind = Contradicted if isinstance(error, Contradicted) else AuditError
                raise kind(f"{unit}: {error}") from error
            except WorkerFailure as error:
                raise WorkerFailure(f"{unit}: {error.reason}", error.detail) from error

    def _finish(self, check: Check, unit: Unit) -> None:
        started = time.monotonic()
        self._progress.begins(check.name, map(check.unit_passes, self.units(check)))
        key = self._stored(check, unit)
        seconds = None
        if key is None:
            key = self._measured(check, unit)
            seconds = time.monotonic() - started
        self._finished[check.name, unit] = key
        self._progress.finished(check.name, unit.number + 1, check.unit_passes(unit), seconds)

    def conclude(self, check: Check) -> Evidence:
        """Evidence from the parts of all units, kept in the store.

        Raises NotApplicable, AuditError or WorkerFailure.
        """
        with self._turn:
            evidence = self._concluded(check)
            self._progress.concluded(check.name)
            if self._model.held is not None and not self._model.held.files:
                self.inputs.expect_unchanged()
            return evidence

    def _concluded(self, check: Check) -> Evidence:
        keys = [self._finished_key(check, unit) for unit in self.units(check)]
        for plan in reversed(self.plans.all):
            kept = self.store.get(self._keys.conclusion(check, keys, plan))
            if kept is None:
                continue
            try:
                return from_part(kept)
            except (KeyError, TypeError, ValueError):  # an older release concluded otherwise
                log.info("%s: the conclusion that is kept is of another release", check.name)
        new = self._conclusion(check, [self._kept(key) for key in keys])
        try:
            evidence = from_part(new)  # the same as when it is kept
        except Exception as error:  # whatever another package's check has put in there
            raise AuditError(
                f"Expected evidence of {check.name} that can be read again, got "
                f"{type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
        self.store.put(self._keys.conclusion(check, keys, self.plan), new)
        return evidence

    def _kept(self, key: str) -> Part:
        part = self.store.get(key)
        if part is None:
            raise AuditError(
                f"Expected the part {key} in {self.store.folder}, found none. Run it again."
            )
        return part

    def _conclusion(self, check: Check, parts: list[Part]) -> Part:
        if check.asks_at_the_end:
            found = self._model.ask(self.plan, child.ask, check, parts)
            parts = [*parts, checked_answers(found, check, self.context, parts)]
        return concluded(check, self.context, parts)

    def tried(self, check: Check) -> Evidence:
        """Evidence of a check, measured now and not kept. Raises AuditError or WorkerFailure."""
        with self._turn:
            parts = [self._part(check, unit, None) for unit in self.units(check)]
            return from_part(self._conclusion(check, parts))

    def ask(self, function: Callable[..., Any], *args: Any, gives: Any) -> Any:
        """`function(opened, *args)`, of type `gives`, in the worker.

        Raises AuditError or WorkerFailure.
        """
        with self._turn:
            return self._model.ask(self.plans.current, function, *args, gives=gives)

    def cost(self) -> Cost:
        """The cost of all units that are not in the store. Raises AuditError or WorkerFailure."""
        with self._turn:
            return self._cost()

    def _cost(self) -> Cost:
        left = [
            (check, unit)
            for check in self.config.checks
            if not self.setting.lacks(check.needs)
            for unit in self.units(check)
            if self._stored(check, unit) is None
        ]
        passes = sum(check.unit_passes(unit) for check, unit in left)
        most = sum(check.most_unit_passes(unit) for check, unit in left)
        while (timed := self._model.ask(self.plan, tuning.time_plan, gives=Timed)).short:
            self._shrink(timed.short)
        return Cost(passes, most, timed.seconds, timed.peak_gib)

    def _find_plan(self) -> Planned | Plan:
        if self.setting.lacks("gradients") or tuning.is_short(self.config, self.images):
            return first_plan(self.config, self.images, self.setting.largest_chunk)
        log.info("%s: tuning", self.model)
        try:
            found: Planned = self._model.ask(None, tuning.find_plan, gives=Planned)
            of_type(Plan, found.plan)
        except WorkerFailure as failure:
            # A check that would succeed is not given up for a plan that is only faster.
            plan = first_plan(self.config, self.images, self.setting.largest_chunk)
            return tuning.untuned(plan, failure.reason)
        return found

    def _measured(self, check: Check, unit: Unit) -> str:
        """Measures in the worker, and keeps the part; returns its key."""
        part = self._part(check, unit, self._keys.images(unit))
        key = self._keys.part(check, unit, self.plan)
        self.store.put(key, part)
        return key

    def _part(self, check: Check, unit: Unit, digest: str | None) -> Part:
        """Measures in the worker, with smaller plans while memory is short, in one time limit."""
        left = self._model.time_of_a_unit()
        while True:
            hashes = self.images.hashes(unit.indices)
            found = self._model.ask(
                self.plan, child.measure, check, unit, digest, hashes, gives=Measured, left=left
            )
            if not found.short:
                return checked_part(found.part, check, self.context, unit)
            self._shrink(found.short)

    def _shrink(self, reason: str) -> None:
        """Goes on with half the plan. Raises AuditError with the reason if there is none."""
        smaller = smaller_plan(self.plan, reason, self.config.limits.memory_gib)
        log.warning("%s: out of memory; going on with chunk %d", self.model, smaller.chunk)
        self.plans.shrink(smaller)
        # What a pass that failed leaves behind is given back with its process.
        self._model.restart()

    def _stored(self, check: Check, unit: Unit) -> str | None:
        """The key of the unit's part, if it is in the store under a plan of this audit."""
        for plan in reversed(self.plans.all):
            key = self._keys.part(check, unit, plan)
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
