"""Folders of models in which the archive is no file, is another, or changes after it was read."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
import yaml
from attacks import ATTACKS
from crafting import Pooled, crafted

from audits.errors import AuditError, ModelRefused
from audits.models.files import inspect
from audits.models.loading import load
from audits.models.preprocessing import Preprocessing

_METADATA = {"mean": [0.5], "std": [0.5], "classes": list("abcde")}
_ARCHIVE = "data/model.pt2"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    torch.manual_seed(0)
    mlflow.pytorch.save_model(
        Pooled().eval(),
        str(folder),
        input_example=np.zeros((2, 3, 9, 9), np.float32),
        metadata=_METADATA,
        pip_requirements=["torch"],
        serialization_format="pt2",
    )
    return folder


@pytest.fixture
def folder(saved, tmp_path, monkeypatch):
    """A copy of a saved model. The variables that loading sets are put back afterwards."""
    for name in ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_ALLOW_MODEL_CODE_EXECUTION"):
        monkeypatch.setenv(name, "false")
    return Path(shutil.copytree(saved, tmp_path / "model"))


def _pipe(folder: Path) -> None:
    (folder / _ARCHIVE).unlink()
    os.mkfifo(folder / _ARCHIVE)


def _device(folder: Path) -> None:
    (folder / _ARCHIVE).unlink()
    (folder / _ARCHIVE).symlink_to("/dev/zero")


def _folder(folder: Path) -> None:
    (folder / _ARCHIVE).unlink()
    (folder / _ARCHIVE).mkdir()


def _nowhere(folder: Path) -> None:
    (folder / _ARCHIVE).unlink()
    (folder / _ARCHIVE).symlink_to(folder / "none")


def _edited(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "MLmodel"
        conf = yaml.safe_load(file.read_text())
        conf["flavors"]["pytorch"] |= changes
        file.write_text(yaml.safe_dump(conf))

    return change


def _pickle_beside(folder: Path) -> None:
    (folder / "data" / "model.pth").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")


@pytest.mark.parametrize(
    "change",
    [
        _pipe,
        _device,
        _folder,
        _nowhere,
        _pickle_beside,
        _edited(model_data="../.."),
        _edited(model_data="/etc"),
        _edited(code="code"),
        _edited(model_data={"a": 1}),
    ],
)
def test_a_folder_that_is_not_as_it_was_saved_is_refused(change, folder):
    change(folder)
    with pytest.raises(AuditError) as refused:
        inspect(folder, Preprocessing())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("attack", [one for one in ATTACKS if one.live], ids=str)
def test_an_archive_that_changes_after_the_inspection_runs_nothing(attack, folder, tmp_path):
    files, canary = inspect(folder, Preprocessing()), tmp_path / "canary"
    crafted(folder / _ARCHIVE, canary, attack.change, folder / _ARCHIVE)
    with pytest.raises(ModelRefused) as refused:
        load(files, "cpu", list("abcde"))(torch.zeros(2, 3, 9, 9))
    assert not canary.exists()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("change", [_pipe, _device, _folder, _pickle_beside])
def test_a_folder_that_changes_after_the_inspection_is_refused(change, folder):
    files = inspect(folder, Preprocessing())
    change(folder)
    with pytest.raises(ModelRefused) as refused:
        load(files, "cpu", list("abcde"))
    assert "\n" not in str(refused.value)
