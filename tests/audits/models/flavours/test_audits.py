"""Models of several flavours, registered and audited: their accuracy is what they have themselves.

All learn the digits of scikit-learn. A black box gets performance; checks of fills do not apply.
"""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.artifacts import download_artifacts
from mlflow.models import infer_signature
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from torch import nn

from audits.config.reading import parse_config
from audits.workflows.audit import run_audit

CHECKS = [
    {"kind": "performance"},
    {"kind": "calibration"},
    {"kind": "progressive_fill", "groups": 4, "patch_size": 2, "images": 20},
]
PLAIN = {"range": "0-1"}
CONDITIONS = [
    {"metric": "performance/accuracy", "min": 0.1},
    {"metric": "progressive_fill/accuracy", "min": 0.0},
]


@pytest.fixture(scope="module")
def audited(shared_registry, digits_folder, running_sha256, tmp_path_factory):
    """Registers a model and audits it; returns its evidence by check, and the result."""

    def audit(flavour, model, preprocessing=PLAIN, **arguments):
        with mlflow.start_run():
            info = flavour.log_model(
                model,
                name="model",
                registered_model_name="digits",
                pip_requirements=["mlflow"],
                **arguments,
            )
        uri = f"models:/digits/{info.registered_model_version}"
        config = {
            "model": uri,
            "data": {"kind": "folder", "path": str(digits_folder)},
            "checks": CHECKS,
            "preprocessing": preprocessing,
            "policy": {"conditions": CONDITIONS},
            "trust_pickle_sha256": running_sha256(Path(download_artifacts(uri))),
            "store": str(tmp_path_factory.mktemp("store")),
        }
        result = run_audit(parse_config(config))
        assert result.evaluation.refusal == ""
        return {one.check: one for one in result.evidence}, result

    return audit


def _rows(images):
    return images.reshape(-1, 64).astype(np.float32) / 255


def _fit(model, digits, names=None):
    """The model, and its own accuracy on the audit's images."""
    (images, target), (others, expected) = digits
    labels = np.arange(10) if names is None else np.array(names)
    model.fit(_rows(images), labels[target])
    return model, (model.predict(_rows(others)) == labels[expected]).mean()


def _expect_black_box(found, accuracy):
    evidence, result = found
    assert evidence["performance"].metrics["accuracy"].estimate.value == pytest.approx(accuracy)
    assert evidence["progressive_fill"].status == "not_applicable"
    assert "gradient" in evidence["progressive_fill"].reason
    assert result.verdict.word == "undecided"
    assert [judged.outcome for judged in result.verdict.judgements] == ["passed", "not_judged"]


def _expect_asked_of_mlflow(found):
    told = "MLflow's own server names the same classes"
    assert any(note.startswith(told) for note in found[1].evaluation.notes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LogisticRegression, LinearSVC])
def test_scikit_learn_with_labels_in_another_order(kind, audited, digits, names):
    model, accuracy = _fit(kind(max_iter=500), digits, names)
    found = audited(
        mlflow.sklearn,
        model,
        signature=infer_signature(_rows(digits[0][0])),
        serialization_format="cloudpickle",
    )
    _expect_black_box(found, accuracy)
    performance, calibration = (found[0][check] for check in ("performance", "calibration"))
    if kind is LogisticRegression:
        sure = model.predict_proba(_rows(digits[1][0])).max(1)
        assert calibration.metrics["confidence"].estimate.value == pytest.approx(sure.mean())
        assert np.sort(performance.images["confidence"]) == pytest.approx(np.sort(sure))
    else:  # it gives predictions alone
        assert calibration.status == "not_applicable"
        assert "it needs the model's probabilities" in calibration.sentence
        assert performance.images["confidence"].isna().all()


@pytest.mark.slow
def test_lightgbm(audited, digits, names):
    lightgbm = pytest.importorskip("lightgbm")
    (images, target), (others, expected) = digits
    params = {"objective": "multiclass", "num_class": 10, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(params, lightgbm.Dataset(_rows(images), target), num_boost_round=5)
    found = audited(
        mlflow.lightgbm,
        booster,
        {**PLAIN, "classes": list(names)},
        signature=infer_signature(_rows(images)),
    )
    _expect_black_box(found, (booster.predict(_rows(others)).argmax(1) == expected).mean())
    _expect_asked_of_mlflow(found)


class Named(mlflow.pyfunc.PythonModel):
    """Answers NHWC images with a data frame of labels."""

    def __init__(self, model):
        self.model = model

    def predict(self, context, model_input, params=None):
        rows = np.asarray(model_input).reshape(len(model_input), -1)
        return pd.DataFrame({"label": self.model.predict(rows)})


@pytest.mark.slow
def test_a_pyfunc_that_answers_with_names(audited, digits, names):
    model, accuracy = _fit(LogisticRegression(max_iter=500), digits, names)
    images = _rows(digits[0][0]).reshape(-1, 8, 8, 1)
    found = audited(
        mlflow.pyfunc, None, python_model=Named(model), signature=infer_signature(images)
    )
    _expect_black_box(found, accuracy)


@pytest.mark.slow
def test_onnx_of_scikit_learn(audited, digits, names):
    skl2onnx = pytest.importorskip("skl2onnx")
    model, accuracy = _fit(LogisticRegression(max_iter=500), digits, names)
    exported = skl2onnx.to_onnx(model, _rows(digits[0][0])[:1])
    found = audited(mlflow.onnx, exported)
    _expect_black_box(found, accuracy)
    _expect_asked_of_mlflow(found)


def _torch_net(model):
    linear = nn.Linear(64, 10)
    linear.weight.data = torch.from_numpy(model.coef_.astype(np.float32))
    linear.bias.data = torch.from_numpy(model.intercept_.astype(np.float32))
    return nn.Sequential(nn.Flatten(), linear).eval()


def _expect_fills(found, accuracy):
    _expect_asked_of_mlflow(found)
    evidence, _ = found
    assert evidence["performance"].metrics["accuracy"].estimate.value == pytest.approx(accuracy)
    assert evidence["progressive_fill"].status == "ok"
    return evidence["progressive_fill"].metrics["accuracy"].estimate.value


@pytest.mark.soak
def test_pt2_torchscript_and_onnx_of_one_network_have_the_same_figures(
    audited, digits, names, tmp_path
):
    onnx = pytest.importorskip("onnx")
    model, accuracy = _fit(LogisticRegression(max_iter=500), digits)
    net = _torch_net(model)
    axes, file = {"x": {0: "batch"}}, tmp_path / "net.onnx"
    example = torch.zeros(2, 1, 8, 8)
    torch.onnx.export(net, (example,), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    named = {**PLAIN, "classes": list(names)}
    logged = {"input_example": example.numpy()}
    fills = [
        _expect_fills(found, accuracy)
        for found in (
            audited(mlflow.pytorch, net, named, **logged),
            audited(
                mlflow.pytorch,
                torch.jit.script(net),
                named,
                serialization_format="pickle",
                **logged,
            ),
            audited(mlflow.onnx, onnx.load(str(file)), named),
        )
    ]
    assert fills[0] == fills[1] == pytest.approx(fills[2], abs=0.05)


@pytest.mark.soak
def test_a_pipeline_of_transformers(audited, digits, names):
    """Classes, size and normalisation are the pipeline's; the config names nothing."""
    transformers = pytest.importorskip("transformers")
    (images, target), (others, expected) = digits
    processor = transformers.ViTImageProcessor(
        size={"height": 16, "width": 16}, image_mean=[0.3] * 3, image_std=[0.35] * 3
    )
    net = _trained(transformers, processor, images, target, names)
    pipeline = transformers.pipeline(
        "image-classification", model=net, image_processor=processor, top_k=1
    )
    own = [one[0]["label"] for one in pipeline(_pictures(others))]
    accuracy = (np.array(own) == np.array(names)[expected]).mean()
    assert accuracy > 0.5
    evidence, result = audited(mlflow.transformers, pipeline, {})
    assert result.evaluation.questions == ()
    assert evidence["performance"].metrics["accuracy"].estimate.value == pytest.approx(accuracy)
    assert evidence["progressive_fill"].status == "ok"
    _expect_asked_of_mlflow((evidence, result))


def _pictures(images):
    return [Image.fromarray(image).convert("RGB") for image in images]


def _trained(transformers, processor, images, target, names):
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        num_channels=3,
        embedding_size=16,
        hidden_sizes=[16, 32],
        depths=[1, 1],
        id2label=dict(enumerate(names)),
        label2id={name: n for n, name in enumerate(names)},
    )
    net = transformers.ResNetForImageClassification(config)
    inputs = processor(_pictures(images), return_tensors="pt")["pixel_values"]
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for rows in torch.randperm(len(inputs)).repeat(4).split(60):
        loss = nn.functional.cross_entropy(net(inputs[rows]).logits, torch.tensor(target)[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()
