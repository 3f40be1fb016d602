"""Calibration in a whole audit, beside a baseline that gives the same answers."""

import mlflow
import pytest
import torch
from simple_nets import logistic
from torch import nn

from audits import parse_config, run_audit


class _Hotter(nn.Module):
    def __init__(self, factor: float):
        super().__init__()
        self.net = logistic()
        self.factor = factor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.factor * self.net(images)


@pytest.mark.slow
def test_a_model_that_is_less_sure_than_its_baseline_fails_by_the_brier_score(
    register, registry, tmp_path
):
    baseline, _ = register(_Hotter(1.5), "digits")
    uri, _ = register(_Hotter(0.2), "digits")
    config = {
        "model": uri,
        "baseline": baseline,
        "data": {"kind": "digits"},
        "checks": [{"kind": "performance"}, {"kind": "calibration", "bins": 10}],
        "policy": {
            "conditions": [
                {"metric": "performance/accuracy", "max_drop": 0.02},
                {"metric": "calibration/brier", "max_drop": 0.1},
                {"metric": "calibration/ece", "max": 0.1},
            ]
        },
        "store": str(tmp_path / "store"),
    }
    result = run_audit(parse_config(config))
    assert [one.outcome for one in result.verdict.judgements] == ["passed", "failed", "failed"]
    metrics = mlflow.get_run(result.run_id).data.metrics
    assert metrics["calibration/brier_drop"] > 0.3
    page = mlflow.artifacts.load_text(f"runs:/{result.run_id}/report.html")
    assert "it is not sure enough" in page
    assert 'alt="accuracy beside confidence: reliability"' in page
    files = [one.path for one in mlflow.MlflowClient().list_artifacts(result.run_id)]
    assert {"calibration_bins.csv", "performance_classes.csv"} <= set(files)
