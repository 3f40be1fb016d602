"""Reads a model's files and refuses files that must not be loaded.

This runs in the auditing process and never loads the model; `loading` loads it.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from audits.errors import ModelRefused
from audits.models.preprocessing import Preprocessing
from audits.models.pt2 import check_archive

# Errors that a damaged or crafted MLmodel raises when it is read.
_BROKEN = (
    AttributeError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
    yaml.YAMLError,
    MlflowException,
)
Shape = tuple[int | None, int | None, int | None]  # channels, height, width; None: any
_Said = TypeVar("_Said")
_PICKLE_MODULES = {"mlflow.pytorch.pickle_module", "pickle", "cloudpickle"}


@dataclass(frozen=True)
class ModelFiles:
    """Facts about a model that its files give without being loaded."""

    folder: str
    data: str  # the folder of the weights, inside `folder`
    digest: str  # sha256 of weights and model configuration
    trusted_pickle: bool
    shape: Shape  # of one image, from the signature; None: any
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]


def inspect(
    folder: Path, preprocessing: Preprocessing, trusted_sha256: Sequence[str] = ()
) -> ModelFiles:
    """Reads a model's files without loading them. Raises ModelRefused if they must not be loaded.

    `preprocessing` is the config's. `trusted_sha256` are the digests of pickles that may be loaded.
    """
    try:
        return _inspect(folder, preprocessing, trusted_sha256)
    except ModelRefused:
        raise
    except _BROKEN as error:
        reason = " ".join(str(error).split())
        raise ModelRefused(
            f"Expected an MLflow model whose MLmodel can be read, got {type(error).__name__}: "
            f"{reason}"
        ) from error


def _inspect(
    folder: Path, preprocessing: Preprocessing, trusted_sha256: Sequence[str]
) -> ModelFiles:
    try:
        conf = Model.load(str(folder))
    except MlflowException as error:
        raise ModelRefused(
            f"Expected an MLflow model with a file MLmodel: {error.message}"
        ) from error
    flavours = dict(conf.flavors)
    if "pytorch" not in flavours:
        raise ModelRefused(
            "Expected a model of MLflow's pytorch flavour, which has input gradients, got "
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
    trusted = _check_serialization(data, trusted_sha256)

    metadata = conf.metadata or {}
    mean, std, notes = _normalisation(preprocessing, metadata)
    named = (preprocessing.classes, _names(metadata.get("classes")))
    classes = _first(named, preprocessing.overrides)
    return ModelFiles(
        folder=str(folder),
        data=str(data),
        digest=_digest(folder, data, conf),
        trusted_pickle=trusted,
        shape=_signature_shape(conf),
        mean=mean,
        std=std,
        classes=classes,
        notes=notes,
    )


def inspect_reference(
    folder: Path, model: ModelFiles, classes: Sequence[str], trusted_sha256: Sequence[str]
) -> ModelFiles:
    """Like `inspect`, for a reference that recognises the fills of `model`. Raises ModelRefused.

    `classes` are those of the audited model's logits, in their order.
    """
    try:
        files = inspect(folder, Preprocessing(), trusted_sha256)
    except ModelRefused as error:
        raise ModelRefused(f"reference: {error}") from error
    if files.classes and files.classes != tuple(classes):
        raise ModelRefused(
            "Expected a reference with the classes of the audited model in the same order "
            f"({', '.join(classes)}), got {', '.join(files.classes)}."
        )
    if model.shape and files.shape and files.shape != model.shape:
        raise ModelRefused(
            f"Expected a reference for images of the audited model's shape {model.shape}, got "
            f"{files.shape}."
        )
    return files


def _check_serialization(data: Path, trusted_sha256: Sequence[str]) -> bool:
    """Whether the model is a pickle that may be loaded. MLflow prefers model.pth to model.pt2."""
    pickled = data / "model.pth"
    if not pickled.exists():
        if not (data / "model.pt2").exists():
            raise ModelRefused(
                "Expected model.pt2 or model.pth in the model's data, found neither."
            )
        check_archive(data / "model.pt2")
        return False
    sha256 = _sha256(pickled)
    if sha256 not in trusted_sha256:
        given = f", not {', '.join(trusted_sha256)}" if trusted_sha256 else ""
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
    if len(specs) == 1 and shape is not None and specs[0].type.kind != "f":
        raise ModelRefused(f"Expected a model of float images, got a signature of {specs[0].type}.")
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
    first = preprocessing.overrides
    mean = _first((preprocessing.mean, _numbers(metadata.get("mean"), "mean")), first)
    std = _first((preprocessing.std, _numbers(metadata.get("std"), "std")), first)
    notes = []
    missing = [name for name, value in (("mean", mean), ("std", std)) if value is None]
    if missing:
        notes.append(
            f"Neither the model's metadata nor the config names {' and '.join(missing)}: 0 is "
            "taken for mean and 1 for std."
        )
    return mean or (0.0,), std or (1.0,), tuple(notes)


def _first(said: tuple[_Said | None, _Said | None], config_first: bool) -> _Said | None:
    """The first value that is given: the config's, then the metadata's, or the other way round."""
    config, metadata = said
    return (config or metadata) if config_first else (metadata or config)


def _numbers(value: Any, name: str) -> tuple[float, ...] | None:
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        raise ModelRefused(f"Expected numbers as {name!r} in the model's metadata, got {value!r}.")
    return tuple(float(v) for v in values)


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value or len({str(v) for v in value}) != len(value):
        raise ModelRefused(
            f"Expected a list of different class names in the model's metadata, got {value!r}."
        )
    return tuple(str(v) for v in value)


def _digest(folder: Path, data: Path, conf: Model) -> str:
    """sha256 of everything that decides the model's answers; names, times and ids are left out."""
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
