"""Filling a run: what one audit puts into MLflow, and whether it arrived."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, Metric

from audits.evidence.evidence import Picture
from audits.verdict.decide import Verdict


class RecordingError(RuntimeError):
    """The run that was read back is not what was logged."""


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
    figures: str | None  # digest of what decides the figures
    data_digest: str | None


def upload(run_id: str, model_id: str | None, record: Record) -> None:
    """Logs everything, synchronously, linked to the logged model where there is one."""
    client, now = mlflow.MlflowClient(), int(time.time() * 1000)
    data: dict[str, Any] = {}
    if record.data_digest:
        # MLflow keeps at most 36 characters of a data set's digest.
        data = {"dataset_name": record.data_name, "dataset_digest": record.data_digest[:32]}
        dataset = Dataset(record.data_name, record.data_digest[:32], "local", "{}")
        client.log_inputs(
            run_id,
            datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "audit")])],
            models=[LoggedModelInput(model_id)] if model_id else None,
        )
    linked = {**data, "model_id": model_id, "run_id": run_id} if model_id else data
    metrics = [Metric(k, v, now, 0, **linked) for k, v in record.metrics.items()]
    metrics += [Metric(k, v, now, 0) for k, v in record.cost.items()]
    client.log_batch(run_id, metrics=metrics, synchronous=True)
    for picture in record.pictures:
        client.log_image(
            run_id, picture.image, key=picture.key, step=picture.step, synchronous=True
        )
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        for name, content in record.files.items():
            (Path(folder) / name).write_bytes(content)
        client.log_artifacts(run_id, folder)


def read_back(run_id: str, record: Record) -> None:
    """Raises RecordingError unless the run holds all of the record."""
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    wanted = {**record.metrics, **record.cost}
    missing = [k for k, v in wanted.items() if run.data.metrics.get(k) != v]
    stored = {a.path for a in client.list_artifacts(run_id)}
    missing += [name for name in record.files if name not in stored]
    if record.pictures:
        # Each picture is stored twice, as png and as webp.
        images = len(client.list_artifacts(run_id, "images"))
        if images != 2 * len(record.pictures):
            missing.append(f"{2 * len(record.pictures) - images} image files")
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        if "evidence.json" in stored:
            copy = Path(client.download_artifacts(run_id, "evidence.json", folder))
            if copy.read_bytes() != record.files["evidence.json"]:
                missing.append("evidence.json as it was logged")
    if missing:
        raise RecordingError(
            f"Expected a complete run {run_id}, read back without {', '.join(missing)}."
        )
