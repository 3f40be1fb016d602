"""On MNIST, training with noise shows in the consistency and not in the accuracy."""

import pytest
import torch

from audits import parse_config, run_audit
from audits.data.sources import Torchvision, load
from flows.demo.train import train

_TRAIN_IMAGES, _AUDITED = 10_000, 200
_FILLED = 1000  # progressive fill is cheap, and more images leave less to chance


@pytest.mark.soak
def test_noise_training_is_seen_by_progressive_fill(registry, register, data_folder, tmp_path):
    data = load(Torchvision(dataset="MNIST", root=str(data_folder), split="train"))
    images = data.tensor(range(_TRAIN_IMAGES))
    labels = torch.from_numpy(data.labels[:_TRAIN_IMAGES])
    checks = [
        {"kind": "performance", "images": _AUDITED},
        {"kind": "progressive_fill", "images": _FILLED},
    ]
    metrics = {}
    for noise in (0.0, 2.0):
        net = train(images, labels, noise=noise, seed=0, epochs=6, mean=0.3, std=0.35)
        uri, _ = register(net, "mnist")
        result = run_audit(
            parse_config(
                {
                    "model": uri,
                    "data": {"kind": "torchvision", "dataset": "MNIST", "root": str(data_folder)},
                    "checks": checks,
                    "store": str(tmp_path / "store"),
                }
            )
        )
        assert [e.status for e in result.evidence] == ["ok"] * 2, result.verdict
        metrics[noise] = {n: m.value for e in result.evidence for n, m in e.named_estimates.items()}

    assert min(metrics[noise]["performance/accuracy"] for noise in metrics) > 0.95
    # `agreement` is the paper's figure; `accuracy` also asks for the true class.
    assert metrics[2.0]["progressive_fill/agreement"] >= 0.88
    for figure in ("agreement", "accuracy"):
        name = f"progressive_fill/{figure}"
        assert metrics[2.0][name] - metrics[0.0][name] >= 0.35
