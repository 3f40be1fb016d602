"""Session: the model, the data, the worker and the store of one audit, open in this process."""

import json
import logging
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from audits import bench, models, registry
from audits.checks.base import AuditContext, Check, Unit
from audits.config import AuditConfig
from audits.data import ImageSet
from audits.evidence import Evidence
from audits.registry import Resolved
from audits.store import Store, default_folder, key_of
from audits.worker import Worker, WorkerFailure
from fillblanks import Plan

log = logging.getLogger(__name__)

open_sessions: dict[str, "Session"] = {}
"""Sessions open in this process by their reference; entered and left by Session alone."""


class Session:
    """Measures units and concludes checks of one audit. Use it as a context manager.

    Entering it copies the model's files, refuses what must not be loaded, starts the worker and
    opens the model there: it raises AuditError or WorkerFailure where that does not work.
    """

    def __init__(self, config: AuditConfig, model: Resolved, images: ImageSet):
        # The worker is told the very folder, whatever its environment.
        self.config = config.model_copy(update={"store": config.store or default_folder()})
        self.model = model
        self._images = images
        self._open = ExitStack()
        self._warm = False
        self._units: dict[str, list[Unit]] = {}
        self._keys: dict[tuple[str, Unit], str] = {}
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
            self.notes = (
                *self.files.notes,
                *self.images.adaptations(),
                *self.images.weaknesses(),
            )
            if self.files.classes is None:
                self.notes += (
                    "Neither the model's metadata nor the config names the classes: the data's are "
                    "taken for its logits, in this order: " + ", ".join(self.images.classes),
                )
            for note in self.notes:
                log.warning(note)
            self.store = Store(self.config.store)
            self._worker = opening.enter_context(Worker(self.config.limits.memory_gib))
            self._job = bench.Job(self.config, self.files)
            self.setting = self._open_model()
            open_sessions[self.reference] = self
            opening.callback(open_sessions.pop, self.reference, None)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def context(self) -> AuditContext:
        """What checks see here: everything but the model."""
        return AuditContext(self.images, self.config.seed, Plan(**self.setting.plan))

    @cached_property
    def digest(self) -> str:
        """sha256 of all that decides the figures and the verdict of this audit."""
        return key_of(
            model=self.files.digest,
            preprocessing=self._preprocessing(),
            data=self.data_digest,
            checks=[self._check_identity(check) for check in self.config.checks],
            policy=self.config.policy.model_dump(mode="json"),
            seed=self.config.seed,
        )

    @cached_property
    def data_digest(self) -> str:
        """sha256 of all images and labels as the model gets them."""
        return self.images.digest(range(len(self.images)))

    @cached_property
    def reference(self) -> str:
        """This audit as text, from which `attach` opens the same one in another process."""
        return json.dumps(
            {
                "config": self.config.model_dump(mode="json"),
                "model": asdict(self.model),
                "digest": self.digest,
                "setting": asdict(self.setting),
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
        key = self._key(check, unit)
        cached = self.store.has(key)
        if not cached:
            started = time.monotonic()
            digest = self._images_digest(unit)
            self._in_worker(bench.measure, check, unit, key, digest)
            self._measuring_seconds += time.monotonic() - started
        self._tell(check, unit, cached)

    def conclude(self, check: Check) -> Evidence:
        """Evidence from the parts of all units. Raises as `measure` does."""
        keys = [self._key(check, unit) for unit in self.units(check)]
        evidence: Evidence = self._in_worker(bench.conclude, check, keys)
        return evidence

    def _open_model(self) -> bench.Setting:
        setting: bench.Setting = self._worker.call(
            bench.open_model, self._job, seconds=self.config.limits.load_seconds
        )
        self._warm = True
        return setting

    def _in_worker(self, function: Callable[..., Any], check: Check, *args: Any) -> Any:
        if not self._warm:
            self._open_model()
        try:
            return self._worker.call(
                function, self._job, check, *args, seconds=self.config.limits.unit_seconds
            )
        except WorkerFailure:
            self._warm = False
            raise

    def _tell(self, check: Check, unit: Unit, cached: bool) -> None:
        """Logs progress; time left from the passes measured here so far."""
        passes = check.passes(len(unit.indices))
        self._passes_done += passes
        self._passes_measured += 0 if cached else passes
        left = self.config.passes(len(self.images)) - self._passes_done
        done = f"{self.model}: {check.name} {unit.number + 1}/{len(self.units(check))}"
        if cached:
            log.info("%s, kept from before", done)
        else:
            seconds = left * self._measuring_seconds / max(self._passes_measured, 1)
            log.info("%s, about %.0f s left", done, seconds)

    def _key(self, check: Check, unit: Unit) -> str:
        if (check.name, unit) not in self._keys:
            self._keys[check.name, unit] = key_of(
                model=self.files.digest,
                preprocessing=self._preprocessing(),
                images=self._images_digest(unit),
                unit=asdict(unit),
                # The unit says which images and the store needs no name.
                check=self._check_identity(check, exclude={"images", "label"}),
                seed=self.config.seed,
                setting=asdict(self.setting),
            )
        return self._keys[check.name, unit]

    def _preprocessing(self) -> dict[str, object]:
        return {"mean": self.files.mean, "std": self.files.std, "classes": self.images.classes}

    def _images_digest(self, unit: Unit) -> str:
        if unit.indices not in self._digests:
            self._digests[unit.indices] = self.images.digest(unit.indices)
        return self._digests[unit.indices]

    @staticmethod
    def _check_identity(check: Check, exclude: set[str] | None = None) -> dict[str, object]:
        return check.model_dump(mode="json", exclude=exclude) | {"version": check.version}
