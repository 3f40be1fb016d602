"""The formats that can be audited, the preferred ones first.

A model is often stored under several flavours; the first of this list that it has is taken. A new
format is one import and one name here.
"""

from collections.abc import Collection, Sequence

from audits.errors import ModelRefused, few
from audits.models.flavours.base import Flavour
from audits.models.flavours.lightgbm import LightGBM
from audits.models.flavours.onnx import Onnx
from audits.models.flavours.pyfunc import PyFunc
from audits.models.flavours.pytorch import PyTorch
from audits.models.flavours.sklearn import Sklearn
from audits.models.flavours.transformers import Transformers

_FLAVOURS: tuple[Flavour, ...] = (
    PyTorch(),
    Transformers(),
    Onnx(),
    Sklearn(),
    LightGBM(),
    PyFunc(),
)


NAMES = tuple(flavour.name for flavour in _FLAVOURS)
"""The names of the formats, the preferred ones first."""


def flavour_named(name: str) -> Flavour:
    """The format of that name. Raises KeyError."""
    return {flavour.name: flavour for flavour in _FLAVOURS}[name]


def preferred(names: Collection[str], served: Sequence[str] = ()) -> Flavour:
    """The format that is taken of those that a model has. Raises ModelRefused if there is none.

    It is the first of `served` that the model has, if `served` has any.
    """
    for name in served or NAMES:
        if name in names:
            return flavour_named(name)
    if served:
        raise ModelRefused(
            f"Expected a model of the flavour that the config's `served` names, {few(served)}, got "
            f"flavours {few(sorted(map(str, names)))}. Correct `served`, or leave it out."
        )
    raise ModelRefused(
        f"Expected a model of MLflow's flavour {' or '.join(NAMES)}, got "
        f"flavours {few(sorted(map(str, names)))}. Log it with mlflow.pytorch.log_model."
    )
