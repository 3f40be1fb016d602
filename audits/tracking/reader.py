"""Reads past audits from MLflow and verifies them before they are used.

A tag alone is never believed: the run must have finished, evidence.json must be the file that was
logged, and the file must agree with the tags.
"""

import hashlib
import io
import json
import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from pyarrow import ArrowException
from pyarrow.parquet import ParquetFile

from audits.config.audit import EXPERIMENT
from audits.config.isolation import Isolation
from audits.data.artifact_stores import store_at
from audits.data.parquet_size import expect_bounded
from audits.errors import AuditError, shortened
from audits.evidence.codec import figures_from_json, from_json
from audits.evidence.declaration import faults_in
from audits.evidence.evidence import Evidence
from audits.evidence.plain_parquet import read_plain
from audits.models import registry
from audits.models.artifact_files import copy_file
from audits.models.registry import Resolved
from audits.tracking.content import UNREADABLE, Content, content_of
from audits.tracking.tags import (
    DIGEST_TAG,
    HASH_TAG,
    INPUTS_TAG,
    OLD_TAG,
    RUN_TAG,
    VERDICT_TAG,
)
from audits.verdict.words import Word, told

log = logging.getLogger(__name__)

RUN_ID = re.compile("[0-9a-f]{32}")
_CELLS = 50_000_000  # of predictions.parquet: figures of all images
_EVIDENCE_BYTES = 32 << 20  # of 20,000 classes with a row for each in some tables: 10 MiB
_PARQUET_BYTES = 16 * _CELLS
_LONGEST_REASON = 300


@dataclass(frozen=True)
class PastAudit:
    """A finished audit that was read back from MLflow and verified."""

    run_id: str
    experiment_id: str
    content: Content  # of evidence.json
    evidence: tuple[Evidence, ...]  # without pictures
    baseline: tuple[Evidence, ...] = ()  # figures of the baseline alone

    @property
    def page(self) -> str:
        """The page of the run, below the root of the MLflow UI."""
        return f"#/experiments/{self.experiment_id}/runs/{self.run_id}"

    @property
    def word(self) -> Word:
        """The verdict as it was recorded."""
        return self.content.verdict.word

    @property
    def told(self) -> str:
        """The verdict for people; of a `passed` also whether it covers only a part."""
        return told(self.word, self.content.verdict.not_covered)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the model's logits."""
        return self.content.model.classes

    @property
    def model_files(self) -> dict[str, str] | None:
        """The sha256 of each file of the model, by its relative path; None in older evidence."""
        return self.content.model.files

    @property
    def questions(self) -> tuple[str, ...]:
        """Sentences about facts of the model's input that nobody had named."""
        return self.content.questions

    @property
    def doubts(self) -> tuple[str, ...]:
        """Sentences that say why the model must not pass."""
        return self.content.doubts

    @property
    def skipped(self) -> tuple[str, ...]:
        """Sentences about images that were left out."""
        return self.content.data.skipped

    @property
    def isolation(self) -> Isolation:
        """The isolation of the model's process, as the config named it."""
        return self.content.config.isolation

    @property
    def whole(self) -> bool:
        """Whether no check ended with an error."""
        return all(evidence.status != "error" for evidence in self.evidence)


class NotVerified(Exception):
    """A run is not the finished audit that its tags claim."""


def standing(model: Resolved, experiment: str = EXPERIMENT) -> PastAudit | None:
    """The audit that the version's tags name, if it is verified and whole; else None.

    Runs of other experiments are not read: people who may not audit may be able to write them.
    """
    return standing_by_tags(model, registry.tags_of(model), id_of(experiment))


def id_of(experiment: str) -> str | None:
    """The id of the experiment with this name, if there is one."""
    found = mlflow.get_experiment_by_name(experiment)
    return found.experiment_id if found is not None else None


def standing_by_tags(
    model: Resolved, tags: Mapping[str, str], experiment_id: str | None
) -> PastAudit | None:
    """As `standing`, for a version whose tags are known and an experiment whose id is."""
    if (run_id := run_of(tags)) is None:
        return None
    try:
        run = mlflow.get_run(run_id)
        if run.info.experiment_id != experiment_id:
            raise NotVerified(f"run {run_id} is in another experiment of MLflow")
        audit = read(run)
    except (NotVerified, MlflowException) as error:
        log.warning("The audit that %s names is not used: %s", model, error)
        return None
    if not audit.whole or audit.content.model.uri != model.uri:
        return None
    # The audit writes the tag with the word last; before that the audit is unfinished.
    said = {tags.get(VERDICT_TAG)}
    if old := old_tag(tags):
        said.add(old["verdict"])
    return audit if said == {audit.word} else None


def run_of(tags: Mapping[str, str]) -> str | None:
    """The run that a version's tags name; None if they name none or two, or if that is no run id.

    Releases before `audit.run` named it in the tag `audit`.
    """
    named = {tags.get(RUN_TAG), old_tag(tags).get("run_id")} - {None}
    run_id = named.pop() if len(named) == 1 else None
    return run_id if run_id and RUN_ID.fullmatch(run_id) else None


def old_tag(tags: Mapping[str, str]) -> dict[str, str]:
    """What an older release wrote in the tag `audit`; empty if it did not write that tag."""
    try:
        value = json.loads(tags.get(OLD_TAG, "{}"))
    except (ValueError, RecursionError):
        return {}
    found = value if isinstance(value, dict) else {}
    texts = {name: text for name, text in found.items() if isinstance(text, str)}
    return texts if "verdict" in texts and RUN_ID.fullmatch(texts.get("run_id", "")) else {}


def read(run: Run) -> PastAudit:
    """The audit that a run recorded. Raises NotVerified if it is unfinished or was changed."""
    tags, run_id = run.data.tags, run.info.run_id
    if run.info.status != "FINISHED":
        raise NotVerified(f"expected a finished run, its status is {run.info.status}")
    if run.info.lifecycle_stage != "active":
        raise NotVerified("the run was deleted")
    raw = artifact(run_id, "evidence.json", _EVIDENCE_BYTES)
    if _sha256(raw) != tags.get(HASH_TAG):
        raise NotVerified("its evidence.json is not the one that was logged")
    try:
        return _parsed(run, raw)
    except (*UNREADABLE, OSError, ArrowException) as error:
        reason = shortened(f"{type(error).__name__}: {error}", _LONGEST_REASON)
        raise NotVerified(f"its evidence cannot be read: {reason}") from error


def _parsed(run: Run, raw: bytes) -> PastAudit:
    tags, run_id = run.data.tags, run.info.run_id
    content, is_older = content_of(raw)
    if (content.digest, content.figures) != (tags.get(DIGEST_TAG), tags.get(INPUTS_TAG)):
        raise NotVerified("its tags name another digest than its evidence")
    table = None
    if (wanted := content.files.get("predictions.parquet")) is not None:
        parquet = artifact(run_id, "predictions.parquet", _PARQUET_BYTES)
        if _sha256(parquet) != wanted:
            raise NotVerified("its predictions.parquet is not the one that was logged")
        table = _table(parquet)
    evidence = tuple(
        from_json(values, _images(table, values["check"])) for values in content.checks
    )
    baseline = tuple(figures_from_json(values) for values in content.baseline.checks)
    if is_older:  # an older schema has no descriptions of metrics
        evidence, baseline = _described(evidence, content), _described(baseline, content)
    _expect_sensible(evidence)
    _expect_sensible(baseline)
    return PastAudit(run_id, run.info.experiment_id, content, evidence, baseline)


def _expect_sensible(evidence: Sequence[Evidence]) -> None:
    """Raises ValueError if two checks have one name, or if metrics are described as none can be."""
    checks = [one.check for one in evidence]
    if len(set(checks)) < len(checks) or any("/" in name for name in checks):
        raise ValueError(f"expected names of checks that differ, without a slash, got {checks}")
    names = [*checks, *(name for one in evidence for name in one.metrics)]
    if odd := [name for name in names if not name.isprintable()]:
        raise ValueError(f"expected names of printable characters, got {odd}")
    if faults := [fault for one in evidence for fault in faults_in(one.metrics)]:
        raise ValueError(faults[0])


def _described(evidence: Sequence[Evidence], content: Content) -> tuple[Evidence, ...]:
    """The evidence with the descriptions that checks of today give to metrics of the same name.

    Metrics of a check that is not known any more stay as they are.
    """
    reference = content.config.reference is not None
    declared = {
        name: check.declared_metrics(reference)
        for name, check in content.config.known_checks.items()
    }

    def described(one: Evidence) -> Evidence:
        known = declared.get(one.check, {})
        metrics = {
            name: metric.described_as(known[name]) if name in known else metric
            for name, metric in one.metrics.items()
        }
        return one.model_copy(update={"metrics": metrics})

    return tuple(map(described, evidence))


def artifacts(run_id: str) -> frozenset[str]:
    """The names of a run's files and folders. Raises AuditError for a stranger's server."""
    return frozenset(file.path for file in store_at(f"runs:/{run_id}").list_artifacts())


def artifact(run_id: str, name: str, most: int) -> bytes:
    """A file of a run, of at most `most` bytes, unverified. Raises NotVerified."""
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        copy = Path(folder, name)
        try:
            copy_file(f"runs:/{run_id}", name, copy, most)
        except Exception as error:  # of the artifact store's package: no credentials, say
            reason = " ".join(str(error).split())
            raise NotVerified(f"its {name} cannot be read: {reason}") from error
        return copy.read_bytes()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _table(parquet: bytes) -> pd.DataFrame:
    """The table of all images. Raises ValueError if it would be too large for memory."""
    facts = ParquetFile(io.BytesIO(parquet)).metadata
    if facts.num_rows * facts.num_columns > _CELLS:
        raise ValueError(f"expected at most {_CELLS:,} figures of images, got more")
    with tempfile.NamedTemporaryFile(prefix="fillblanks-") as file:
        file.write(parquet)
        file.flush()
        try:
            expect_bounded(Path(file.name))  # a text that repeats takes no room in the file
        except AuditError as error:
            raise ValueError(str(error)) from error
    table = read_plain(parquet)
    if not table.columns.is_unique:
        raise ValueError("expected columns that differ in predictions.parquet")
    return table


def _images(table: pd.DataFrame | None, check: str) -> pd.DataFrame | None:
    """The columns and images of one check, from the table of all checks."""
    prefix = f"{check}/"
    columns = [] if table is None else [c for c in table.columns if c.startswith(prefix)]
    if table is None or not columns:
        return None
    own = table[columns].rename(columns=lambda name: name.removeprefix(prefix))
    return own.dropna(how="all")
