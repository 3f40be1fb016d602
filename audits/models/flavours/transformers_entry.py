"""The entry of a transformers model in MLmodel, by which MLflow finds classes and components."""

from collections.abc import Mapping
from typing import Any

from audits.errors import ModelRefused, few, quoted

PROCESSORS = ("image_processor", "feature_extractor", "processor")
_TASK = "image-classification"  # without one MLflow loads nothing
_COMPONENTS = (*PROCESSORS, "tokenizer")
# Keys by which MLflow loads weights that are not in the model's folder.
_ELSEWHERE = frozenset({"source_model_revision", "local_base_model_path"})
# The keys that MLflow writes for image classifiers, and `transformers_version`, which it never
# reads. `code` needs trust.
_KNOWN = frozenset(
    {"task", "instance_type", "framework", "pipeline_model_type", "source_model_name"}
    | {"model_binary", "components", "torch_dtype", "transformers_version", "code"}
    | {f"{component}_type" for component in _COMPONENTS}
)
_DTYPES = ("float16", "bfloat16", "float32", "float64")


def expect_known(entry: Mapping[str, Any]) -> None:
    """Raises ModelRefused unless MLflow loads an image classifier from the model's folder alone."""
    if (task := entry.get("task")) != _TASK:
        raise ModelRefused(f"Expected the task {_TASK}, got {quoted(task)}.")
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
    given = {str(key) for key, value in entry.items() if value}
    if elsewhere := sorted(_ELSEWHERE & given):
        raise ModelRefused(
            f"Expected a network whose weights are in the model's folder, got {elsewhere[0]}, "
            "by which MLflow loads another. Log it with save_pretrained=True."
        )
    if unknown := sorted(given - _KNOWN):
        raise ModelRefused(
            f"Expected the keys that MLflow writes for an image classifier under transformers in "
            f"MLmodel, got {few(unknown)}: with it the server may answer otherwise than the "
            "audit. Log the model again without it."
        )
    dtype_of(entry)


def dtype_of(entry: Mapping[str, Any]) -> str | None:
    """The dtype in which MLflow loads the network, such as float16; None if it names none.

    Raises ModelRefused for a dtype in which no audit is made.
    """
    if not (named := entry.get("torch_dtype")):
        return None
    dtype = str(named).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise ModelRefused(
            f"Expected torch_dtype of {', '.join(_DTYPES)} in MLmodel, got {quoted(named)}. Log "
            "the model again in one of them."
        )
    return dtype


def listed_components(entry: Mapping[str, Any]) -> set[str]:
    """The components that MLflow looks for in the folder components."""
    listed = entry.get("components") or []
    names = {name for name in listed if isinstance(name, str)}
    return names | ({"processor"} if entry.get("processor_type") else set())
