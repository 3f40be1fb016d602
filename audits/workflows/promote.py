"""Promotion: moving an alias to a version, and only if nobody has moved it meanwhile."""

import logging
from dataclasses import dataclass, replace
from typing import Self

import mlflow
from mlflow.exceptions import MlflowException

from audits.errors import AuditError
from audits.models import registry
from audits.models.registry import Resolved
from audits.tracking.tags import PROMOTION_TAG

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Promotion:
    """An alias and where it pointed when its move was planned."""

    model: Resolved
    alias: str
    before: str | None  # version; None where there was no such alias
    compared: bool = True  # with the version that it pointed to

    @classmethod
    def planned(cls, model: Resolved, alias: str) -> Self:
        """Raises AuditError where the model is no registered version."""
        if model.version is None:
            raise AuditError(
                f"Expected a registered version to promote to {alias!r}, got {model.uri}."
            )
        return cls(model, alias, registry.version_of_alias(model.name, alias))

    def __str__(self) -> str:
        if self.before == self.model.version:
            return f"{self.alias} is on v{self.before} already"
        before = f"v{self.before}" if self.before else "nothing"
        move = f"{self.alias}: {before} -> v{self.model.version}"
        return move if self.compared else f"{move}, which were not compared"

    def after(self, baseline: str | None) -> Self:
        """As planned after a comparison with `baseline`; warns where that is not the one replaced.

        None: no condition compared anything.
        """
        replaced = f"models:/{self.model.name}/{self.before}"
        compared = self.before in (None, self.model.version) or baseline == replaced
        if not compared:
            log.warning(
                "%s is on v%s, with which %s is not compared.", self.alias, self.before, self.model
            )
        return replace(self, compared=compared)

    def carry_out(self, run_id: str) -> None:
        """Moves the alias and notes it in the run that the verdict is from.

        Raises AuditError where the alias has been moved since it was planned. MLflow cannot look
        and move in one step: who moves the alias in the same instant is not seen.
        """
        name, version = self.model.name, self.model.version
        now = registry.version_of_alias(name, self.alias)
        if now != self.before:
            raise AuditError(
                f"Expected {self.alias!r} to point to {_told(self.before)} as it did when the "
                f"gate began, got {_told(now)}. It was not moved."
            )
        client = mlflow.MlflowClient()
        if now == version:
            return
        try:
            client.set_registered_model_alias(name, self.alias, str(version))
        except MlflowException as error:
            # The answer may be what was lost: where the alias is, counts.
            if registry.version_of_alias(name, self.alias) != version:
                raise AuditError(f"MLflow did not move {self.alias!r}: {error.message}") from error
        try:
            client.set_tag(run_id, PROMOTION_TAG, str(self))
        except MlflowException as error:
            log.warning("%s, but run %s could not be told: %s", self, run_id, error.message)


def _told(version: str | None) -> str:
    return f"v{version}" if version else "no version"
