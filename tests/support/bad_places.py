"""A working folder with bad files, and a model that can be inspected, but not loaded."""

import hashlib
import json

import yaml
from mlflow import MlflowClient

QUOTES = "a'b\"c"
_WEIGHTS = b"never loaded"
_SPEC = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 1, 28, 28]}}
_CONFIG = {
    "data": {"kind": "digits", "split": "test"},
    "checks": [{"kind": "performance"}],
    "trust_pickle_sha256": hashlib.sha256(_WEIGHTS).hexdigest(),
}


def model_files(folder, **metadata):
    """The files of a model that can be inspected, but not loaded."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "model.pth").write_bytes(_WEIGHTS)
    (folder / "data" / "pickle_module_info.txt").write_text("mlflow.pytorch.pickle_module")
    content = {
        "flavors": {"pytorch": {"model_data": "data", "pytorch_version": "2.13.0"}},
        "signature": {"inputs": json.dumps([_SPEC])},
        "metadata": {"classes": [str(n) for n in range(10)], "mean": 0.3, "std": 0.35} | metadata,
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    return folder


class Place:
    """A working folder with bad files, and configs that are written there."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "file"
        self.file.write_text("no folder, no database")
        self.store = folder / "store"

    def config(self, **changes):
        path = self.folder / "audit.yaml"
        path.write_text(yaml.safe_dump({**_CONFIG, "store": str(self.store), **changes}))
        return path

    def text(self, text):
        path = self.folder / "other.yaml"
        path.write_text(text)
        return path

    def audit(self, config=None, model="models:/m/1", **changes):
        config = self.config(**changes) if config is None else config
        return ["audit", model, "--config", config, "--without-prefect"]

    def check(self, kind, **settings):
        return self.audit(checks=[{"kind": kind, **settings}])

    def policy(self, metric, kind="performance", **bound):
        conditions = [{"metric": metric, **bound}]
        return self.audit(checks=[{"kind": kind}], policy={"conditions": conditions})

    def promote(self, alias):
        policy = {"conditions": [{"metric": "performance/accuracy", "min": 0.5}]}
        config = self.config(policy=policy)
        return ["gate", "models:/m/1", "--config", config, "--promote", alias, "--without-prefect"]

    def files(self):
        return sorted(str(path) for path in self.folder.rglob("*"))


def recorded():
    """Everything in MLflow that an audit would add to."""
    client = MlflowClient()
    experiments = client.search_experiments()
    runs = client.search_runs([found.experiment_id for found in experiments])
    version = client.get_model_version("m", "1")
    aliases = client.get_registered_model("m").aliases
    return len(experiments), len(runs), version.tags, version.description, aliases
