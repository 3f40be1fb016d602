"""MNIST: noise on the inputs shows in the consistency and not in the accuracy."""

import pytest
import torch

from audits import parse_config, run_audit
from audits.data import load
from audits.data.kinds import Torchvision
from flows.demo.train import train

_TRAIN_IMAGES, _AUDITED = 20_000, 200


@pytest.mark.slow
def test_noise_training_is_seen_by_progressive_fill_alone(
    registry, register, data_folder, tmp_path
):
    data = load(Torchvision(dataset="MNIST", root=str(data_folder), split="train"))
    images = data.tensor(range(_TRAIN_IMAGES))
    labels = torch.from_numpy(data.labels[:_TRAIN_IMAGES])
    checks = [
        {"kind": "performance", "images": _AUDITED},
        {"kind": "random_fill", "images": _AUDITED, "samples": 1024, "max_draws": 1536},
        {"kind": "progressive_fill", "images": _AUDITED},
    ]
    metrics = {}
    for noise in (0.0, 0.9):
        net = train(images, labels, noise=noise, seed=0, epochs=3, mean=0.3, std=0.35)
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
        assert [e.status for e in result.evidence] == ["ok"] * 3, result.verdict
        metrics[noise] = {n: m.value for e in result.evidence for n, m in e.named_metrics.items()}
        print(noise, metrics[noise], result.seconds)

    accuracy, consistency = "performance/accuracy", "progressive_fill/accuracy"
    assert min(metrics[noise][accuracy] for noise in metrics) > 0.95
    assert metrics[0.9][consistency] >= 0.88
    assert metrics[0.9][consistency] - metrics[0.0][consistency] >= 0.35
