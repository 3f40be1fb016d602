"""The process of a model reads the masks of its audit, and other masks are another audit."""

import numpy as np
import planned_nets
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from audits import run_audit


@pytest.fixture
def folders(tmp_path):
    """Twenty PNGs of ten digits, and masks that are white where a digit is bright."""
    digits = load_digits()
    for i in range(20):
        name = f"{digits.target[i]}/{i}.png"
        pixels = Image.fromarray((digits.images[i] * 15.9).astype("uint8")).resize((28, 28))
        mask = Image.fromarray(((np.asarray(pixels) > 100) * 255).astype("uint8"))
        for kind, picture in (("data", pixels), ("masks", mask)):
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
            picture.save(tmp_path / kind / name)
    return tmp_path


@pytest.mark.slow
def test_an_audit_reads_masks_in_the_process_of_the_model(folders, config_of, monkeypatch):
    monkeypatch.chdir(folders)
    check = {"kind": "evidence", "draws": 32, "regions": "masks"}
    data = {"kind": "folder", "path": "data"}
    config = config_of(planned_nets.Linear(), [check], pickled=False, data=data)
    first = run_audit(config)
    (evidence,) = first.evidence
    assert evidence.reason == ""
    assert evidence.metrics["inside_share"].estimate.n == 20
    assert evidence.metrics["sanity_correlation"].estimate.n == 20  # an export has weights too
    area = evidence.metrics["inside_share"].null.estimate.value
    Image.new("L", (28, 28), 255).save(folders / "masks" / "0" / "0.png")
    second = run_audit(config)
    assert second.evidence[0].metrics["inside_share"].null.estimate.value > area
    assert second.digest != first.digest


@pytest.mark.slow
def test_sufficient_patches_in_other_masks_are_another_audit(folders, config_of, monkeypatch):
    monkeypatch.chdir(folders)
    check = {"kind": "sufficient_patches", "steps": 5, "regions": "masks"}
    data = {"kind": "folder", "path": "data"}
    config = config_of(planned_nets.Linear(), [check], pickled=False, data=data)
    first = run_audit(config)
    (evidence,) = first.evidence
    assert evidence.reason == ""
    inside = evidence.metrics["share_inside"]
    assert inside.estimate.n == evidence.metrics["share"].estimate.n > 0
    for mask in (folders / "masks").rglob("*.png"):
        Image.new("L", (28, 28), 255).save(mask)
    second = run_audit(config)
    assert second.evidence[0].metrics["share_inside"].estimate.value == 1
    assert second.evidence[0].metrics["share"] == evidence.metrics["share"]
    assert second.digest != first.digest
