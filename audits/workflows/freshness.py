"""Whether a version needs a new audit, or has one that would come out the same today."""

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from audits.config.audit import AuditConfig
from audits.data import sources
from audits.data.imageset import ImageSet
from audits.errors import AuditError, few
from audits.execution.inputs import AuditInputs
from audits.models import registry
from audits.models.folder import changed, sha256_by_path
from audits.models.registry import Resolved
from audits.models.snapshot import snapshot
from audits.tracking import reader
from audits.tracking.reader import PastAudit
from audits.verdict.decide import decide
from audits.workflows.resolved import audit_digest, baseline_config, today


class Due(NamedTuple):
    """A current audit, or why a new one is needed."""

    audit: PastAudit | None
    why: str


def due(config: AuditConfig) -> Due:
    """Whether the model of a config with resolved URIs needs an audit; see `Lookout`."""
    return Lookout(config).look(config.model)


class Lookout:
    """Looks for standing audits that would come out the same today.

    `config` has resolved URIs; its `model` is not used. Data and baseline are read once for all
    models.
    """

    def __init__(self, config: AuditConfig):
        self._config = config

    def look(self, uri: str) -> Due:
        """The verified audit of `uri` if its digest and its verdict are those of today.

        The digest covers all files of the model, data, checks, baseline and policy. The verdict can
        change without them, since waivers end. Raises AuditError if the model or the data are not
        found.
        """
        model = registry.resolve(uri)
        return self.look_at(model, registry.tags_of(model))

    def look_at(self, model: Resolved, tags: Mapping[str, str]) -> Due:
        """As `look`, for a model that is resolved and whose tags are known."""
        found = reader.standing_by_tags(model, tags)
        if found is None:
            return Due(None, "there is no complete audit that can be verified")
        images = self._images  # not in `try`: without data no model can be audited
        with snapshot():  # the files are copied once
            try:
                with AuditInputs(self._config, model, images) as inputs:
                    different = _changed(found, inputs.files.sha256)
                    figures = None if different else inputs.digest
            except AuditError as error:
                different = _changed_files(found, model)
                if not different:
                    return Due(None, f"the model cannot be opened: {error}")
        if different:
            return Due(None, f"of the model's files, {few(different)} changed since its audit")
        try:
            digest = audit_digest(self._config, figures, self._baseline_digest)
        except AuditError as error:
            return Due(None, f"the baseline cannot be opened: {error}")
        if found.content["digest"] != digest:
            return Due(None, "model, data, checks, baseline or policy are not those of its audit")
        verdict = decide(self._config.policy, found.evidence, today(), found.questions)
        if verdict.word != found.word:
            return Due(None, f"its verdict would not be {found.word} today")
        walls = ", without isolation from the model" if found.isolation == "none" else ""
        return Due(found, f"audited in run {found.run_id}{walls}")

    @cached_property
    def _images(self) -> ImageSet:
        return sources.load(self._config.data)

    @cached_property
    def _baseline_digest(self) -> str | None:
        if self._config.baseline is None:
            return None
        own = baseline_config(self._config)
        with AuditInputs(own, registry.resolve(self._config.baseline), self._images) as inputs:
            return inputs.digest


def _changed(audit: PastAudit, files: Mapping[str, str]) -> list[str]:
    """Paths of the model's files that are not as they were audited; none if that is not recorded.

    `files` are the sha256 of today's by their paths.
    """
    return [] if audit.model_files is None else changed(audit.model_files, files)


def _changed_files(audit: PastAudit, model: Resolved) -> list[str]:
    """The same for a model that is refused; none if its files cannot be had or read."""
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        try:
            return _changed(audit, sha256_by_path(registry.fetch(model, Path(folder))))
        except AuditError:  # the refusal itself says so
            return []
