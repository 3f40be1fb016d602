"""The JSON files of a transformers model: its config, class names, and image processor."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audits.errors import ModelRefused, few, quoted
from audits.models.contract import Said, is_number
from audits.models.flavours.image_processor import FIELDS, contract_of, kind_in, kind_of
from audits.models.flavours.transformers_entry import PROCESSORS, listed_components
from audits.models.pretrained_cfg import said_by_pretrained_cfg
from audits.models.texts import bounded_text

_PROCESSOR_FILE = "preprocessor_config.json"
_NESTED_FILE = "processor_config.json"  # transformers takes its image_processor before the other
_WEIGHT_KEYS = ("quantization_config", "transformers_weights")
_ONE_LABEL = "single_label_classification"
_PIPELINE_KEYS = ("function_to_apply", "task_specific_params", "custom_pipelines")
UNNAMED = "LABEL_"
"""Begins transformers' names for labels that have none."""
# A pipeline turns images upright, leaves their alpha channel out, and cuts values of more than 8
# bits (all above 255 is white) before any processor.
_OF_PIPELINES = {"exif": True, "alpha": "drop", "deep": False}
_DECIDED = FIELDS | _OF_PIPELINES.keys()
_TIMM = "TimmWrapper"
_CFG = "pretrained_cfg"
_TIMM_NEEDS = ("input_size", "interpolation", "mean", "std")


def json_in(file: Path) -> dict[str, Any]:
    """The mapping in a JSON file. Raises ModelRefused."""
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


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether it is a network of timm inside transformers, which is described in another way.

    Raises ModelRefused if the type and the class of the network say both.
    """
    kind, names = config.get("model_type"), config.get("architectures")
    by_type, by_class = kind == "timm_wrapper", names == ["TimmWrapperForImageClassification"]
    if by_type != by_class:
        raise ModelRefused(
            f"Expected model_type and architectures of one network in config.json, got "
            f"{quoted(kind)} and {quoted(names)}. Log the model again."
        )
    return by_type


def expect_plain_weights(data: Path, config: Mapping[str, Any]) -> None:
    """Raises ModelRefused if other weights or kernels may be served than are audited.

    By these keys and files, releases of transformers, devices and installed packages decide which.
    """
    odd = [key for key in _WEIGHT_KEYS if config.get(key) is not None]
    odd += [file.name for file in sorted(data.glob("adapter_*"))]
    for key in ("attn_implementation", "_attn_implementation"):
        if config.get(key) not in (None, "eager", "sdpa"):
            odd.append(f"{key} {quoted(config[key])}")
    if odd:
        raise ModelRefused(
            f"Expected weights that are loaded as they are, got {few(odd)} in the model: the "
            "server may answer otherwise than the audit. Log the model without."
        )


def expect_softmax(config: Mapping[str, Any]) -> None:
    """Raises ModelRefused if a pipeline would rank the labels in another way than by the logits.

    By `problem_type` it takes the sigmoid of each logit, and large logits then all give 1; by
    `task_specific_params` older releases change the config, names of labels among it.
    """
    kind = config.get("problem_type")
    if kind not in (None, _ONE_LABEL):
        raise ModelRefused(
            f"Expected no problem_type in config.json, or {_ONE_LABEL}, got {quoted(kind)}: a "
            "pipeline then ranks the labels in another way. Correct it and log the model again."
        )
    if config.get("return_dict") is False or config.get("torchscript"):
        raise ModelRefused(
            "Expected a network that answers with names, as a pipeline needs, got return_dict: "
            "false or torchscript: true in config.json. Leave them out and log the model again."
        )
    if odd := [key for key in _PIPELINE_KEYS if config.get(key) is not None]:
        raise ModelRefused(
            f"Expected a config.json by which a pipeline changes nothing, got {few(odd)}. Log the "
            "model without."
        )


def expect_one_config(data: Path, config: Mapping[str, Any]) -> None:
    """Raises ModelRefused if transformers may take its config from another file than config.json.

    It does by `configuration_files`, which names one for each release.
    """
    odd = [file.name for file in sorted(data.glob("config.*.json"))]
    if config.get("configuration_files") is not None:
        odd.append("configuration_files")
    if odd:
        raise ModelRefused(
            f"Expected one config of the network, config.json, got {few(odd)} as well. Log the "
            "model without."
        )


def labels_in(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the logits in their order; None if nobody has named them. Raises ModelRefused.

    They are those that a pipeline answers with: `label_names` of a network of timm, and `id2label`
    of all others.
    """
    key = _key_of(config)
    named = config.get(key)
    if named is None and config.get("id2label") is not None:  # by which timm's would answer
        raise ModelRefused(
            "Expected the class names of a network of timm as label_names in config.json, got "
            "id2label alone. Log the model again."
        )
    entries = own_labels(config)
    if entries is None:
        return None
    if not all(isinstance(name, str) or is_number(name) for name in entries):
        raise ModelRefused(
            f"Expected names as {key} in config.json, got {quoted(named)}. Correct it and log the "
            "model again."
        )
    names = tuple(str(name) for name in entries)
    count = config.get("num_labels")
    if names and count is not None and count != len(names):
        raise ModelRefused(
            f"Expected one number of classes in config.json, got {len(names)} in {key} and "
            f"num_labels {quoted(count)}. Correct it and log the model again."
        )
    given = config.get("label2id")
    turned = given if isinstance(given, Mapping) else {}
    times = Counter(names)
    for index, name in enumerate(names):
        if turned.get(name, index) != index and times[name] == 1:
            raise ModelRefused(
                f"Expected one index of {quoted(name)} in config.json, got {index} in {key} and "
                f"{quoted(turned[name])} in label2id. Correct one of them."
            )
    unnamed = all(name == f"{UNNAMED}{index}" for index, name in enumerate(names))
    return None if unnamed else names


def own_labels(config: Mapping[str, Any]) -> list[Any] | None:
    """The labels as config.json has them, in their order; None if it has none.

    Raises ModelRefused.
    """
    key = _key_of(config)
    named = config.get(key)
    if named is None:
        return None
    if key == "label_names" and isinstance(named, list):
        return named
    if key == "id2label" and isinstance(named, Mapping):
        wanted = [str(index) for index in range(len(named))]
        if named.keys() == set(wanted):
            return [named[index] for index in wanted]
        named = list(named)
    numbers = "a list" if key == "label_names" else "the numbers from 0, each once"
    raise ModelRefused(
        f"Expected {key} with {numbers} in config.json, got {quoted(named)}. Correct it and log "
        "the model again."
    )


def _key_of(config: Mapping[str, Any]) -> str:
    return "label_names" if is_timm(config) else "id2label"


def said_by_timm(config: Mapping[str, Any]) -> Said:
    """The fields that `pretrained_cfg` in the config.json of a network of timm decides."""
    by = "timm's pretrained_cfg in config.json"
    cfg = config.get(_CFG)
    said = said_by_pretrained_cfg(cfg, by)
    given = cfg if isinstance(cfg, Mapping) else {}
    if missing := [key for key in _TIMM_NEEDS if given.get(key) is None]:
        raise ModelRefused(
            f"Expected {missing[0]} in {by}, got none, so that timm takes a value of its own. "
            "Write it into the file, and log the model again."
        )
    own = {name: value for name, value in said.values.items() if name != "classes"}
    return Said(by, {**own, **_OF_PIPELINES}, _DECIDED)


def said_by_processor(data: Path, entry: Mapping[str, Any]) -> Said | None:
    """The fields that the image processor decides which MLflow loads; None if there is none.

    `data` is the network's folder, `entry` that of MLmodel. Raises ModelRefused if releases of
    transformers, or MLflow and this audit, may take different files or classes.
    """
    found = _processor_files(data)
    if len(found) > 1:
        raise ModelRefused(
            f"Expected one file of an image processor, got {few(_place(one) for one in found)}. "
            "Delete the others and log the model again."
        )
    if not found:
        if listed := listed_components(entry) & set(PROCESSORS):
            raise ModelRefused(
                f"Expected {_PROCESSOR_FILE} of the component {min(listed)} that MLmodel lists, "
                "found none. Log the model again with its image processor."
            )
        return None
    (file,) = found
    config = json_in(file)
    if file.name == _NESTED_FILE:
        if not isinstance(nested := config.get("image_processor"), dict):
            raise ModelRefused(
                f"Expected a mapping image_processor in {_NESTED_FILE}, got {quoted(nested)}. Log "
                "the model again with its image processor."
            )
        config = {**nested, **({"auto_map": True} if config.get("auto_map") else {})}
    if config.get("auto_map"):
        raise ModelRefused(
            "Expected an image processor of transformers, got one with code of its own. Log the "
            "network as pt2 with mlflow.pytorch, and name what the processor does under "
            "preprocessing."
        )
    values = {**contract_of(config, file.name), **_OF_PIPELINES}
    _expect_class_of_mlmodel(file, kind_in(config), entry)
    return Said(f"transformers' {file.name} and config.json", values, _DECIDED)


def processor_place(data: Path, entry: Mapping[str, Any]) -> tuple[Path, str | None] | None:
    """The folder of the image processor, and its class in MLmodel; None if there is none."""
    for file in _processor_files(data):
        folder = file.parent
        return folder, None if folder == data else entry.get(f"{folder.name}_type")
    return None


def expect_no_processor(data: Path, entry: Mapping[str, Any]) -> None:
    """Raises ModelRefused if a network of timm has an image processor other than its own.

    Its own reads `pretrained_cfg` in a config.json: the network's, or another that says the same.
    """
    if odd := _processor_files(data):
        raise ModelRefused(
            f"Expected no file of an image processor beside a network of timm, got "
            f"{few(_place(one) for one in odd)}. Log the model again without it."
        )
    for file in [_component(data, name) / "config.json" for name in PROCESSORS]:
        if file.exists() and json_in(file).get(_CFG) != json_in(data / "config.json").get(_CFG):
            raise ModelRefused(
                f"Expected {_CFG} in {_place(file)} as in the network's config.json, got another. "
                "Correct one of them."
            )
    for name in listed_components(entry) & set(PROCESSORS):
        if kind_of(entry.get(f"{name}_type")) != _TIMM:
            raise ModelRefused(
                f"Expected {_TIMM}ImageProcessor as {name}_type in MLmodel for a network of timm, "
                f"got {quoted(entry.get(f'{name}_type'))}. Log the model again."
            )


def _expect_class_of_mlmodel(file: Path, kind: str | None, entry: Mapping[str, Any]) -> None:
    """Raises ModelRefused unless MLmodel names the class that the file names: MLflow takes it."""
    component = file.parent.name
    for name in listed_components(entry) & set(PROCESSORS):
        given = entry.get(f"{name}_type")
        if name != component or kind_of(given) != kind:
            raise ModelRefused(
                f"Expected one image processor in MLmodel and in {file.name}, got {name} "
                f"{quoted(given)} and {kind}. Log the model again."
            )


def _processor_files(data: Path) -> list[Path]:
    """The files of image processors, of the pipeline and beside the network."""
    folders = (*(_component(data, name) for name in PROCESSORS), data)
    return [
        folder / name
        for folder in folders
        for name in (_PROCESSOR_FILE, _NESTED_FILE)
        if (folder / name).is_file()
    ]


def _component(data: Path, name: str) -> Path:
    return data.parent / "components" / name


def _place(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"
