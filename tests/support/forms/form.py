"""Form: one way in which a classifier is registered, and what an audit must make of it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import mlflow
import numpy as np
from PIL import Image
from torch import Tensor, nn

from forms.owner import NAMES, Owner, arrays, paths

IMAGES = mlflow.models.ModelSignature(
    mlflow.types.Schema([mlflow.types.TensorSpec(np.dtype(np.float32), (-1, 3, 32, 32))])
)
KNOWN = {"classes": list(NAMES), "preprocessing": {"range": "0-1"}}


def _same(image: np.ndarray) -> np.ndarray:
    return image


Labelled = tuple[Path, np.ndarray]
"""An image and its path below the data set: the class and the name of the file."""


def write_folders(folder: Path, images: Sequence[Labelled]) -> Path:
    """Writes the images as PNGs, one folder a class; returns `folder`."""
    for path, image in images:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return folder


def _owners_answers(owner: Owner) -> Tensor:
    return owner.answers()


@dataclass(frozen=True)
class Form:
    """One row of the table.

    `log` registers the model under the name that it is given. `config` holds the lines that the
    audit's config needs besides model, data and checks; `asked` matches the line that asks for them
    if they are left out. `refused` matches the one line that is given in place of an audit. Without
    it the audit must give every image the class of the largest of `answers`.
    """

    name: str
    log: Callable[[Owner, str], None]
    config: dict[str, Any] = field(default_factory=dict)
    asked: str = ""
    refused: str = ""
    answers: Callable[[Owner], Tensor] = _owners_answers  # scores (80, K) of the test images
    folders: tuple[str, ...] = NAMES  # names of the folders of images, by label
    shown: tuple[str, ...] = NAMES  # names of the classes in the audit, by label
    kept: Collection[int] = range(10)  # labels of the images that are there
    picture: Callable[[np.ndarray], np.ndarray] = _same  # uint8 (32, 32, 3) to the saved one
    write: Callable[[Path, Sequence[Labelled]], Path] = write_folders
    data: dict[str, Any] = field(default_factory=lambda: {"kind": "folder"})
    fills: Literal["ok", "not_applicable"] = "ok"
    trusted: bool = True  # whether the auditor trusts the name, for models that run code
    package: str = ""  # that the form needs; the test is skipped without it

    def write_images(self, folder: Path) -> Path:
        """Writes the images into `folder`; returns the path of the data set."""
        _, images, _, _ = arrays()
        found = paths(self.folders, self.kept)
        return self.write(folder, [(path, self.picture(images[i])) for i, path in found])

    def predicted(self, owner: Owner) -> list[str]:
        """The names that the owner's model gives to the images, in the order of their paths."""
        best = self.answers(owner).argmax(1)
        return [self.shown[best[i]] for i, _ in paths(self.folders, self.kept)]


def log_torch(
    net: nn.Module,
    name: str,
    *,
    pickled: bool = False,
    training: bool = False,
    example: np.ndarray | None = None,
    metadata: dict[str, Any] | None = KNOWN,
    **arguments: Any,
) -> None:
    """Registers a network as MLflow's pytorch flavour does; by default of two images 3x32x32."""
    net.train(training)
    if example is None and not pickled:
        example = np.zeros((2, 3, 32, 32), np.float32)
    with mlflow.start_run():
        mlflow.pytorch.log_model(
            net,
            name="model",
            input_example=example,
            metadata=metadata,
            pip_requirements=["torch"],
            registered_model_name=name,
            serialization_format="pickle" if pickled else "pt2",
            **arguments,
        )


def preprocessing(**fields: Any) -> dict[str, Any]:
    """The lines of a config that name fields of the input contract."""
    return {"preprocessing": fields}
