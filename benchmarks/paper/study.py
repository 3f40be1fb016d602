"""Networks in a registry of the page's own, and audits of them."""

import hashlib
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from networks import DATA
from pydantic import TypeAdapter
from torch import nn

from audits import AuditResult, data, parse_config, run_audit
from audits.checks.base import Check
from audits.checks.context import AuditContext
from audits.data.imageset import ImageSet
from audits.evidence.evidence import Evidence
from fillblanks import Classifier, default_plan

# Full precision, for audits that are too short for tuning to pay.
EXACT = {"precision": "full", "memory_format": "channels_last", "fused": True, "chunk": 256}


class Study:
    """A folder with a registry, trained weights and finished units; a second run uses them."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{self.folder / 'mlflow.db'}"
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        self._started = time.monotonic()
        self._clock = self.folder / "seconds.txt"
        self._before = float(self._clock.read_text()) if self._clock.exists() else 0.0
        for name in ("training", "paper"):
            if mlflow.get_experiment_by_name(name) is None:
                place = (self.folder / "mlartifacts" / name).as_uri()
                mlflow.create_experiment(name, artifact_location=place)
        mlflow.set_experiment("training")
        self.audits = 0

    @property
    def seconds(self) -> float:
        """Seconds of this run and of the runs before it that were cut short."""
        return self._before + time.monotonic() - self._started

    def done(self) -> None:
        """Call it when the page is written: the next run then counts its seconds from 0."""
        self._clock.unlink()

    def say(self, text: str) -> None:
        """Prints progress, and keeps the time that was used so far."""
        print(f"{self.seconds / 60:5.1f} min  {text}", flush=True)
        self._clock.write_text(str(self.seconds))

    def register(
        self,
        name: str,
        net: nn.Module,
        classes: tuple[str, ...],
        shape: tuple[int, int, int],
        mean: tuple[float, ...] = (0.0,),
        std: tuple[float, ...] = (1.0,),
    ) -> str:
        """The URI of exactly this network in the registry; registers it if it is not there."""
        state = sorted(net.state_dict().items())
        content = b"".join(v.numpy().tobytes() for _, v in state)
        told = repr((str(net), classes, shape, mean, std)).encode()
        key = hashlib.sha256(content + told).hexdigest()
        for version in mlflow.MlflowClient().search_model_versions(f"name = '{name}'"):
            if version.tags.get("paper.weights") == key:
                return f"models:/{name}/{version.version}"
        with mlflow.start_run(run_name=name):
            info = mlflow.pytorch.log_model(
                net.eval(),
                name=name,
                input_example=np.zeros((2, *shape), np.float32),
                metadata={"classes": list(classes), "mean": list(mean), "std": list(std)},
                pip_requirements=["torch"],
                registered_model_name=name,
            )
        number = str(info.registered_model_version)
        mlflow.MlflowClient().set_model_version_tag(name, number, "paper.weights", key)
        return f"models:/{name}/{number}"

    def audit(
        self,
        uri: str,
        data: dict[str, Any],
        checks: list[dict[str, Any]],
        *,
        seed: int = 0,
        reference: str | None = None,
        engine: dict[str, Any] | None = None,
    ) -> dict[str, Evidence]:
        """Evidence by check; the audit's run is in MLflow. Raises if a check did not end well."""
        values: dict[str, Any] = {
            "model": uri,
            "data": data,
            "checks": checks,
            "seed": seed,
            "reference": reference,
            "engine": EXACT if engine is None else engine,
            "store": str(self.folder / "store"),
        }
        result: AuditResult = run_audit(parse_config(values))
        self.audits += 1
        for evidence in result.evidence:
            if evidence.status != "ok":
                raise RuntimeError(f"{uri}, {evidence.check}: {evidence.reason} {evidence.detail}")
        return {evidence.check: evidence for evidence in result.evidence}


def loaded(config: dict[str, Any]) -> ImageSet:
    """The images of an audit config's `data`."""
    return data.load(TypeAdapter[Any](data.AnyData).validate_python(config))


def image_set(dataset: str, split: str) -> ImageSet:
    return loaded(config_of(dataset, split))


def config_of(dataset: str, split: str = "test") -> dict[str, Any]:
    """The audit config's `data` for one of our data sets."""
    if dataset == "CIFAR10":
        path = DATA / "CIFAR10" / f"cifar10_{split}.npz"
        return {"kind": "npz", "path": str(path), "classes": "classes"}
    return {"kind": "torchvision", "dataset": dataset, "root": str(DATA), "split": split}


def evidence_of(
    check: Check,
    net: nn.Module,
    images: ImageSet,
    *,
    seed: int = 0,
    reference: nn.Module | None = None,
) -> Evidence:
    """Evidence of a check without MLflow, in this process."""
    shape = images.tensor([0]).shape[1:]
    audit = AuditContext(
        images=images,
        seed=seed,
        plan=default_plan(*shape),
        model=Classifier(_frozen(net), constant=True),
        reference=Classifier(_frozen(reference), constant=True) if reference else None,
    )
    check = check.settled(audit.shape)
    return check.conclude(audit, [check.measure(audit, unit) for unit in check.units(audit)])


def _frozen(net: nn.Module) -> nn.Module:
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net.eval()
