"""Session: the model, the data, the worker and the store of one audit, open in this process."""

import json
import logging
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from audits import bench, calibration, models, registry
from audits.calibration import Planned
from audits.checks.base import AuditContext, Check, Unit
from audits.config import AuditConfig
from audits.cost import Cost
from audits.data import ImageSet
from audits.errors import AuditError
from audits.evidence import Evidence
from audits.models import ModelFiles
from audits.plans import Plans
from audits.registry import Resolved
from audits.store import Store, default_folder, key_of
from audits.worker import Worker, WorkerFailure
from fillblanks import Plan

log = logging.getLogger(__name__)
NOTICE = logging.INFO + 5  # what a person should find in the terminal afterwards

open_sessions: dict[str, "Session"] = {}
"""Sessions open in this process by their ticket; entered and left by Session alone."""


class Session:
    """Measures units and concludes checks of one audit. Use it as a context manager.

    Entering it copies the model's files, refuses what must not be loaded, starts the worker and
    opens the model there: it raises AuditError or WorkerFailure where that does not work.
    """

    def __init__(
        self, config: AuditConfig, model: Resolved, images: ImageSet, plan: Plan | None = None
    ):
        # The worker is told the very folder, whatever its environment.
        self.config = config.model_copy(update={"store": config.store or default_folder()})
        self.model = model
        self._images = images
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
            log.info("%s: opening model and data", self.model)
            folder = opening.enter_context(tempfile.TemporaryDirectory(prefix="fillblanks-"))
            fetched = registry.fetch(self.model, Path(folder))
            self.files = models.inspect(
                fetched, self.config.preprocessing, self.config.trust_pickle_sha256
            )
            self.images = self._images.for_model(self.files.classes, self.files.shape)
            self.reference_files = self._fetch_reference(Path(folder))
            self.config = self._settled()
            self.store = Store(self.config.store)
            self._worker = opening.enter_context(Worker(self.config.limits.memory_gib))
            self._job = bench.Job(self.config, self.files, self.reference_files)
            self.setting = self._open_model()
            self.plans = Plans(self.store, self._plan_key, self._given_plan)
            self.plans.choose(self._find_plan)
            for note in self.notes:
                log.warning(note)
            if calibration.is_long(self.config, self.images):
                log.log(NOTICE, "%s: %s", self.model, self.cost())
            open_sessions[self.ticket] = self
            opening.callback(open_sessions.pop, self.ticket, None)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _settled(self) -> AuditConfig:
        channels, height, width = self.images.tensor([0]).shape[1:]
        checks = tuple(c.settled((channels, height, width)) for c in self.config.checks)
        return self.config.model_copy(update={"checks": checks})

    def _fetch_reference(self, folder: Path) -> ModelFiles | None:
        if self.config.reference is None:
            return None
        reference = registry.resolve(self.config.reference)
        target = folder / "reference"
        target.mkdir()
        fetched = registry.fetch(reference, target)
        return models.inspect_reference(
            fetched, self.files, self.images.classes, self.config.trust_pickle_sha256
        )

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
        notes = [*self.files.notes, *self.images.adaptations(), *self.images.weaknesses()]
        if self.files.classes is None:
            notes.append(
                "Neither the model's metadata nor the config names the classes: the data's are "
                "taken for its logits, in this order: " + ", ".join(self.images.classes)
            )
        if self.reference_files is not None:
            notes += [f"The reference: {note}" for note in self.reference_files.notes]
            if self.reference_files.classes is None:
                notes.append(
                    "The reference's metadata does not name its classes: the order of the audited "
                    "model's is taken."
                )
        return (*notes, *self.plans.notes)

    @property
    def reference_digest(self) -> str | None:
        return self.reference_files.digest if self.reference_files else None

    @cached_property
    def digest(self) -> str:
        """sha256 of all that decides the figures and the verdict of this audit."""
        return key_of(
            model=self.files.digest,
            reference=self.reference_digest,
            preprocessing=self._preprocessing(),
            data=self.data_digest,
            checks=[
                check.model_dump(mode="json") | {"version": check.version}
                for check in self.config.checks
            ],
            policy=self.config.policy.model_dump(mode="json"),
            engine=self.config.engine.fixed,
            seed=self.config.seed,
        )

    @cached_property
    def data_digest(self) -> str:
        """sha256 of all images and labels as the model gets them."""
        return self.images.digest(range(len(self.images)))

    @cached_property
    def ticket(self) -> str:
        """This audit as text, from which `attach` opens the same one in another process."""
        return json.dumps(
            {
                "config": self.config.model_dump(mode="json"),
                "model": asdict(self.model),
                "digest": self.digest,
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
        """Evidence from the parts of all units. Raises as `measure` does."""
        keys = [self._finished_key(check, unit) for unit in self.units(check)]
        evidence: Evidence = self._in_worker(bench.conclude, check, keys)
        return evidence

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
        while isinstance(found := self._in_worker(calibration.time_plan), Plan):
            self._shrink(found)
        seconds, peak_gib = found
        return Cost(passes, most, seconds, peak_gib)

    def _find_plan(self) -> Planned | Plan:
        if calibration.is_short(self.config, self.images):
            return calibration.default(self.config, self.images)
        log.info("%s: calibrating", self.model)
        try:
            found: Planned = self._in_worker(calibration.find_plan)
        except WorkerFailure as failure:
            # A check that would succeed is not given up for a plan that is only faster.
            return calibration.uncalibrated(self.config, self.images, failure.reason)
        return found

    @property
    def _plan_key(self) -> str:
        return key_of(
            model=self.files.digest,
            preprocessing=self._preprocessing(),
            data=self.data_digest,
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
            smaller = self._in_worker(bench.measure, check, unit, key, self._images_digest(unit))
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

    def _open_model(self) -> bench.Setting:
        setting: bench.Setting = self._worker.call(
            bench.open_model, self._job, seconds=self.config.limits.load_seconds
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
            preprocessing=self._preprocessing(),
            images=self._images_digest(unit),
            reference=self.reference_digest if check.asks_reference else None,
            unit=unit.content,
            check=check.unit_identity(unit) | {"version": check.version},
            seed=self.config.seed,
            setting=asdict(self.setting),
            plan=asdict(plan),
        )

    def _preprocessing(self) -> dict[str, object]:
        return {"mean": self.files.mean, "std": self.files.std, "classes": self.images.classes}

    def _images_digest(self, unit: Unit) -> str:
        if unit.indices not in self._digests:
            self._digests[unit.indices] = self.images.digest(unit.indices)
        return self._digests[unit.indices]
