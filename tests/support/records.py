"""The record of an audit in MLflow that a test can damage; no audit is run for it."""

import copy
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow

from audits.evidence import migrations
from audits.evidence.codec import to_json
from audits.models.registry import resolve
from audits.tracking import reader
from audits.tracking.tags import DIGEST_TAG, HASH_TAG, INPUTS_TAG, VERDICT_TAG

SCHEMA_2 = Path(__file__).parent / "schema_2"
URI = "models:/digits/2"  # as the evidence of schema 2 says


class Record:
    """A version whose tags name a finished run with evidence."""

    def __init__(self, folder: Path):
        """Registers the version and records `folder`'s evidence of schema 2 for it."""
        self.client = mlflow.MlflowClient()
        self.client.create_registered_model("digits")
        for _ in range(2):
            self.client.create_model_version("digits", (folder / "model").as_uri())
        place = self.client.create_experiment("audits", artifact_location=folder.as_uri())
        self.run_id = self.client.create_run(place).info.run_id
        self.client.set_terminated(self.run_id)
        self.files = folder / self.run_id / "artifacts"
        self.files.mkdir(parents=True)
        parquet = (SCHEMA_2 / "predictions.parquet").read_bytes()
        (self.files / "predictions.parquet").write_bytes(parquet)
        self.says("passed")
        old = json.loads((SCHEMA_2 / "evidence.json").read_bytes())
        self.put(old)
        found = reader.standing(resolve(URI))
        assert found is not None
        self.content: dict[str, Any] = migrations.upgraded(old)
        self.content["checks"] = [to_json(one) for one in found.evidence]
        self.content["model"]["files"] = {"MLmodel": "0" * 64}

    def says(self, word: Any) -> None:
        """Writes the tags of the version, with this word in both."""
        said = json.dumps({"run_id": self.run_id, "verdict": word})
        for key, value in (("audit", said), (VERDICT_TAG, "passed")):
            self.client.set_model_version_tag("digits", "2", key, value)

    def put(self, content: dict[str, Any] | bytes, parquet: bytes | None = None) -> None:
        """Writes this evidence with the tags that fit, as who can write to MLflow can."""
        if parquet is not None and isinstance(content, dict):
            (self.files / "predictions.parquet").write_bytes(parquet)
            files = {"predictions.parquet": hashlib.sha256(parquet).hexdigest()}
            content = {**content, "files": files}
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        (self.files / "evidence.json").write_bytes(raw)
        self.client.set_tag(self.run_id, HASH_TAG, hashlib.sha256(raw).hexdigest())
        if isinstance(content, dict):
            for tag, key in ((DIGEST_TAG, "digest"), (INPUTS_TAG, "figures")):
                value = str(content.get(key)).encode(errors="replace").decode()
                self.client.set_tag(self.run_id, tag, value)


def changed(content: dict[str, Any], path: Sequence[str | int], value: Any) -> dict[str, Any]:
    """A copy of the content with another value at a path such as ("model", "uri")."""
    copied = copy.deepcopy(content)
    inner: Any = copied
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copied


def of_this_model(values: dict[str, Any]) -> dict[str, Any]:
    """Plain values of a config for the recorded version."""
    return {"model": URI, **values}
