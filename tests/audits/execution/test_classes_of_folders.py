"""Folders of images and models whose classes are named otherwise, measured end to end."""

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image
from sessions import open_session
from torch import nn

from audits import AuditError, parse_config
from audits.data import sources
from audits.execution.inputs import AuditInputs
from audits.models import registry


def _net(classes):
    """A network that tells `classes` shades of grey apart, without an error."""
    shades = torch.arange(classes) / classes
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, classes)).eval()
    with torch.no_grad():
        net[1].weight.copy_(1000 * 2 * shades[:, None].expand(-1, 64) / 64)
        net[1].bias.copy_(-1000 * shades**2)
    return net


@pytest.fixture(scope="module")
def models(shared_registry):
    """URIs of models by their number of logits and whether their metadata names them."""
    found = {}
    for classes, named in ((12, False), (10, True), (2, False)):
        metadata = {"mean": [0.0], "std": [1.0]}
        if named:
            metadata["classes"] = [f"Shade {i}" for i in range(classes)]
        with mlflow.start_run():
            logged = mlflow.pytorch.log_model(
                _net(classes),
                name="model",
                input_example=np.zeros((2, 1, 8, 8), np.float32),
                metadata=metadata,
                pip_requirements=["torch"],
                registered_model_name=f"shades-{classes}",
            )
        found[classes] = f"models:/shades-{classes}/{logged.registered_model_version}"
    return found


def _folders(root, shades):
    """A folder for each name, with three images of its shade."""
    for name, shade in shades.items():
        (root / name).mkdir(parents=True)
        for i in range(3):
            pixels = np.full((8, 8), round(255 * shade), np.uint8)
            pixels[0, 0] = i
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def _config(model, folder, **values):
    data = {"kind": "folder", "path": str(folder)}
    checks = [{"kind": "performance"}]
    return parse_config({"model": model, "data": data, "checks": checks, "device": "cpu", **values})


def _measured(config):
    """The estimates of the performance, and the inputs' notes."""
    with open_session(config) as session:
        (check,) = session.config.checks
        for unit in session.units(check):
            session.measure(check, unit)
        return session.conclude(check).estimates, session.inputs


@pytest.mark.slow
def test_folders_of_numbers_are_indices_of_nameless_logits(models, tmp_path):
    folder = _folders(tmp_path / "data", {str(i): i / 12 for i in range(12)})
    found, inputs = _measured(_config(models[12], folder))
    assert {name: e.value for name, e in found.items()} == dict.fromkeys(found, 1.0)
    assert inputs.questions == ()


def test_two_of_ten_classes_have_the_f1_of_two(models, tmp_path):
    folder = _folders(tmp_path / "data", {"shade_3": 0.3, "SHADE-8": 0.8})
    found, inputs = _measured(_config(models[10], folder))
    assert {name: e.value for name, e in found.items()} == dict.fromkeys(found, 1.0)
    told = " ".join(inputs.notes)
    assert "8 of 10 classes have no image and are in no average: Shade 0, Shade 1" in told
    assert "'SHADE-8' is 'Shade 8'" in told


def test_a_class_map_feeds_the_labels(models, tmp_path):
    folder = _folders(tmp_path / "data", {"dark": 1 / 12, "light": 11 / 12})
    preprocessing = {"class_map": {"dark": 1, "light": 11}}
    found, inputs = _measured(_config(models[12], folder, preprocessing=preprocessing))
    assert found["accuracy"].value == found["f1_macro"].value == 1
    assert inputs.questions == ()


@pytest.mark.slow
def test_a_classes_file_names_the_logits(models, tmp_path):
    folder = _folders(tmp_path / "data", {"dark": 0.0, "light": 0.5})
    (tmp_path / "names.txt").write_text("dark\nlight\n")
    preprocessing = {"classes_file": str(tmp_path / "names.txt")}
    found, inputs = _measured(_config(models[2], folder, preprocessing=preprocessing))
    assert found["accuracy"].value == 1
    assert inputs.questions == ()
    (tmp_path / "names.txt").write_text("light\ndark\n")
    found, _ = _measured(_config(models[2], folder, preprocessing=preprocessing))
    assert found["accuracy"].value == 0


def _opened(config):
    return AuditInputs(config, registry.resolve(config.model), sources.load(config.data))


def test_an_order_that_nobody_names_is_a_question(models, tmp_path):
    folder = _folders(tmp_path / "data", {"dark": 0.0, "light": 0.5})
    with _opened(_config(models[2], folder)) as inputs:
        (question,) = inputs.questions
        assert question.endswith("preprocessing.classes: [dark, light]")
        assert any("in this order: dark, light" in note for note in inputs.notes)


@pytest.mark.parametrize("logits", [2, 10])
def test_splits_are_not_taken_for_the_two_classes(logits, models, tmp_path):
    folder = _folders(tmp_path / "pets", {"train": 0.0, "val": 0.5})
    message = r"got train, val, which look like splits\. Set data\.split: val\."
    with pytest.raises(AuditError, match=message), _opened(_config(models[logits], folder)):
        pass
