"""A ScriptModule that mlflow.pytorch logged: a zip of TorchScript under the name of a pickle."""

import zipfile

import mlflow
import numpy as np
import pytest
import torch
from torch import nn

from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(144, 10)
    ).eval()


def _save(scripted, folder):
    mlflow.pytorch.save_model(
        scripted,
        str(folder),
        input_example=np.zeros((2, 1, 8, 8), np.float32),
        pip_requirements=["torch"],
        serialization_format="pickle",
    )
    return folder


@pytest.mark.parametrize("how", ["script", "trace"])
def test_it_needs_trust_and_has_the_gradients_of_the_network(how, net, tmp_path, loaded, inspected):
    example = torch.rand(2, 1, 8, 8)
    scripted = torch.jit.script(net) if how == "script" else torch.jit.trace(net, example)
    folder = _save(scripted, tmp_path / "model")
    assert "code" in {name.split("/")[1] for name in _names(folder)}
    with pytest.raises(ModelRefused, match="can run any code"):
        inspect(folder, Preprocessing())
    script = loaded(inspected(folder))
    assert isinstance(script, torch.jit.ScriptModule)
    assert not script.training
    for rows in (2, 3, 5, 3):  # TorchScript optimises its graph after the first runs
        images = torch.rand(rows, 1, 8, 8, requires_grad=True)
        torch.testing.assert_close(script(images), net(images))
        (gradient,) = torch.autograd.grad(script(images)[:, 0].sum(), images)
        (expected,) = torch.autograd.grad(net(images)[:, 0].sum(), images)
        torch.testing.assert_close(gradient, expected)


def _names(folder):
    with zipfile.ZipFile(folder / "data" / "model.pth") as archive:
        return archive.namelist()


class Writes(nn.Module):
    def __init__(self, file: str):
        super().__init__()
        self.file = file

    def forward(self, x):
        torch.save(x, self.file)
        return x.flatten(1)


def test_trust_is_asked_for_because_torchscript_can_write_files(tmp_path):
    """If torch ever forbids this, TorchScript may deserve more trust than a pickle."""
    written = tmp_path / "written.pt"
    torch.jit.script(Writes(str(written))).save(str(tmp_path / "script.pt"))
    torch.jit.load(str(tmp_path / "script.pt"))(torch.ones(1, 2))
    assert written.exists()
