"""Models that have learnt nothing fail the whole audit with the demo's policy."""

from datetime import date

import numpy as np
import pytest
import torch
from nets import Constant

from audits import parse_config, run_audit
from audits.data.sources import Digits, load
from audits.verdict.decide import decide
from flows.demo.network import ResNet
from flows.demo.train import train


def _random_weights():
    torch.manual_seed(0)
    return ResNet()


def _shuffled_labels():
    data = load(Digits(split="train"))
    labels = torch.from_numpy(np.random.default_rng(0).permutation(data.labels))
    images = data.tensor(range(len(data)))
    return train(images, labels, noise=0.5, seed=0, epochs=3, mean=0.3, std=0.35)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [Constant, _random_weights, pytest.param(_shuffled_labels, marks=pytest.mark.soak)]
)
def test_a_dead_model_does_not_pass(make, registry, register, demo_config):
    uri, _ = register(make(), "dead")
    config = parse_config({**demo_config, "model": uri})
    result = run_audit(config)
    metrics = {name: m for e in result.evidence for name, m in e.named_estimates.items()}
    assert [e.status for e in result.evidence] == ["ok"] * 4
    assert result.verdict.word == "failed"
    assert metrics["progressive_fill/accuracy"].high < 0.6
    assert metrics["random_fill/prototype_accuracy"].high < 0.6

    # The model fails even without the condition on plain accuracy.
    conditions = tuple(c for c in config.policy.conditions if c.metric != "performance/accuracy")
    assert len(conditions) == len(config.policy.conditions) - 1
    policy = config.policy.model_copy(update={"conditions": conditions})
    again = decide(policy, result.evidence, date.today(), checks=config.checks)
    assert again.word == "failed"
