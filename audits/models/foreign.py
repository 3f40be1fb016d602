"""Foreign: which models are no image classifiers that are audited, by their MLmodel alone."""

from collections.abc import Mapping
from typing import Any

from mlflow.models import Model

from audits.errors import AuditError, ModelRefused, shortened
from audits.models.flavours.columns import said_by_columns
from audits.models.flavours.registered import preferred
from audits.models.metadata import said_by_metadata
from audits.models.mlmodel import entry_of
from audits.models.pretrained_cfg import said_by_pretrained_cfg
from audits.models.signature import said_by_signature
from audits.models.trust import Trust, expect_trusted_code

_NETWORKS = ("pytorch", "onnx")  # that take images, as a rule
_TABLES = ("sklearn", "lightgbm", "python_function")  # that take rows of a table, as a rule
_ALWAYS_RUN = ("sklearn", "python_function")  # that can run code whatever their files are
_IMAGE_TASKS = ("image-classification", None)
_OWNER_SAYS = ("preprocessing", "pretrained_cfg")  # keys of metadata that only image models have


def expect_auditable(conf: Model) -> None:
    """Raises ModelRefused if MLmodel alone says that no audit takes the model.

    That is a model of another flavour or another task, or one whose input is no image.
    """
    flavour = preferred(conf.flavors).name
    if flavour == "transformers":
        task = entry_of(conf, flavour).get("task")
        if task not in _IMAGE_TASKS:
            raise ModelRefused(
                f"Expected the task image-classification, got {shortened(task)!r}. An audit is for "
                "image classifiers."
            )
        return  # its signature is that of a pipeline: it takes files or URLs
    said_by_signature(conf)
    if flavour in _TABLES:
        said_by_columns(conf)


def why_left_alone(conf: Model) -> str:
    """Why a sweep leaves the model alone, in a few words; "" for an image classifier.

    An image classifier is a network whose signature is one image tensor, (N, H, W) or with
    channels, or that has no signature; or a model whose metadata have `preprocessing`. A table's
    model, of sklearn say, must have either: most tables hold no pixels.
    """
    name = _name(conf.flavors)
    try:
        expect_auditable(conf)
    except ModelRefused:
        task = shortened(entry_of(conf, "transformers").get("task") or "")
        return f"{name} ({task})" if task else _of_other_inputs(name)
    flavour = preferred(conf.flavors).name
    if flavour == "transformers" or any((conf.metadata or {}).get(key) for key in _OWNER_SAYS):
        return ""
    inputs = conf.signature.inputs if conf.signature else None
    if inputs is None:
        return name if flavour in _TABLES else ""
    if not inputs.is_tensor_spec() or len(inputs.inputs[0].shape) not in (3, 4):
        return _of_other_inputs(name)
    return f"{name} that gives no classes" if _gives_pictures(conf) else ""


def expect_not_refused(conf: Model, trust: Trust) -> None:
    """Raises ModelRefused if MLmodel alone says that the model must not or cannot be opened."""
    expect_trusted_code(conf.flavors, trust)
    flavour = preferred(conf.flavors).name
    if flavour in _ALWAYS_RUN and not (trust.by_name or trust.sha256):
        raise ModelRefused(
            f"Expected a model that runs no code, got one of the flavour {flavour}, which can run "
            "any code when loaded. If you trust all who can register models under its name, "
            f"{trust.name_line}."
        )
    metadata = conf.metadata or {}
    if not isinstance(metadata, Mapping):
        raise ModelRefused("Expected a mapping as the model's metadata. Log it again.")
    said_by_metadata(metadata)
    said_by_pretrained_cfg(metadata.get("pretrained_cfg"))


def _name(flavours: Mapping[str, Any]) -> str:
    """The flavour that people know the model by: MLflow adds python_function to most."""
    try:
        return preferred(set(flavours) - {"python_function"}).name
    except AuditError:
        own = sorted(set(flavours) - {"python_function"})
        return shortened(own[0] if own else "python_function")


def _of_other_inputs(name: str) -> str:
    return f"{name} of other inputs" if name in _NETWORKS else name


def _gives_pictures(conf: Model) -> bool:
    """Whether the signature's only output has values at places of the image, as segmentation."""
    outputs = conf.signature.outputs if conf.signature else None
    if outputs is None or not outputs.is_tensor_spec() or len(outputs.inputs) != 1:
        return False
    return any(side != 1 for side in outputs.inputs[0].shape[2:])
