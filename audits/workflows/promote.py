"""Promotion: moves an alias to a version, unless the alias was moved meanwhile."""

import logging
import re
from dataclasses import dataclass, replace
from typing import Self

import mlflow
from mlflow.exceptions import MlflowException

from audits.errors import AuditError, quoted
from audits.execution.session import NOTICE
from audits.models import registry
from audits.models.registry import Resolved
from audits.tracking.tags import PROMOTION_TAG

log = logging.getLogger(__name__)

# As MLflow has it, which tells it when the alias is set: after the audit.
_ALIAS = re.compile(r"(?!latest$|v\d+$)[\w-]{1,255}", re.IGNORECASE)


@dataclass(frozen=True)
class Promotion:
    """A planned move of an alias, and the version that the alias pointed to at that time."""

    model: Resolved
    alias: str
    before: str | None  # version; None if the alias did not exist
    compared: bool = True  # with the version that it pointed to

    @classmethod
    def planned(cls, model: Resolved, alias: str) -> Self:
        """Plans to move `alias` to `model`.

        Raises AuditError if that is no registered version, or if MLflow would refuse the alias.
        """
        if not _ALIAS.fullmatch(alias):
            raise AuditError(
                "Expected an alias of letters, digits, _ and -, which is neither latest nor a v "
                f"with a number, got {quoted(alias)}. Name another."
            )
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
        """The same move after a comparison with `baseline`, a URI; None if nothing was compared.

        Warns if the version that is replaced was not compared.
        """
        replaced = f"models:/{self.model.name}/{self.before}"
        compared = self.before in (None, self.model.version) or baseline == replaced
        if not compared:
            log.warning(
                "%s is on v%s, with which %s is not compared.", self.alias, self.before, self.model
            )
        return replace(self, compared=compared)

    def carry_out(self, run_id: str) -> None:
        """Moves the alias, and notes the move in the run `run_id`, which has the verdict.

        Raises AuditError if the alias was moved since the plan, or if the version was deleted or
        deprecated. MLflow cannot look and move in one step, so a change by somebody else in the
        same instant stays unnoticed.
        """
        registry.expect_in_use(self.model)
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
            # The move may have succeeded though the reply was lost, so the alias is read again.
            if registry.version_of_alias(name, self.alias) != version:
                raise AuditError(f"MLflow did not move {self.alias!r}: {error.message}") from error
        # At once, whatever comes between this and the decision's own output.
        log.log(NOTICE, "Promoted, %s", self)
        try:
            client.set_tag(run_id, PROMOTION_TAG, str(self))
        except MlflowException as error:
            log.warning("%s, but run %s has no note of it: %s", self, run_id, error.message)


def _told(version: str | None) -> str:
    return f"v{version}" if version else "no version"
