"""The order `learned` of sufficient_patches in whole audits: of networks that can be cut or not."""

import mlflow
import pytest
import torch
from simple_nets import logistic
from torch import nn

from audits import parse_config, run_audit

pytestmark = pytest.mark.slow  # gates are trained in the model's process

_CHECK = {
    "kind": "sufficient_patches",
    "order": "learned",
    "images": 30,
    "training_images": 100,
    "patch_size": 7,
    "steps": 20,
}


class _InTwoHalves(nn.Module):
    """The answers of a logistic regression, by a convolution that it can be cut behind."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Conv2d(1, 16, 4, 4)
        self.head = nn.Linear(16 * 49, 10)
        linear = logistic().head
        with torch.no_grad():
            self.places.weight[:] = torch.eye(16).view(16, 1, 4, 4)
            self.places.bias[:] = 1.0  # normalised pixels are -0.9 or more
            weight = linear.weight.view(10, 7, 4, 7, 4).permute(0, 2, 4, 1, 3)
            self.head.weight[:] = weight.reshape(10, -1)
            self.head.bias[:] = linear.bias - linear.weight.sum(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.places(images).relu().flatten(1))


def _config(uri, folder):
    return parse_config(
        {
            "model": uri,
            "data": {"kind": "digits"},
            "checks": [{"kind": "performance"}, _CHECK],
            "policy": {
                "conditions": [
                    {"metric": "performance/accuracy", "min": 0.5},
                    {"metric": "sufficient_patches/coverage", "min": 0.1},
                ]
            },
            "store": str(folder / "store"),
        }
    )


def test_a_registered_pt2_has_learned_gates(register, registry, tmp_path):
    config = _config(register(_InTwoHalves(), "halves")[0], tmp_path)
    result = run_audit(config)
    (found,) = (one for one in result.evidence if one.check == "sufficient_patches")
    assert (found.status, found.reason) == ("ok", "")
    assert set(found.images["order"]) == {2}
    assert len(found.images) == 30
    assert found.metrics["share"].estimate.n > 0
    assert [one.outcome for one in result.verdict.judgements] == ["passed", "passed"]
    metrics = mlflow.get_run(result.run_id).data.metrics
    assert metrics["sufficient_patches/coverage"] == found.metrics["coverage"].estimate.value
    page = mlflow.artifacts.load_text(f"runs:/{result.run_id}/report.html")
    assert found.sentence.split(".")[0] in page


def test_a_network_that_cannot_be_cut_leaves_the_verdict_undecided(register, registry, tmp_path):
    result = run_audit(_config(register(logistic(), "linear")[0], tmp_path))
    (found,) = (one for one in result.evidence if one.check == "sufficient_patches")
    assert (found.status, found.metrics) == ("not_applicable", {})
    assert "cannot be cut, which order: learned needs. Take order: best." in found.reason
    assert result.verdict.word == "undecided"
    assert [one.outcome for one in result.verdict.judgements] == ["passed", "not_judged"]
    page = mlflow.artifacts.load_text(f"runs:/{result.run_id}/report.html")
    assert "cannot be cut, which order: learned needs" in page
