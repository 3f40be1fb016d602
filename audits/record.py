"""Evidence and verdict -> MLflow, in an order that leaves no `passed` behind a failed upload.

Tags say `running`; everything is logged synchronously; the run is read back and found complete;
only then do the tags say the verdict. Whatever goes wrong before that leaves `undecided`.
"""

import hashlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlparse

import mlflow
from mlflow.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    InputTag,
    LoggedModelInput,
    Metric,
)
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from audits.errors import AuditError
from audits.evidence import Picture
from audits.registry import Resolved
from audits.verdict import Verdict

log = logging.getLogger(__name__)

VERDICT_TAG, AUDIT_TAG = "audit.verdict", "audit"
_BEGIN, _END = "<!-- fillblanks audit: begin -->", "<!-- fillblanks audit: end -->"
_LONGEST_REASON = 2000
_BLOCK = re.compile(rf"\n*{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)


class RecordingError(RuntimeError):
    """The run that was read back is not what was logged."""


class OvertakenError(AuditError):
    """Another audit of the same version began while this one ran."""


@dataclass(frozen=True)
class Record:
    """What one audit puts into its run."""

    verdict: Verdict
    metrics: Mapping[str, float]  # finite values only
    cost: Mapping[str, float]
    pictures: tuple[Picture, ...]
    files: Mapping[str, bytes]  # artifacts by name; evidence.json is among them
    data_name: str
    digest: str | None  # of the audit; None when it did not come so far
    data_digest: str | None


class Recorder:
    """The MLflow run of one audit and the tags of the audited version.

    A context manager: leaving it without `finish` having succeeded marks the run as failed and the
    version as undecided, with the reason.
    """

    def __init__(self, model: Resolved, experiment: str):
        self._client = mlflow.MlflowClient()
        self._model, self._experiment = model, experiment
        self._finished = False
        self.run_id = ""

    def __enter__(self) -> Self:
        experiment = _experiment(self._client, self._experiment)
        tags = {"audit.model": self._model.uri}
        if parent := os.environ.get("MLFLOW_RUN_ID"):
            tags[MLFLOW_PARENT_RUN_ID] = parent  # an MLflow Project's own run
        run = self._client.create_run(
            experiment.experiment_id, run_name=str(self._model), tags=tags
        )
        self.run_id = run.info.run_id
        self._experiment_id = experiment.experiment_id
        with ExitStack() as opening:
            opening.push(self.__exit__)
            self._end_stale_run()
            self._tag(AUDIT_TAG, _tag_json("running", self.run_id))
            self._tag(VERDICT_TAG, "running")
            self._describe("running", "The audit has begun.")
            opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if self._finished:
            return
        if isinstance(error, KeyboardInterrupt):
            reason = "The audit was interrupted; run it again and it goes on."
        else:
            first = next(iter(str(error).strip().splitlines()), "no message")
            reason = f"The audit broke off: {kind.__name__ if kind else 'Left early'}: {first}"
        undo = [
            lambda: self._client.set_tag(self.run_id, VERDICT_TAG, "undecided"),
            lambda: self._client.set_terminated(self.run_id, "FAILED"),
        ]
        if not isinstance(error, OvertakenError):
            undo += [
                lambda: self._tag(VERDICT_TAG, "undecided"),
                lambda: self._tag(AUDIT_TAG, _tag_json("undecided", self.run_id, reason)),
                lambda: self._describe("undecided", reason),
            ]
        for step in undo:
            # Each is tried, whatever became of the others; the first error is the one to raise.
            try:
                step()
            except (MlflowException, OSError) as failure:
                log.error("Could not take back what the audit had recorded: %s", failure)

    @property
    def page(self) -> str:
        """Where the MLflow UI shows the run, below its root."""
        return f"#/experiments/{self._experiment_id}/runs/{self.run_id}"

    def finish(self, record: Record) -> None:
        """Logs everything, reads it back, and says the verdict.

        Raises RecordingError, and OvertakenError where another audit of the version has begun.
        """
        self._log(record)
        self._read_back(record)
        self._expect_own_tag()
        word, reason = record.verdict.word, record.verdict.reason
        self._client.set_tag(self.run_id, VERDICT_TAG, word)
        self._client.set_terminated(self.run_id, "FINISHED")
        details = {
            "digest": record.digest,
            "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "evidence_sha256": hashlib.sha256(record.files["evidence.json"]).hexdigest(),
        }
        self._tag(AUDIT_TAG, _tag_json(word, self.run_id, reason, **details))
        self._tag(VERDICT_TAG, word)
        self._expect_own_tag()
        self._describe(word, reason)
        self._finished = True

    def _end_stale_run(self) -> None:
        """Ends the run of an earlier audit of this version that was killed while it ran.

        Should it be alive, it finds that its tag is another's and does not record its verdict.
        """
        before = self._audit_tag()
        if before.get("verdict") != "running":
            return
        try:
            self._client.set_terminated(before.get("run_id", ""), "KILLED")
        except MlflowException as error:  # it was deleted: nothing is left to end
            log.warning("The run of an audit that was killed could not be ended: %s", error)

    def _expect_own_tag(self) -> None:
        run_id = self._audit_tag().get("run_id")
        if run_id != self.run_id:
            raise OvertakenError(
                f"Expected to be the only audit of {self._model}, but another one (run {run_id}) "
                "has begun meanwhile. Its verdict stands; run this one again if it is wanted."
            )

    def _audit_tag(self) -> dict[str, Any]:
        """What the version's `audit` tag holds; empty where it is not ours to read."""
        try:
            value = json.loads(self._tags().get(AUDIT_TAG, "{}"))
        except json.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}

    def _tags(self) -> dict[str, str]:
        if self._model.version is not None:
            version = self._client.get_model_version(self._model.name, self._model.version)
            return dict(version.tags)
        if self._model.model_id is not None:
            return dict(self._client.get_logged_model(self._model.model_id).tags)
        return {}

    def _log(self, record: Record) -> None:
        client, now, model_id = self._client, int(time.time() * 1000), self._model.model_id
        data: dict[str, Any] = {}
        if record.data_digest:
            # MLflow keeps at most 36 characters of a data set's digest.
            data = {"dataset_name": record.data_name, "dataset_digest": record.data_digest[:32]}
            dataset = Dataset(record.data_name, record.data_digest[:32], "local", "{}")
            client.log_inputs(
                self.run_id,
                datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "audit")])],
                models=[LoggedModelInput(model_id)] if model_id else None,
            )
        linked = {**data, "model_id": model_id, "run_id": self.run_id} if model_id else data
        metrics = [Metric(k, v, now, 0, **linked) for k, v in record.metrics.items()]
        metrics += [Metric(k, v, now, 0) for k, v in record.cost.items()]
        client.log_batch(self.run_id, metrics=metrics, synchronous=True)
        for picture in record.pictures:
            client.log_image(
                self.run_id, picture.image, key=picture.key, step=picture.step, synchronous=True
            )
        with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
            for name, content in record.files.items():
                (Path(folder) / name).write_bytes(content)
            client.log_artifacts(self.run_id, folder)

    def _read_back(self, record: Record) -> None:
        run = self._client.get_run(self.run_id)
        wanted = {**record.metrics, **record.cost}
        missing = [k for k, v in wanted.items() if run.data.metrics.get(k) != v]
        stored = {a.path for a in self._client.list_artifacts(self.run_id)}
        missing += [name for name in record.files if name not in stored]
        if record.pictures:
            # Each picture is stored twice, as png and as webp.
            images = len(self._client.list_artifacts(self.run_id, "images"))
            if images != 2 * len(record.pictures):
                missing.append(f"{2 * len(record.pictures) - images} image files")
        with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
            if "evidence.json" in stored:
                copy = Path(self._client.download_artifacts(self.run_id, "evidence.json", folder))
                if copy.read_bytes() != record.files["evidence.json"]:
                    missing.append("evidence.json as it was logged")
        if missing:
            raise RecordingError(
                f"Expected a complete run {self.run_id}, read back without {', '.join(missing)}."
            )

    def _tag(self, key: str, value: str) -> None:
        if self._model.version is not None:
            self._client.set_model_version_tag(self._model.name, self._model.version, key, value)
        elif self._model.model_id is not None:
            self._client.set_logged_model_tags(self._model.model_id, {key: value})

    def _describe(self, word: str, reason: str) -> None:
        """Rewrites the one block of the version's description that is ours."""
        if self._model.version is None:
            return
        version = self._client.get_model_version(self._model.name, self._model.version)
        own = _BLOCK.sub("", version.description or "")
        block = (
            f"{_BEGIN}\n**Audit: {word}.** {_markdown(reason[:_LONGEST_REASON])}\n\n"
            f"[Evidence and pictures]({self.page})\n{_END}"
        )
        self._client.update_model_version(
            self._model.name, self._model.version, f"{own}\n\n{block}" if own else block
        )


def _tag_json(verdict: str, run_id: str, reason: str = "", **details: str | None) -> str:
    # MLflow keeps 5,000 characters of a tag; a longer reason stands whole in evidence.json.
    values = {"verdict": verdict, "run_id": run_id, **details, "reason": reason[:_LONGEST_REASON]}
    return json.dumps(values)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)


def _experiment(client: mlflow.MlflowClient, name: str) -> Experiment:
    found = client.get_experiment_by_name(name)
    if found is None:
        client.create_experiment(name, artifact_location=_artifacts(mlflow.get_tracking_uri()))
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise AuditError(
            f"Expected an active experiment {name!r}, got a deleted one. Restore it, or name "
            "another under experiment."
        )
    return found


def _artifacts(tracking_uri: str) -> str | None:
    """Beside a local SQLite database, since MLflow's own default is the working directory."""
    path = urlparse(tracking_uri)
    if path.scheme != "sqlite":
        return None
    database = Path(path.path.removeprefix("/")).resolve()
    return (database.parent / "mlartifacts" / "audits").as_uri()
