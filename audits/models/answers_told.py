"""The kind of a model's answers (classes, pictures, other numbers) by its signature's outputs."""

from typing import Any

import numpy as np
from mlflow.models import Model
from mlflow.types import DataType

_NUMBERS = (DataType.float, DataType.double)


def gives_classes(conf: Model) -> bool:
    """Whether the answers can be those of a classifier: always, if the signature has no outputs.

    They are two or more numbers, or one integer or text. One float of each image may be a
    probability, but it may be a measure as well.
    """
    outputs = _outputs(conf)
    if not outputs:
        return True
    if hasattr(outputs[0], "shape"):
        return any(map(_has_classes, outputs))
    return len(outputs) > 1 or outputs[0].type not in _NUMBERS


def gives_pictures(conf: Model) -> bool:
    """Whether the only answer has values at places of the image, as segmentation has."""
    outputs = _outputs(conf)
    if len(outputs) != 1 or not hasattr(outputs[0], "shape"):
        return False
    return any(side != 1 for side in outputs[0].shape[2:])


def _has_classes(spec: Any) -> bool:
    """Whether an output tensor is (N, K), K > 1 or free, or has one class of each image."""
    if np.dtype(spec.type).kind != "f":
        return True
    return len(spec.shape) >= 2 and spec.shape[1] != 1


def _outputs(conf: Model) -> list[Any]:
    outputs = conf.signature.outputs if conf.signature else None
    return list(outputs.inputs) if outputs else []
