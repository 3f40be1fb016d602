"""AuditKeys: the keys of the plan, the parts and the conclusions of one audit in the store."""

from collections.abc import Sequence
from dataclasses import asdict

from audits.checks.base import Check
from audits.checks.context import Unit
from audits.evidence.codec import SCHEMA_VERSION, metrics_to_json
from audits.execution.inputs import AuditInputs
from audits.execution.keys import key_of
from audits.execution.setting import Setting
from fillblanks import Plan, __version__


class AuditKeys:
    """Keys for one audit's inputs and the setting in which it was begun."""

    def __init__(self, inputs: AuditInputs, setting: Setting):
        self._inputs, self._config = inputs, inputs.config
        self._setting = setting.identity
        self._images: dict[tuple[int, ...], str] = {}

    @property
    def plan(self) -> str:
        """Of the plan that tuning found."""
        config, inputs = self._config, self._inputs
        return key_of(
            model=inputs.files.digest,
            preprocessing=inputs.preprocessing,
            data=inputs.data_digest,
            fills=[check.fill_options() for check in config.checks],
            engine=config.engine.fixed,
            passes=config.passes(len(inputs.images)),
            memory_gib=config.limits.memory_gib,
            seed=config.seed,
            setting=self._setting,
            **inputs.without_isolation,
        )

    def part(self, check: Check, unit: Unit, plan: Plan) -> str:
        """Of what measuring the unit by `plan` gives."""
        return key_of(
            model=self._inputs.files.digest,
            preprocessing=self._inputs.preprocessing,
            images=self.images(unit),
            reference=self._inputs.reference_digest if check.asks_reference else None,
            unit=unit.content,
            check=check.unit_identity(unit) | {"version": check.version},
            seed=self._config.seed,
            setting=self._setting,
            plan=asdict(plan),
            **(self._versions if check.asks_versions else {}),
            **self._inputs.without_isolation,
        )

    @property
    def _versions(self) -> dict[str, list[str]]:
        return {"versions": list(self._inputs.version_digests.values())}

    def conclusion(self, check: Check, parts: Sequence[str], plan: Plan) -> str:
        """Of the evidence that the check concludes by `plan` from the parts under these keys."""
        return key_of(
            release=__version__,
            schema=SCHEMA_VERSION,
            conclusion=check.model_dump(mode="json") | {"version": check.version},
            metrics=metrics_to_json(self._config.declared[check.name]),
            subject=self._inputs.digest,
            parts=list(parts),
            setting=self._setting,
            plan=asdict(plan),
        )

    def images(self, unit: Unit) -> str:
        """sha256 of the unit's images and labels, computed once."""
        if unit.indices not in self._images:
            self._images[unit.indices] = self._inputs.images.digest(unit.indices)
        return self._images[unit.indices]
