"""Registered models: which version an URI means, what its files say, and how it is loaded safely.

`resolve`, `fetch` and `inspect` run in the auditing process and never load the model; `load` runs
in the child process only.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from audits.config import Preprocessing
from audits.data.imageset import Shape
from audits.errors import AuditError, ModelRefused
from fillblanks import Classifier

_URI = re.compile(
    r"models:/(?:(?P<model_id>m-[0-9a-f]{32})"
    r"|(?P<name>[^/@]+)(?:/(?:(?P<version>\d+)|(?P<latest>latest))|@(?P<alias>[^/@]+)))"
)
_PICKLE_MODULES = {"mlflow.pytorch.pickle_module", "pickle", "cloudpickle"}


@dataclass(frozen=True)
class Resolved:
    """The one model that an URI meant when it was resolved; aliases may move afterwards."""

    uri: str  # pinned: models:/<name>/<version>, or models:/m-<id>
    name: str
    version: str | None  # None for a logged model that was addressed by its id
    model_id: str | None  # the logged model; None for versions registered without one

    def __str__(self) -> str:
        return f"{self.name} v{self.version}" if self.version else f"{self.name} {self.model_id}"


@dataclass(frozen=True)
class ModelFiles:
    """What the files of a model say, without loading it."""

    folder: str
    digest: str  # sha256 of weights and model configuration
    trusted_pickle: bool
    shape: Shape  # of one image, from the signature; None: any
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]


def resolve(uri: str) -> Resolved:
    """The version or logged model behind `models:/...`. Raises AuditError where there is none."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise AuditError(
            "Expected models:/<name>/<version>, models:/<name>@<alias>, models:/<name>/latest or "
            f"models:/m-<id>, got {uri!r}."
        )
    client = mlflow.MlflowClient()
    try:
        if match["model_id"]:
            logged = client.get_logged_model(match["model_id"])
            return Resolved(uri, logged.name, None, logged.model_id)
        if match["alias"]:
            found = client.get_model_version_by_alias(match["name"], match["alias"])
        elif match["latest"]:
            found = _latest(client, match["name"])
        else:
            found = client.get_model_version(match["name"], match["version"])
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise AuditError(
            f"Expected a model at {uri} in the registry {mlflow.get_registry_uri()}, found none: "
            f"{error.message}"
        ) from error
    source = str(found.source or "")
    model_id = found.model_id or (
        source.removeprefix("models:/") if source.startswith("models:/m-") else None
    )
    version = str(found.version)
    return Resolved(f"models:/{found.name}/{version}", found.name, version, model_id)


def _latest(client: mlflow.MlflowClient, name: str) -> Any:
    client.get_registered_model(name)  # raises where there is no such name
    quote = '"' if "'" in name else "'"
    versions = client.search_model_versions(f"name = {quote}{name}{quote}")
    if not versions:
        raise AuditError(f"Expected a version of {name!r} in the registry, found none.")
    return max(versions, key=lambda v: int(v.version))


def fetch(model: Resolved, folder: Path) -> Path:
    """Copies the model's files into `folder`."""
    return Path(mlflow.artifacts.download_artifacts(model.uri, dst_path=str(folder)))


def inspect(folder: Path, preprocessing: Preprocessing, trust_sha256: str | None) -> ModelFiles:
    """Reads what the files say and refuses what must not be loaded. Raises ModelRefused."""
    try:
        conf = Model.load(str(folder))
    except MlflowException as error:
        raise ModelRefused(
            f"Expected an MLflow model with a file MLmodel: {error.message}"
        ) from error
    flavours = dict(conf.flavors)
    if "pytorch" not in flavours:
        raise ModelRefused(
            "Expected a model of MLflow's pytorch flavour, whose input gradient can be had, got "
            f"flavours {', '.join(sorted(flavours))}. Log it with mlflow.pytorch.log_model."
        )
    for name, flavour in flavours.items():
        if isinstance(flavour, dict) and flavour.get("code"):
            raise ModelRefused(
                f"Expected a model without code of its own, got code: {flavour['code']!r} in "
                f"flavour {name}, which would run when loaded. Log it as pt2 without code_paths."
            )
    data = (folder / str(flavours["pytorch"].get("model_data", "data"))).resolve()
    if not data.is_dir() or folder.resolve() not in data.parents:
        raise ModelRefused(f"Expected the model's data inside its folder, got {data.name!r}.")
    trusted = _check_serialization(data, trust_sha256)

    metadata = conf.metadata or {}
    mean, std, notes = _normalisation(preprocessing, metadata)
    classes = preprocessing.classes or _names(metadata.get("classes"))
    return ModelFiles(
        folder=str(folder),
        digest=_digest(folder, data, conf),
        trusted_pickle=trusted,
        shape=_signature_shape(conf),
        mean=mean,
        std=std,
        classes=classes,
        notes=notes,
    )


def load(files: ModelFiles, device: str) -> Classifier:
    """Loads the model; only ever called in the child process, whose environment it guards.

    MLflow's guards refuse pickles, also those hidden in a pt2 archive. They default to allow and
    are environment variables, hence set here and nowhere else.
    """
    import mlflow.pytorch
    import torch

    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = str(files.trusted_pickle).lower()
    # MLflow 3.18's guard against model code also refuses every model below a folder of sys.path;
    # models with code are refused by `inspect` for all versions.
    os.environ["MLFLOW_ALLOW_MODEL_CODE_EXECUTION"] = "false"
    try:
        if files.trusted_pickle:
            net = mlflow.pytorch.load_model(files.folder, map_location="cpu", weights_only=False)
        else:
            net = mlflow.pytorch.load_model(files.folder)
    except MlflowException as error:
        raise ModelRefused(f"MLflow refused to load the model: {error.message}") from error
    if not isinstance(net, torch.nn.Module):
        raise ModelRefused(f"Expected a torch.nn.Module, got {type(net).__name__}.")
    if device == "cuda":
        net = _to_cuda(net, files)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    try:
        return Classifier(net, mean=files.mean, std=files.std, classes=files.classes)
    except ValueError as error:
        raise ModelRefused(str(error)) from error


def _to_cuda(net: Any, files: ModelFiles) -> Any:
    import torch

    if files.trusted_pickle:
        return net.to("cuda")
    # An exported program keeps its device: it is loaded once more and its graph is rewritten. The
    # guarded load has passed by now.
    from torch.export.passes import move_to_device_pass

    archive = next(Path(files.folder).rglob("model.pt2"))
    return move_to_device_pass(torch.export.load(archive), "cuda").module()


def _check_serialization(data: Path, trust_sha256: str | None) -> bool:
    """Whether the model is a pickle that may be loaded. MLflow prefers model.pth where both are."""
    pickled = data / "model.pth"
    if not pickled.exists():
        if not (data / "model.pt2").exists():
            raise ModelRefused(
                "Expected model.pt2 or model.pth in the model's data, found neither."
            )
        return False
    sha256 = _sha256(pickled)
    if sha256 != trust_sha256:
        given = f", not {trust_sha256}" if trust_sha256 else ""
        raise ModelRefused(
            "Expected a pt2 model, got a pickle, which can run any code when loaded. Log it with "
            f"serialization_format='pt2', or review it and set trust_pickle_sha256: {sha256}{given}"
        )
    info = data / "pickle_module_info.txt"
    module = info.read_text().strip() if info.is_file() else ""
    if module not in _PICKLE_MODULES:
        raise ModelRefused(
            f"Expected a pickle module among {', '.join(sorted(_PICKLE_MODULES))}, got {module!r}."
        )
    return True


def _signature_shape(conf: Model) -> Shape:
    inputs = conf.signature.inputs if conf.signature else None
    if inputs is None:
        return (None, None, None)
    specs = inputs.inputs
    shape = getattr(specs[0], "shape", None)
    if len(specs) != 1 or shape is None or len(shape) != 4:
        raise ModelRefused(
            "Expected a signature of one image tensor (N, C, H, W), got "
            f"{', '.join(str(s) for s in specs)}."
        )
    if shape[0] not in (-1, None):
        raise ModelRefused(
            f"Expected a model that takes batches of any size, got a fixed batch of {shape[0]}. "
            "Log it with an input_example of at least 2 rows."
        )
    channels, height, width = (None if side == -1 else int(side) for side in shape[1:])
    if channels not in (None, 1, 3):
        raise ModelRefused(
            f"Expected a model of 1 or 3 channels, (N, C, H, W), got a signature of {shape}."
        )
    return (channels, height, width)


def _normalisation(
    preprocessing: Preprocessing, metadata: dict[str, Any]
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
    mean = preprocessing.mean or _numbers(metadata.get("mean"), "mean")
    std = preprocessing.std or _numbers(metadata.get("std"), "std")
    notes = []
    if mean is None and std is None:
        notes.append(
            "Neither the model's metadata nor the config names mean and std: the model is given "
            "images in [0, 1]."
        )
    return mean or (0.0,), std or (1.0,), tuple(notes)


def _numbers(value: Any, name: str) -> tuple[float, ...] | None:
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, int | float) for v in values):
        raise ModelRefused(f"Expected numbers as {name!r} in the model's metadata, got {value!r}.")
    return tuple(float(v) for v in values)


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len({str(v) for v in value}) != len(value):
        raise ModelRefused(
            f"Expected a list of different class names in the model's metadata, got {value!r}."
        )
    return tuple(str(v) for v in value)


def _digest(folder: Path, data: Path, conf: Model) -> str:
    """sha256 of what decides the model's answers; not of names, times and ids."""
    files = {
        str(file.relative_to(folder.resolve())): _sha256(file)
        for file in sorted(data.rglob("*"))
        if file.is_file()
    }
    signature = conf.signature.to_dict() if conf.signature else None
    text = json.dumps([files, signature, conf.metadata], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
