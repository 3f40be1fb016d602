"""Evidence and verdict -> MLflow, in an order in which a failed upload never leaves `passed`.

The tags name the run and say `running`; everything is logged synchronously; the run is read back
and must be complete; only then the tags say the verdict. An error before that leaves `undecided`.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self
from urllib.parse import urlparse

import mlflow
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from audits.data.artifact_stores import expect_known
from audits.errors import AuditError, one_line
from audits.models import registry, server
from audits.models.registry import Resolved
from audits.report.markdown import block, first_line
from audits.tracking import reader
from audits.tracking.description import with_block
from audits.tracking.model_tag import tell_versions
from audits.tracking.pages import page_tags
from audits.tracking.tags import (
    ALIASES_TAG,
    COLOUR_TAG,
    DATE_TAG,
    DIGEST_TAG,
    HASH_TAG,
    INPUTS_TAG,
    MODEL_TAG,
    NOT_COVERED_TAG,
    OLD_TAG,
    REASON_TAG,
    RUN_TAG,
    VERDICT_TAG,
)
from audits.tracking.upload import Payload, read_back, upload

log = logging.getLogger(__name__)

_LONGEST_REASON = 2000
# Their brightness differs too, so that the colour-blind and a print in grey tell them apart.
_COLOURS = {"passed": "#009e73", "failed": "#b2182b", "undecided": "#f0b429"}


class OvertakenError(AuditError):
    """Another audit of the same version began while this one ran."""


class Recorder:
    """The MLflow run of one audit and the tags of the audited version.

    A context manager. If it is left before `finish` has succeeded, it marks the run as failed and
    the version as undecided, with the reason.
    """

    def __init__(self, model: Resolved, experiment: str):
        self._client = mlflow.MlflowClient()
        self._model, self._experiment = model, experiment
        self._finished = self._said = False
        self.run_id = ""

    def __enter__(self) -> Self:
        experiment = _experiment(self._client, self._experiment)
        aliases = registry.aliases_of(self._model)
        tags = {MODEL_TAG: self._model.uri, ALIASES_TAG: json.dumps(aliases)}
        if parent := os.environ.get("MLFLOW_RUN_ID"):
            tags[MLFLOW_PARENT_RUN_ID] = parent  # an MLflow Project's own run
        run = self._client.create_run(
            experiment.experiment_id, run_name=str(self._model), tags=tags
        )
        self.run_id = run.info.run_id
        self._experiment_id = experiment.experiment_id
        with ExitStack() as opening:
            opening.push(self.__exit__)
            self._end_stale_runs()
            self._tag(RUN_TAG, self.run_id)
            self._tag(VERDICT_TAG, "running")
            self._tag(DATE_TAG, _today().isoformat())
            self._drop_old_tag()
            self._describe(lambda longest: self._begun("running", "The audit has begun."))
            tell_versions(self._model)
            opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if self._finished:
            return
        if not server.answers():
            if not isinstance(error, Exception):  # Ctrl-C must not wait for MLflow
                return
            raise AuditError(
                f"Expected MLflow at {mlflow.get_tracking_uri()} to answer, it has stopped. The "
                "measurements are kept in the store: run the audit again to record them."
            ) from error
        if isinstance(error, KeyboardInterrupt):
            reason = "The audit was interrupted; run it again and it goes on."
        else:
            first = one_line(next(iter(str(error).strip().splitlines()), "no message"))
            reason = f"The audit broke off: {kind.__name__ if kind else 'Left early'}: {first}"
        undo = [
            self._follow_new_name,
            lambda: self._client.set_tag(self.run_id, REASON_TAG, reason[:_LONGEST_REASON]),
            lambda: self._client.set_tag(self.run_id, VERDICT_TAG, "undecided"),
            lambda: self._mark_run("undecided", first_line("undecided", _today(), reason)),
            lambda: self._client.set_terminated(self.run_id, "FAILED"),
        ]
        undo.append(lambda: self._withdraw(reason))
        for step in undo:
            # Every step is tried, even if others fail; the error of the audit is the one to raise.
            try:
                step()
            except (MlflowException, OSError) as failure:
                log.error("Could not mark the audit as failed in MLflow: %s", failure)

    def _follow_new_name(self) -> None:
        """If the model was renamed meanwhile, finds the version again by the run in its tag."""
        try:
            registry.tags_of(self._model)
        except AuditError:
            found = [
                version
                for version in self._client.search_model_versions(
                    registry.matching(f"tags.`{RUN_TAG}`", self.run_id)
                )
                if version.tags.get(RUN_TAG) == self.run_id
            ]
            if len(found) == 1:
                self._model = replace(self._model, name=found[0].name)

    def _withdraw(self, reason: str) -> None:
        """Marks the version as `undecided`, or with the verdict of another audit that has begun."""
        standing = reader.run_of(registry.tags_of(self._model))
        if standing == self.run_id:
            self._tag(VERDICT_TAG, "undecided")
            self._tag(DATE_TAG, _today().isoformat())
            self._describe(lambda longest: self._begun("undecided", reason))
        elif self._said and standing is not None:
            run = self._client.get_run(standing)
            done = run.info.status != "RUNNING"
            said = run.data.tags.get(VERDICT_TAG, "undecided") if done else "running"
            self._tag(VERDICT_TAG, said)
        tell_versions(self._model)

    @property
    def page(self) -> str:
        """The run's page in the MLflow UI, below the root of the UI."""
        return f"#/experiments/{self._experiment_id}/runs/{self.run_id}"

    def finish(self, payload: Payload) -> None:
        """Logs everything, reads it back, and writes the verdict into the tags.

        Raises RecordingError if the run that is read back is not complete, and OvertakenError if
        another audit of the version has begun.
        """
        upload(self.run_id, self._model.model_id, payload)
        read_back(self.run_id, payload)
        self._expect_own_tag()
        result = payload.result
        word, reason, today = result.verdict.word, result.verdict.reason, _today()
        sha256 = hashlib.sha256(payload.files["evidence.json"]).hexdigest()
        tags = {
            HASH_TAG: sha256,
            **page_tags(payload.files),
            VERDICT_TAG: word,
            REASON_TAG: reason[:_LONGEST_REASON],
        }
        if result.verdict.not_covered:
            tags[NOT_COVERED_TAG] = result.verdict.not_covered[:_LONGEST_REASON]
        if result.digest and result.inputs_digest:
            tags |= {DIGEST_TAG: result.digest, INPUTS_TAG: result.inputs_digest}
        for name, value in tags.items():
            self._client.set_tag(self.run_id, name, value)
        self._mark_run(word, block(result, today))
        self._client.set_terminated(self.run_id, "FINISHED")
        self._expect_own_tag()
        self._describe(lambda longest: block(result, today, longest=longest))
        self._tag(DATE_TAG, today.isoformat())
        self._expect_own_tag()
        # The last tag: readers take an audit as unfinished until this tag has its verdict.
        self._said = True
        self._tag(VERDICT_TAG, word)
        self._expect_own_tag()
        self._finished = True
        tell_versions(self._model)

    def _end_stale_runs(self) -> None:
        """Ends the runs of earlier audits of this version that were killed before they finished.

        An earlier audit that is still alive finds another run in the tag and records no verdict.
        """
        own = registry.matching(f"tags.`{MODEL_TAG}`", self._model.uri)
        running = f"{own} and attributes.status = 'RUNNING'"
        stale = {
            run.info.run_id
            for run in self._client.search_runs([self._experiment_id], running)
            if run.data.tags.get(MODEL_TAG) == self._model.uri
        }
        tags = registry.tags_of(self._model)
        unsaid = reader.run_of(tags)
        if unsaid and tags.get(VERDICT_TAG) == "running":
            # It may have finished, or be in another experiment, but no tag has its verdict.
            try:
                run = self._client.get_run(unsaid)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
            else:
                ours = run.data.tags.get(MODEL_TAG) == self._model.uri
                if ours and run.info.lifecycle_stage == "active":
                    stale.add(unsaid)
        for run_id in stale - {self.run_id}:
            self._client.set_terminated(run_id, "KILLED")

    def _expect_own_tag(self) -> None:
        run_id = reader.run_of(registry.tags_of(self._model))
        if run_id != self.run_id:
            raise OvertakenError(
                f"Expected to be the only audit of {self._model}, but another one (run {run_id}) "
                "has begun meanwhile. Its verdict stands; run this audit again to replace that "
                "verdict."
            )

    def _tag(self, key: str, value: str) -> None:
        if self._model.version is not None:
            self._client.set_model_version_tag(self._model.name, self._model.version, key, value)
        elif self._model.model_id is not None:
            self._client.set_logged_model_tags(self._model.model_id, {key: value})

    def _drop_old_tag(self) -> None:
        """Removes the tag of an older release, which would name another run for ever."""
        if not reader.old_tag(registry.tags_of(self._model)):
            return
        if self._model.version is not None:
            self._client.delete_model_version_tag(self._model.name, self._model.version, OLD_TAG)
        elif self._model.model_id is not None:
            self._client.delete_logged_model_tag(self._model.model_id, OLD_TAG)

    def _mark_run(self, word: str, note: str) -> None:
        """Gives the run its colour in charts, and the note that stands first on its page."""
        self._client.set_tag(self.run_id, MLFLOW_RUN_NOTE, note)
        self._client.set_tag(self.run_id, COLOUR_TAG, _COLOURS[word])

    def _begun(self, word: str, reason: str) -> str:
        """The block of an audit that has no result."""
        return f"{first_line(word, _today(), reason)}\n\n[Run]({self.page})"

    def _describe(self, own: Callable[[int], str]) -> None:
        """Rewrites the block of the version's description that belongs to the audit."""
        if self._model.version is None:
            return
        name, version = self._model.name, self._model.version
        before = self._client.get_model_version(name, version).description or ""
        self._client.update_model_version(name, version, with_block(before, own))


def _today() -> date:
    return datetime.now(UTC).date()


def _experiment(client: mlflow.MlflowClient, name: str) -> Experiment:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            client.create_experiment(name, artifact_location=_artifacts(mlflow.get_tracking_uri()))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another audit has made it
                raise
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise AuditError(
            f"Expected an active experiment {name!r}, got a deleted one. Restore it, or name "
            "another under experiment."
        )
    expect_known(found.artifact_location)  # whoever made the experiment has chosen it
    return found


def _artifacts(tracking_uri: str) -> str | None:
    """A folder beside a local SQLite database; MLflow's default is the working directory."""
    path = urlparse(tracking_uri)
    if path.scheme != "sqlite":
        return None
    database = Path(path.path.removeprefix("/")).resolve()
    return (database.parent / "mlartifacts" / "audits").as_uri()
