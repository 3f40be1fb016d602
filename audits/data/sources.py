"""The kinds of data set that a config can name. A new kind is a file in `kinds` and a line here."""

from typing import Annotated, get_args

from pydantic import Field

from audits.data.built import DataKind
from audits.data.imageset import ImageSet
from audits.data.kinds.digits import Digits
from audits.data.kinds.folder import Folder
from audits.data.kinds.huggingface import HuggingFace
from audits.data.kinds.mlflow_dataset import MlflowDataset
from audits.data.kinds.npz import Npz
from audits.data.kinds.of_torchvision import Torchvision
from audits.data.kinds.table import Csv, Table
from audits.data.sample import sampled

AnyData = Annotated[
    Digits | Torchvision | Folder | Npz | Csv | Table | HuggingFace | MlflowDataset,
    Field(discriminator="kind"),
]

__all__ = [
    "AnyData",
    "Csv",
    "Digits",
    "Folder",
    "HuggingFace",
    "MlflowDataset",
    "Npz",
    "Table",
    "Torchvision",
    "comes_with_a_library",
    "load",
]


def load(config: DataKind) -> ImageSet:
    """Reads the data set that a config describes, or its secret sample of it.

    Raises AuditError if the two do not agree.
    """
    return sampled(config.load(), config)


def comes_with_a_library(kind: object) -> bool:
    """Whether data of this kind come with a library: no field names a file, folder or server."""
    kinds = get_args(get_args(AnyData)[0])
    return kind in [one.model_fields["kind"].default for one in kinds if one.comes_with_a_library]
