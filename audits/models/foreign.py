"""Foreign: which models are no image classifiers that are audited, by their MLmodel alone.

In all functions `served` are the flavours that the config's `served` names.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mlflow.models import Model

from audits.errors import AuditError, ModelRefused, shortened
from audits.models.answers_told import gives_classes, gives_pictures
from audits.models.flavours.columns import said_by_columns
from audits.models.flavours.registered import preferred
from audits.models.metadata import said_by_metadata
from audits.models.mlmodel import entry_of, refusing_nonsense
from audits.models.pretrained_cfg import said_by_pretrained_cfg
from audits.models.signature import said_by_signature
from audits.models.trust import Trust, expect_trusted_code

_NETWORKS = ("pytorch", "onnx")  # that take images, as a rule
_TABLES = ("sklearn", "lightgbm", "python_function")  # that take rows of a table, as a rule
_ALWAYS_RUN = ("sklearn", "python_function")  # that can run code whatever their files are
_IMAGE_TASKS = ("image-classification", None)
_OWNER_SAYS = ("preprocessing", "pretrained_cfg")  # keys of metadata that only image models have
_SMALLEST = 8  # pixels, of a side: fewer are features or time steps


@refusing_nonsense()
def expect_auditable(conf: Model, served: Sequence[str] = ()) -> None:
    """Raises ModelRefused if MLmodel alone says that no audit takes the model.

    That is a model of another flavour or another task, or one whose input is no image.
    """
    _expect_auditable(conf, served)


def _expect_auditable(conf: Model, served: Sequence[str]) -> None:
    flavour = _taken(conf.flavors, served)
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


@refusing_nonsense()
def why_left_alone(conf: Model, served: Sequence[str] = (), *, named: bool = False) -> str:
    """Why a sweep leaves the model alone, in a few words; "" for an image classifier.

    An image classifier is a model whose signature has one image tensor as input and, if it has
    outputs, two or more logits; or a model whose metadata have `preprocessing`. If it is `named`,
    because the sweep is of the versions of one registered model alone, whatever an audit takes is
    an image classifier, unless it gives pictures. Raises ModelRefused for values without sense.
    """
    name = _name(conf.flavors)
    try:
        _expect_auditable(conf, served)
    except ModelRefused:
        task = shortened(entry_of(conf, "transformers").get("task") or "")
        return f"{name} ({task})" if task else _of_other_inputs(name)
    flavour = _taken(conf.flavors, served)
    metadata = conf.metadata or {}
    if any(metadata.get(key) for key in _OWNER_SAYS):
        return ""
    if flavour == "transformers":
        told = named or entry_of(conf, flavour).get("task")
        return "" if told else f"{name} without a task"
    if gives_pictures(conf):
        return f"{name} that gives no classes"
    if named:
        return ""
    inputs = conf.signature.inputs if conf.signature else None
    has_classes = bool(metadata.get("classes"))
    if inputs is None:
        if flavour in _TABLES:
            return name
        return "" if has_classes else f"{name} without a signature"
    if not inputs.is_tensor_spec() or not _takes_images(conf):
        return _of_other_inputs(name)
    return "" if has_classes or gives_classes(conf) else f"{name} that gives no classes"


@refusing_nonsense()
def expect_not_refused(conf: Model, trust: Trust, served: Sequence[str] = ()) -> None:
    """Raises ModelRefused if MLmodel alone says that the model must not or cannot be opened."""
    expect_trusted_code(conf.flavors, trust)
    flavour = preferred(conf.flavors, served).name
    if flavour in _ALWAYS_RUN and not (trust.by_name or trust.sha256):
        raise ModelRefused(
            f"Expected a model that runs no code, got one of the flavour {flavour}, which can run "
            "any code when loaded. If you trust all who can register models under its name, "
            f"{trust.name_line}."
        )
    metadata = conf.metadata or {}
    said_by_metadata(metadata)
    said_by_pretrained_cfg(metadata.get("pretrained_cfg"))


def _taken(flavours: Mapping[str, Any], served: Sequence[str]) -> str:
    """The flavour that tells what the model is. Raises ModelRefused if it has none that is known.

    A model without a served flavour may be an image classifier all the same: one that is refused.
    """
    return preferred(flavours, [name for name in served if name in flavours]).name


def _takes_images(conf: Model) -> bool:
    """Whether the signature's only input, a tensor, is one of images and of nothing else.

    (N, C, H, W) and (N, H, W, C) have 1 or 3 channels. (N, H, W) may be sequences of vectors or
    series in time: bytes are grey images, and so are squares.
    """
    said = said_by_signature(conf).values
    if said.get("layout") == "flat" or said.get("channels") is None:
        return False
    height, width = said["height"], said["width"]
    if any(side is not None and side < _SMALLEST for side in (height, width)):
        return False
    return said["layout"] != "NHW" or said["dtype"] == "uint8" or None is not height == width


def _name(flavours: Mapping[str, Any]) -> str:
    """The flavour that people know the model by: MLflow adds python_function to most."""
    try:
        return preferred(set(flavours) - {"python_function"}).name
    except AuditError:
        own = sorted(set(flavours) - {"python_function"})
        return shortened(own[0] if own else "python_function")


def _of_other_inputs(name: str) -> str:
    return f"{name} of other inputs" if name in _NETWORKS else name
