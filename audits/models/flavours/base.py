"""Flavour: the base of all formats in which MLflow stores a model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mlflow.models import Model
from torch import nn

from audits.errors import ModelRefused, quoted
from audits.models.carried_names import Carried
from audits.models.contract import Said

PROBABILITIES = ("predict_proba", "predict_log_proba", "predict_joint_log_proba")
"""Functions by which MLflow's server may be told to answer with probabilities (`predict_fn`)."""

AskedByMlflow = Callable[[Sequence[bytes]], list[list[int]]]
"""Gives the logits with the name that MLflow's own server gives to each image file."""


class Flavour(ABC):
    """A format. Everything but `load` runs in the auditing process and loads nothing."""

    name: ClassVar[str]
    """The key under which MLmodel lists the format."""

    reading: ClassVar[int] = 1
    """Raised if this release may answer otherwise than older ones: their measurements are void."""

    pyfunc_keys: ClassVar[tuple[str, ...]] = ("data",)
    """The keys by which the entry python_function leads MLflow to the same data; () if by none."""

    @property
    def digested(self) -> str:
        """The text for the format in the digest of a model."""
        return self.name if self.reading == 1 else f"{self.name} {self.reading}"

    def data(self, folder: Path, conf: Model) -> Path:
        """The file or folder that holds the model, inside `folder`. Raises ModelRefused."""
        return at_top(folder, self.entry(conf).get("model_data", "data"))

    def entry(self, conf: Model) -> dict[str, Any]:
        """The format's own entry in MLmodel."""
        entry = conf.flavors[self.name]
        if not isinstance(entry, dict):
            raise ModelRefused(f"Expected a mapping under flavors.{self.name}, got {entry!r}.")
        return entry

    def parts(self, data: Path) -> list[Path]:
        """The files and folders that hold the model. What MLmodel itself names may be left out.

        By default all of `data`. A flavour whose loader reads only some files of that folder names
        these, so that others are told.
        """
        return [data]

    @abstractmethod
    def running_files(self, data: Path) -> list[Path]:
        """The files that can run any code when they are loaded, so that they need trust."""

    @abstractmethod
    def check(self, data: Path, *, trusted: bool) -> str | None:
        """Raises ModelRefused unless the format's own files are as expected.

        If not `trusted`, nothing in them may run code when they are loaded. Returns the sha256 of
        what is loaded, if that is written anew from the files.
        """

    def said(self, folder: Path, conf: Model) -> Said:
        """The fields of the input contract that the format's own files name."""
        return Said(f"the {self.name} files", {})

    def signed(self, signature: Said, own: Said) -> Said:
        """The fields of the signature as the model gets them from MLflow's server.

        `own` are those of the format's own files.
        """
        return signature

    def beside(self, data: Path) -> tuple[str, ...]:
        """What else the format's own files hold, in words: somebody else may read it."""
        return ()

    def carried(self, folder: Path, conf: Model) -> Carried:
        """Lists of texts in the format's own files, which may name the classes for a server."""
        return ()

    def asked_by_mlflow(self, folder: Path, conf: Model) -> AskedByMlflow | None:
        """MLflow's own server of the model, if it takes image files; else None.

        Runs in the child process alone, and raises whatever MLflow raises.
        """
        return None

    def called_by_mlflow(
        self, folder: Path, conf: Model, net: nn.Module
    ) -> Callable[[np.ndarray], Any] | None:
        """`net` as MLflow's own server calls it, if that takes arrays; else None.

        It takes and gives what `net` does. Nothing is unpickled again. Runs in the child process
        alone, and raises whatever MLflow raises.
        """
        return None

    @abstractmethod
    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        """The network, on `device`. Runs in the child process alone. Raises ModelRefused."""


def expect_file(data: Path) -> None:
    """Raises ModelRefused unless the model is a single file."""
    if not data.is_file():
        raise ModelRefused(f"Expected a file with the model, got the folder {data.name!r}.")


def inside(folder: Path, name: object) -> Path:
    """The path `name` in a model's folder. Raises ModelRefused if it is not there."""
    path = (folder / str(name)).resolve()
    if not path.exists() or folder.resolve() not in path.parents:
        raise ModelRefused(f"Expected the model's data inside its folder, got {path.name!r}.")
    return path


def at_top(folder: Path, name: object) -> Path:
    """As `inside`, for data at the top of the folder: MLflow's loaders read an MLmodel beside."""
    path = inside(folder, name)
    if path.parent != folder.resolve():
        raise ModelRefused(
            f"Expected the model's data at the top of its folder, got {quoted(str(name))}. Log the "
            "model again."
        )
    return path
