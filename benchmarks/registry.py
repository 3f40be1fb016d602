"""Seconds that a sweep of a registry of everything takes to look, and `history` of many audits.

The registry is served by `mlflow server` on 127.0.0.1 with SQLite: 302 models, 873 versions, most
of them no image classifiers, whose files are an MLmodel and little else. Run alone:
python benchmarks/registry.py
"""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml

_MODELS, _VERSIONS, _RUNS = 302, 873, 3_000
_TENSOR = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3, 224, 224]}}]
_COLUMNS = [{"type": "double", "name": f"column_{n}", "required": True} for n in range(13)]
_TEXT = [{"type": "string", "required": True}]
# Flavour, share of the models, and signature.
_KINDS: tuple[tuple[str, int, list[Any]], ...] = (
    ("sklearn", 60, _COLUMNS),
    ("xgboost", 10, _COLUMNS),
    ("python_function", 13, _COLUMNS),
    ("transformers", 8, _TEXT),
    ("spark", 4, _COLUMNS),
    ("pytorch", 5, _TENSOR),
)
_CONFIG = {"data": {"kind": "digits"}, "checks": [{"kind": "performance"}]}
_METRICS = 20  # of a run of an audit
_MAIN = "import sys; from flows.cli import main; sys.exit(main())"


def registry() -> list[str]:
    """Markdown lines."""
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as temporary:
        folder = Path(temporary)
        _fill(folder)
        (folder / "audit.yaml").write_text(yaml.safe_dump(_CONFIG | {"store": str(folder / "s")}))
        sweep = ("sweep", "--config", str(folder / "audit.yaml"), "--dry-run")
        with _server(folder) as uri:
            start = _seconds(uri, *sweep, "--name", "model-0")
            all_of_it = _seconds(uri, *sweep)
            first = _seconds(uri, "history", "few")
            many = _seconds(uri, "history", "many")
            whole = _seconds(uri, "history", "many", "--json")
    hundred = (all_of_it - start) / _VERSIONS * 100
    return [
        "| looking, over HTTP | seconds |",
        "|---|---|",
        f"| `sweep --dry-run` of {_MODELS} models, {_VERSIONS} versions | {all_of_it:.1f} |",
        f"| ... of one version | {start:.1f} |",
        f"| ... for each further 100 versions | {hundred:.1f} |",
        f"| `history` of a model with {_RUNS:,} audits | {many:.1f} |",
        f"| ... with `--json`, which lists all | {whole:.1f} |",
        f"| ... of one audit | {first:.1f} |",
    ]


def _seconds(uri: str, *command: str) -> float:
    """Wall time of a command of fillblanks, with the start of its process."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, *command],
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"Expected {command} to work, got: {done.stdout[-500:]}{done.stderr}")
    return time.perf_counter() - began


def _fill(folder: Path) -> None:
    """Writes the server's database and artifacts."""
    import mlflow

    uri = f"sqlite:///{folder / 'server.db'}"
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    training = client.create_experiment("training", "mlflow-artifacts:/training")
    audits = client.create_experiment("audits", "mlflow-artifacts:/audits")
    kinds = [one for one in _KINDS for _ in range(one[1])]
    for number in range(_MODELS):
        flavour, _, signature = kinds[number * 37 % len(kinds)]
        client.create_registered_model(f"model-{number}")
        for version in range(_VERSIONS // _MODELS + (number < _VERSIONS % _MODELS)):
            if version:
                logged = client.create_logged_model(training, name="model")
                place, source = logged.artifact_location, f"models:/{logged.model_id}"
            else:  # as versions of MLflow 2
                place = source = f"mlflow-artifacts:/training/{number}/artifacts/model"
            files = folder / "artifacts" / place.removeprefix("mlflow-artifacts:/")
            files.mkdir(parents=True)
            (files / "MLmodel").write_text(_mlmodel(flavour, signature))
            (files / "model.bin").write_bytes(bytes(1 << 14))
            client.create_model_version(f"model-{number}", source)
    with closing(sqlite3.connect(folder / "server.db")) as database:
        for number in range(_RUNS + 1):
            _add_run(database, audits, number)
        database.commit()


def _mlmodel(flavour: str, signature: list[Any]) -> str:
    entry = {"task": "text-generation"} if flavour == "transformers" else {"data": "model.bin"}
    return yaml.safe_dump(
        {
            "artifact_path": "model",
            "flavors": {flavour: entry, "python_function": {"loader_module": f"mlflow.{flavour}"}},
            "mlflow_version": "3.17.2",
            "signature": {"inputs": json.dumps(signature), "outputs": None, "params": None},
        }
    )


def _add_run(database: sqlite3.Connection, experiment: str, number: int) -> None:
    """Adds the run of an audit: number 0 of the model `few`, all others of the model `many`."""
    run = f"{number:032x}"
    row = {
        "run_uuid": run,
        "name": "many v1",
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "user_id": "auditor",
        "status": "FINISHED",
        "start_time": 1_700_000_000_000 + number * 60_000,
        "end_time": 1_700_000_030_000 + number * 60_000,
        "source_version": "",
        "lifecycle_stage": "active",
        "artifact_uri": f"mlflow-artifacts:/audits/{run}/artifacts",
        "experiment_id": int(experiment),
    }
    _insert(database, "runs", row)
    model = "models:/many/1" if number else "models:/few/1"
    tags = {
        "audit.model": model,
        "audit.aliases": "[]",
        "audit.verdict": "passed",
        "audit.reason": "performance/accuracy >= 0.85: passed with 0.98 [0.97, 0.99]; " * 8,
        "audit.digest": "0" * 64,
        "audit.figures": "0" * 64,
        "audit.evidence_sha256": "0" * 64,
        "mlflow.note.content": "The audit of a version. " * 20,
        "mlflow.runName": "many v1",
    }
    for key, value in tags.items():
        _insert(database, "tags", {"key": key, "value": value, "run_uuid": run})
    for metric in range(_METRICS):
        value = {"key": f"check/metric_{metric}", "value": 0.5, "timestamp": 1, "step": 0}
        for table in ("metrics", "latest_metrics"):
            _insert(database, table, {**value, "is_nan": 0, "run_uuid": run})


def _insert(database: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    columns, marks = ", ".join(row), ", ".join("?" for _ in row)
    database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder / 'server.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(process, uri, folder / "server.log")
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], uri: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{uri}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"Expected mlflow server to start, it did not:\n{log.read_text()}")


if __name__ == "__main__":
    print("\n".join(registry()))
