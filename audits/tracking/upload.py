"""Filling a run: an audit's payload is logged to MLflow and read back."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, Metric, Param

from audits.evidence.evidence import Picture
from audits.verdict.result import AuditResult

_TABLE, _TABLE_IMAGES = "classes.json", "table_images/classes"  # the second by MLflow


class RecordingError(RuntimeError):
    """The run that was read back is not what was logged."""


@dataclass(frozen=True)
class Payload:
    """All that one audit's run holds, and the result that it was made from."""

    result: AuditResult
    metrics: Mapping[str, float]  # finite values only
    parameters: Mapping[str, str]
    cost: Mapping[str, float]
    pictures: tuple[Picture, ...]
    classes: Mapping[str, Sequence[object]]  # columns of a table; arrays are pictures
    files: Mapping[str, bytes]  # artifacts by name; evidence.json is among them


def upload(run_id: str, model_id: str | None, payload: Payload) -> None:
    """Logs everything, synchronously, linked to the logged model if there is one."""
    client, now = mlflow.MlflowClient(), int(time.time() * 1000)
    data: dict[str, Any] = {}
    if digest := payload.result.evaluation.data_digest:
        # MLflow keeps at most 36 characters of a data set's digest.
        name, digest = payload.result.data_name, digest[:32]
        data = {"dataset_name": name, "dataset_digest": digest}
        dataset = Dataset(name, digest, "local", "{}")
        client.log_inputs(
            run_id,
            datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "audit")])],
            models=[LoggedModelInput(model_id)] if model_id else None,
        )
    linked = {**data, "model_id": model_id, "run_id": run_id} if model_id else data
    metrics = [Metric(k, v, now, 0, **linked) for k, v in payload.metrics.items()]
    metrics += [Metric(k, v, now, 0) for k, v in payload.cost.items()]
    params = [Param(name, value) for name, value in payload.parameters.items()]
    client.log_batch(run_id, metrics=metrics, params=params, synchronous=True)
    for picture in payload.pictures:
        client.log_image(
            run_id, picture.image, key=picture.key, step=picture.step, synchronous=True
        )
    if payload.classes:
        cells = {name: [*map(_table_cell, column)] for name, column in payload.classes.items()}
        client.log_table(run_id, pd.DataFrame(cells), _TABLE)
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        for name, content in payload.files.items():
            (Path(folder) / name).write_bytes(content)
        client.log_artifacts(run_id, folder)


def _table_cell(value: object) -> object:
    return mlflow.Image(value) if isinstance(value, np.ndarray) else value


def read_back(run_id: str, payload: Payload) -> None:
    """Raises RecordingError unless the run holds all of the payload."""
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    wanted = {**payload.metrics, **payload.cost}
    missing = [k for k, v in wanted.items() if run.data.metrics.get(k) != v]
    missing += [k for k, v in payload.parameters.items() if run.data.params.get(k) != v]
    stored = {a.path for a in client.list_artifacts(run_id)}
    missing += [name for name in payload.files if name not in stored]
    missing += [_TABLE] if payload.classes and _TABLE not in stored else []
    cells = sum(isinstance(c, np.ndarray) for column in payload.classes.values() for c in column)
    for place, wanted_images in (("images", len(payload.pictures)), (_TABLE_IMAGES, cells)):
        # Each picture is stored twice, as png and as webp.
        found = len(client.list_artifacts(run_id, place)) if wanted_images else 0
        if found != 2 * wanted_images:
            missing.append(f"{2 * wanted_images - found} files in {place}")
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        if "evidence.json" in stored:
            copy = Path(client.download_artifacts(run_id, "evidence.json", folder))
            if copy.read_bytes() != payload.files["evidence.json"]:
                missing.append("evidence.json as it was logged")
    if missing:
        raise RecordingError(
            f"Expected a complete run {run_id}, read back without {', '.join(missing)}."
        )
