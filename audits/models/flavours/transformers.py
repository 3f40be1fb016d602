"""MLflow's transformers flavour: image-classification pipelines, and models without one.

The network is loaded from its safetensors by transformers' own class, without the pipeline: the
pipeline's image processor is read as data, and nothing is fetched from a hub.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from mlflow.models import Model
from torch import nn

from audits.errors import AuditError, ModelRefused, few, quoted
from audits.models.contract import Said, is_whole
from audits.models.flavours.base import Flavour, inside
from audits.models.flavours.image_processor import contract_of
from audits.models.pretrained_cfg import said_by_pretrained_cfg
from audits.models.texts import bounded_text

_TASKS = ("image-classification", None)
_PROCESSORS = ("image_processor", "feature_extractor", "processor")
# Arguments of timm.create_model that shape a network and name no file.
_TIMM_ARGUMENTS = frozenset(
    {"in_chans", "num_classes", "img_size", "global_pool", "drop_rate", "drop_path_rate"}
    | {"act_layer", "norm_layer", "output_stride", "patch_size", "embed_dim", "depth", "num_heads"}
    | {"dynamic_img_size", "class_token", "init_values", "scriptable", "exportable"}
)
_PROCESSOR_FILE = "preprocessor_config.json"
# Keys by which MLflow loads weights that are not in the model's folder.
_ELSEWHERE = frozenset({"source_model_revision", "local_base_model_path"})
_UNNAMED = "LABEL_"  # transformers' names for labels that have none


class Transformers(Flavour):
    """A network of the transformers library for image classification."""

    name: ClassVar[str] = "transformers"
    pyfunc_keys: ClassVar[tuple[str, ...]] = ()

    def data(self, folder: Path, conf: Model) -> Path:
        entry = self.entry(conf)
        if (task := entry.get("task")) not in _TASKS:
            raise ModelRefused(f"Expected the task image-classification, got {str(task)[:60]!r}.")
        if entry.get("peft_adaptor"):
            raise ModelRefused(
                "Expected a model with all its weights, got a PEFT adapter. Log it after "
                "merge_and_unload()."
            )
        if "model_binary" not in entry:
            raise ModelRefused(
                "Expected a model with its weights, got only the name of one on a hub. Log it with "
                "save_pretrained=True, or call mlflow.transformers.persist_pretrained_model."
            )
        if elsewhere := sorted(_ELSEWHERE & {key for key, value in entry.items() if value}):
            raise ModelRefused(
                f"Expected a network whose weights are in the model's folder, got {elsewhere[0]}, "
                "by which MLflow loads another. Log it with save_pretrained=True."
            )
        data = inside(folder, entry["model_binary"])
        _expect_read_as_by_mlflow(folder, data, entry)
        return data

    def parts(self, data: Path) -> list[Path]:
        components = data.parent / "components"
        return [data, components] if components.is_dir() else [data]

    def running_files(self, data: Path) -> list[Path]:
        modules = sorted(data.glob("*.py")) if _json(data / "config.json").get("auto_map") else []
        of_others = sorted((data.parent / "components").rglob("*.py"))
        return [*_pickles(data), *modules, *of_others]

    def check(self, data: Path, *, trusted: bool) -> None:
        config = _json(data / "config.json")
        _expect_own_code(config.get("auto_map"), data)
        _expect_plain_arguments(config.get("model_args"))
        if not (_safe(data) or _pickles(data)):
            raise ModelRefused(
                "Expected model.safetensors in the model's data, found none. Log the model with a "
                "later transformers."
            )

    def said(self, folder: Path, conf: Model) -> Said:
        data = self.data(folder, conf)
        config = _json(data / "config.json")
        by = "transformers' config.json"
        said = {"classes": _labels(config), "channels": _channels(config)}
        if isinstance(cfg := config.get("pretrained_cfg"), Mapping):
            timm = said_by_pretrained_cfg(cfg, "timm's pretrained_cfg in config.json")
            classes = said["classes"] or timm.values.get("classes")
            return Said(timm.by, {**timm.values, "classes": classes})
        processor = _processor(data)
        if processor is not None:
            by = f"transformers' {_PROCESSOR_FILE} and config.json"
            said |= contract_of(processor)
        if "height" not in said and is_whole(size := config.get("image_size")):
            said |= {"height": size, "width": size}
        return Said(by, said)

    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        config = _json(data / "config.json")
        own_code = bool(config.get("auto_map")) and trusted
        # transformers copies modules of the model's own there, and reads both when it is imported.
        with tempfile.TemporaryDirectory(prefix="fillblanks-") as modules:
            os.environ |= {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": modules}
            net = _network(config, data, own_code)
        return net.eval().to(device)


def _expect_read_as_by_mlflow(folder: Path, data: Path, entry: Mapping[str, Any]) -> None:
    """Raises ModelRefused if MLflow would load another class, or other components, than the audit.

    MLflow takes the class from MLmodel and looks for the listed components beside it.
    """
    if data.parent != folder.resolve():
        raise ModelRefused(
            f"Expected the network in the folder model, got {quoted(entry['model_binary'])}. Log "
            "it with mlflow.transformers."
        )
    said, own = entry.get("pipeline_model_type"), _json(data / "config.json").get("architectures")
    if said is not None and own != [said]:
        raise ModelRefused(
            f"Expected one network in MLmodel and in config.json, got {quoted(said)} and "
            f"{quoted(own)}. Log the model again."
        )
    listed = entry.get("components") or []
    names = {name for name in listed if isinstance(name, str)}
    names |= {"processor"} if entry.get("processor_type") else set()
    components = data.parent / "components"
    found = {one.name for one in components.iterdir()} if components.is_dir() else set()
    if found - names or len(names & set(_PROCESSORS)) > 1:
        raise ModelRefused(
            f"Expected the components that MLmodel lists, with one image processor at most, got "
            f"{few(sorted(found | names)) or 'none'}. Log the model again."
        )
    for file in sorted(components.rglob("*.json")):
        if _json(file).get("auto_map"):
            raise ModelRefused(
                f"Expected components of transformers, got one with code of its own, {file.name}. "
                "Log the network as pt2 with mlflow.pytorch, and name what its processor does "
                "under preprocessing."
            )


def _network(config: Mapping[str, Any], data: Path, own_code: bool) -> Any:
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
    options: dict[str, Any] = {"trust_remote_code": True} if own_code else {}
    try:
        loaded: Any = cls.from_pretrained(
            str(data),
            local_files_only=True,
            use_safetensors=_safe(data),
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
    for kind in ("missing_keys", "mismatched_keys"):
        if told.get(kind):
            raise ModelRefused(
                f"Expected all weights of {architecture} in the model's files, but "
                f"{few(sorted(map(str, told[kind])))} of them are not there or of another shape, "
                "and would be random. Log the whole model."
            )
    return net


def _expect_plain_arguments(arguments: object) -> None:
    """Raises ModelRefused for arguments of a network of timm that are not known to be harmless.

    timm takes paths of checkpoints among them, which it would unpickle.
    """
    given = arguments if isinstance(arguments, Mapping) else {}
    odd = [k for k, v in given.items() if k not in _TIMM_ARGUMENTS or not _is_plain(v)]
    if odd or (arguments is not None and not isinstance(arguments, Mapping)):
        raise ModelRefused(
            "Expected model_args in config.json that shape the network and name no file, got "
            f"{few(odd) or quoted(arguments)}. Save the model without."
        )


def _is_plain(value: object) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(item is None or isinstance(item, bool | int | float | str) for item in items)


def _labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the logits in their order; None if nobody has named them."""
    named = config.get("id2label")
    if isinstance(config.get("label_names"), list):  # as transformers writes a network of timm
        named = dict(enumerate(config["label_names"]))
    if not isinstance(named, Mapping) or not named:
        return None
    try:
        ordered = {int(index): str(name) for index, name in named.items()}
        names = tuple(ordered[index] for index in range(len(ordered)))
    except (KeyError, ValueError) as error:
        raise ModelRefused(
            f"Expected id2label with the numbers 0 to {len(named) - 1} in config.json, got "
            f"{str(list(named))[:60]}. Correct it and log the model again."
        ) from error
    unnamed = all(name == f"{_UNNAMED}{index}" for index, name in enumerate(names))
    return None if unnamed else names


def _channels(config: Mapping[str, Any]) -> int | None:
    channels = config.get("num_channels")
    return channels if is_whole(channels) and channels in (1, 3) else None


def _processor(data: Path) -> Mapping[str, Any] | None:
    """The image processor's own file: of the pipeline, or beside the network."""
    components = data.parent / "components"
    for folder in (*(components / name for name in _PROCESSORS), data):
        for name in (_PROCESSOR_FILE, "processor_config.json"):
            if (folder / name).is_file():
                config = _json(folder / name)
                if config.get("auto_map"):
                    raise ModelRefused(
                        "Expected an image processor of transformers, got one with code of its "
                        "own. Log the network as pt2 with mlflow.pytorch, and name what the "
                        "processor does under preprocessing."
                    )
                nested = config.get("image_processor")
                return nested if isinstance(nested, Mapping) else config
    return None


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


def _safe(data: Path) -> bool:
    return any(data.glob("*.safetensors"))


def _pickles(data: Path) -> list[Path]:
    """The pickles that hold the weights; none if there are safetensors, which are preferred."""
    return [] if _safe(data) else sorted(data.glob("*.bin"))


def _json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(bounded_text(file))
    except FileNotFoundError as error:
        raise ModelRefused(
            f"Expected {file.name} in the model's data, found none. Log the model again."
        ) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise ModelRefused(
            f"Expected JSON in {file.name}: {error}. Log the model again."
        ) from error
    if not isinstance(values, dict):
        raise ModelRefused(f"Expected a mapping in {file.name}, got {type(values).__name__}.")
    return values
