"""MLflow's transformers flavour: image-classification pipelines, and models without one.

The network is loaded from its safetensors by transformers' own class, without the pipeline: the
pipeline's image processor is read as data, and nothing is fetched from a hub.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from mlflow.models import Model
from torch import nn

from audits.errors import AuditError, ModelRefused, few, quoted
from audits.models.carried_names import Carried, lists_in
from audits.models.contract import Said, is_whole, merged
from audits.models.flavours.base import AskedByMlflow, Flavour, at_top
from audits.models.flavours.processor_tried import expect_as_read
from audits.models.flavours.transformers_entry import (
    PROCESSORS,
    dtype_of,
    expect_known,
    listed_components,
)
from audits.models.flavours.transformers_files import (
    UNNAMED,
    expect_no_processor,
    expect_one_config,
    expect_plain_weights,
    expect_softmax,
    is_timm,
    json_in,
    labels_in,
    own_labels,
    processor_place,
    said_by_processor,
    said_by_timm,
)
from audits.models.flavours.transformers_folder import is_safe, own_files, pickles, weights
from audits.models.flavours.transformers_served import asked_by_mlflow
from audits.models.flavours.transformers_timm import expect_plain_timm
from audits.models.texts import read_mlmodel

_LONGEST_NOTES = 1_000_000  # of a file of safetensors
_CLASSIFIER = "ForImageClassification"  # in the names of all such networks
_DTYPE_RENAMED = (4, 56)  # torch_dtype before


class Transformers(Flavour):
    """A network of the transformers library for image classification."""

    name: ClassVar[str] = "transformers"
    reading: ClassVar[int] = 2  # in the dtype that MLmodel names
    pyfunc_keys: ClassVar[tuple[str, ...]] = ()

    def data(self, folder: Path, conf: Model) -> Path:
        entry = self.entry(conf)
        expect_known(entry)
        data = at_top(folder, entry["model_binary"])
        _expect_read_as_by_mlflow(data, entry)
        return data

    def parts(self, data: Path) -> list[Path]:
        return own_files(data)

    def running_files(self, data: Path) -> list[Path]:
        modules = sorted(data.glob("*.py")) if json_in(data / "config.json").get("auto_map") else []
        of_others = sorted((data.parent / "components").rglob("*.py"))
        return [*pickles(data), *modules, *of_others]

    def check(self, data: Path, *, trusted: bool) -> None:
        config = json_in(data / "config.json")
        expect_one_config(data, config)
        _expect_own_code(config.get("auto_map"), data)
        expect_plain_timm(config)
        expect_plain_weights(data, config)
        expect_softmax(config)
        if not (is_safe(data) or pickles(data)):
            raise ModelRefused(
                "Expected model.safetensors in the model's data, found none. Log the model with a "
                "later transformers."
            )

    def said(self, folder: Path, conf: Model) -> Said:
        data = self.data(folder, conf)
        config, entry = json_in(data / "config.json"), self.entry(conf)
        said = {"classes": labels_in(config), "channels": _channels(config)}
        if is_timm(config):
            expect_no_processor(data, entry)
            decided: Said | None = said_by_timm(config)
        else:
            decided = said_by_processor(data, entry)
        if decided is not None:
            return Said(decided.by, {**said, **decided.values}, decided.decides)
        if is_whole(size := config.get("image_size")):
            said |= {"height": size, "width": size}
        return Said("transformers' config.json", said)

    def carried(self, folder: Path, conf: Model) -> Carried:
        data = self.data(folder, conf)
        found = list(lists_in(json_in(data / "config.json"), "config.json"))
        for file in weights(data) if is_safe(data) else ():
            if file.suffix == ".safetensors" and file.is_file():
                found += lists_in(_notes(file), f"the notes in {quoted(file.name)}")
        return tuple(found)

    def asked_by_mlflow(self, folder: Path, conf: Model) -> AskedByMlflow | None:
        entry = conf.flavors.get("python_function")
        if not isinstance(entry, dict) or entry.get("loader_module") != "mlflow.transformers":
            return None
        return asked_by_mlflow(folder, own_labels(json_in(self.data(folder, conf) / "config.json")))

    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        config = json_in(data / "config.json")
        own_code = bool(config.get("auto_map")) and trusted
        # transformers copies modules of the model's own there, and reads both when it is imported.
        with tempfile.TemporaryDirectory(prefix="fillblanks-") as modules:
            os.environ |= {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": modules}
            conf = read_mlmodel(folder)
            net = _network(config, data, own_code, dtype_of(self.entry(conf)))
            if (place := processor_place(data, self.entry(conf))) is not None:
                # A pipeline gives RGB, whatever the network takes.
                read = {**self.said(folder, conf).values, "channels": 3}
                expect_as_read(*place, merged([Said(self.name, read)]))
        return net.eval().to(device)


def _expect_read_as_by_mlflow(data: Path, entry: Mapping[str, Any]) -> None:
    """Raises ModelRefused if MLflow would load another class, or other components, than the audit.

    MLflow takes the class from MLmodel and looks for the listed components beside it.
    """
    said, own = entry.get("pipeline_model_type"), json_in(data / "config.json").get("architectures")
    if own != [said]:  # without it MLflow loads nothing
        raise ModelRefused(
            f"Expected one network in MLmodel and in config.json, got {quoted(said)} and "
            f"{quoted(own)}. Log the model again."
        )
    names = listed_components(entry)
    components = data.parent / "components"
    found = {one.name for one in components.iterdir()} if components.is_dir() else set()
    if found - names or len(names & set(PROCESSORS)) > 1:
        raise ModelRefused(
            f"Expected the components that MLmodel lists, with one image processor at most, got "
            f"{few(sorted(found | names)) or 'none'}. Log the model again."
        )
    for file in sorted(components.rglob("*.json")):
        if json_in(file).get("auto_map"):
            raise ModelRefused(
                f"Expected components of transformers, got one with code of its own, {file.name}. "
                "Log the network as pt2 with mlflow.pytorch, and name what its processor does "
                "under preprocessing."
            )


def _notes(file: Path) -> dict[str, str]:
    """The texts in the header of a file of safetensors. Raises ModelRefused."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            notes = dict(opened.metadata() or {})
    except SafetensorError as error:
        raise ModelRefused(
            f"Expected a file of safetensors, got {quoted(file.name)} with {quoted(str(error))}. "
            "Log the model again."
        ) from error
    if (size := sum(map(len, notes.values()))) > _LONGEST_NOTES:
        raise ModelRefused(
            f"Expected notes of at most {_LONGEST_NOTES:,} characters in {quoted(file.name)}, got "
            f"{size:,}. Leave out what no server reads."
        )
    return notes


def _network(config: Mapping[str, Any], data: Path, own_code: bool, dtype: str | None) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise AuditError(
            f"Expected the package transformers ({error}). pip install 'fillblanks[transformers]'"
        ) from error
    architecture = str((config.get("architectures") or [""])[0])
    cls = getattr(transformers, architecture, None)
    if own_code:
        cls = transformers.AutoModelForImageClassification
    elif not (isinstance(cls, type) and issubclass(cls, transformers.PreTrainedModel)):
        raise ModelRefused(
            f"Expected a network that transformers {transformers.__version__} has, got "
            f"{architecture[:60]!r}. Install the version that the model's requirements name."
        )
    elif _CLASSIFIER not in architecture:  # a pipeline would read its outputs in another way
        raise ModelRefused(
            f"Expected a network {_CLASSIFIER}, got {quoted(architecture)}. Log a classifier."
        )
    options: dict[str, Any] = {"trust_remote_code": True} if own_code else {}
    if dtype is not None:  # else transformers chooses, for MLflow too
        release = tuple(int(part) for part in transformers.__version__.split(".")[:2])
        older = release < _DTYPE_RENAMED
        options["torch_dtype" if older else "dtype"] = getattr(torch, dtype)
    try:
        loaded: Any = cls.from_pretrained(
            str(data),
            local_files_only=True,
            use_safetensors=is_safe(data),
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelRefused(
            f"Expected a model that transformers {transformers.__version__} loads, got "
            f"{type(error).__name__}: {reason}. Install the version that the model's requirements "
            "name, or log the model again."
        ) from error
    net, told = loaded
    _expect_as_read(net.config, config)
    for kind in ("missing_keys", "mismatched_keys"):
        if told.get(kind):
            raise ModelRefused(
                f"Expected all weights of {architecture} in the model's files, but "
                f"{few(sorted(map(str, told[kind])))} of them are not there or of another shape, "
                "and would be random. Log the whole model."
            )
    return net


def _expect_as_read(loaded: Any, config: Mapping[str, Any]) -> None:
    """Raises ModelRefused if transformers has taken another config than that of config.json.

    It takes a mapping within the config if the type there is that of the class, and gives networks
    of timm that have as many classes as an ImageNet its names.
    """
    names = own_labels(config)
    if names is None:
        names = [f"{UNNAMED}{index}" for index in range(len(loaded.id2label))]
    as_read = (
        dict(loaded.id2label) == dict(enumerate(names))
        and loaded.model_type == config.get("model_type")
        and getattr(loaded, "problem_type", None) == config.get("problem_type")
    )
    if not as_read:
        raise ModelRefused(
            f"Expected a network that transformers loads with its config.json, got one of the type "
            f"{quoted(loaded.model_type)} with names or settings of another config "
            f"({few(loaded.id2label.values())}). Write them into config.json, or log the model "
            "again."
        )


def _channels(config: Mapping[str, Any]) -> int | None:
    channels = config.get("num_channels")
    return channels if is_whole(channels) and channels in (1, 3) else None


def _expect_own_code(auto_map: Any, folder: Path) -> None:
    """Raises ModelRefused if `auto_map` names code outside the model's folder."""
    names = auto_map.values() if isinstance(auto_map, Mapping) else [auto_map] if auto_map else []
    for name in names:
        for one in name if isinstance(name, list) else [name]:
            module = str(one).split(".")[0]
            if one is not None and ("--" in str(one) or not (folder / f"{module}.py").is_file()):
                raise ModelRefused(
                    f"Expected a network whose code is in transformers or in the model's folder, "
                    f"got auto_map: {str(one)[:60]!r}. Log it as pt2 with mlflow.pytorch."
                )
