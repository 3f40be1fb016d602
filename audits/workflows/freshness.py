"""Whether a version needs a new audit, or has one that would come out the same today."""

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from audits.config.audit import AuditConfig
from audits.data.imageset import ImageSet
from audits.data.sample import sampled
from audits.errors import AuditError, few
from audits.execution.inputs import AuditInputs
from audits.execution.refusals import expect_not_refused
from audits.models import registry
from audits.models.folder import changed, sha256_by_path
from audits.models.registry import Resolved
from audits.models.snapshot import snapshot
from audits.tracking import finder, reader
from audits.tracking.reader import PastAudit
from audits.tracking.refused import RunMemory
from audits.verdict.decide import Verdict, decide
from audits.workflows.resolved import audit_digest, baseline_config, today


class Due(NamedTuple):
    """A current audit with its verdict, or why a new one is needed."""

    audit: PastAudit | None
    why: str
    verdict: Verdict | None = None  # as the policy decides today; None without an audit


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
        self._refused = RunMemory(config.experiment)
        self._baselines: dict[int | None, str] = {}  # digests by the seed of the sample

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
        found = reader.standing_by_tags(model, tags, self._experiment_id)
        if found is None:
            return Due(None, "there is no complete audit that can be verified")
        if newer := finder.newer(found):
            return Due(None, f"its tags name run {found.run_id}, but {newer}")
        config = self._like(found)
        if config is None:
            wanted = f"a secret sample of {self._config.data.sample} images"
            return Due(None, f"its images are not {wanted}, which the config asks for")
        images = self._images(config)  # not in `try`: without data no model can be audited
        with snapshot():  # the files are copied once
            try:
                with AuditInputs(config, model, images) as inputs:
                    different = _changed(found, inputs.files.sha256)
                    figures = None if different else inputs.digest
                    expect_not_refused(inputs.files.digest, [self._refused])
            except AuditError as error:
                different = _changed_files(found, model)
                if not different:
                    return Due(None, f"the model cannot be opened: {error}")
        if different:
            return Due(None, f"of the model's files, {few(different)} changed since its audit")
        try:
            digest = audit_digest(config, figures, self._baseline_digest(config))
        except AuditError as error:
            return Due(None, f"the baseline cannot be opened: {error}")
        if found.content.digest != digest:
            return Due(None, "model, data, checks, baseline or policy are not those of its audit")
        policy, checks = self._config.policy, self._config.checks
        given = policy, found.evidence, today(), found.questions
        verdict = decide(*given, checks=checks, doubts=found.doubts, baseline=found.baseline)
        if verdict.word != found.word:
            return Due(None, f"its verdict would not be {found.word} today")
        unisolated = ", without isolation from the model" if found.isolation == "none" else ""
        return Due(found, f"audited in run {found.run_id}{unisolated}", verdict)

    @cached_property
    def _experiment_id(self) -> str | None:
        """The id of the experiment in which audits of this config are recorded, if it exists."""
        return reader.id_of(self._config.experiment)

    def _like(self, audit: PastAudit) -> AuditConfig | None:
        """The config with the secret sample of a past audit; None if that audit drew none.

        The seed is drawn for each audit and makes no audit out of date: an audit is current if it
        would come out the same on its own sample.
        """
        data = self._config.data
        if not data.secret or data.sample_seed is not None:
            return self._config
        recorded = audit.content.config.data
        # An audit that repeats a sample, or was made before there were samples, has drawn none.
        if not audit.content.data.drawn or recorded.sample != data.sample:
            return None
        if recorded.sample_seed is None:
            return None
        drawn = data.model_copy(update={"sample_seed": recorded.sample_seed})
        return self._config.model_copy(update={"data": drawn})

    @cached_property
    def _pool(self) -> ImageSet:
        return self._config.data.load()

    def _images(self, config: AuditConfig) -> ImageSet:
        return sampled(self._pool, config.data)

    def _baseline_digest(self, config: AuditConfig) -> str | None:
        if config.baseline is None:
            return None
        seed = config.data.sample_seed
        if seed not in self._baselines:
            own, images = baseline_config(config), self._images(config)
            with AuditInputs(own, registry.resolve(config.baseline), images) as inputs:
                self._baselines[seed] = inputs.digest
        return self._baselines[seed]


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
