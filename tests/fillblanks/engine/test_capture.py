"""A captured plan (CUDA graph) is refused on the CPU and gives the same answer on a GPU."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fillblanks import (
    Classifier,
    Plan,
    expected_fill,
    progressive_fill,
    tune,
)

NORMALISATION = {"mean": 0.5, "std": 0.1}
INDICES = torch.tensor([4, 0, 70_000])
MASKS = {"patch_size": 4, "seed": 3, "indices": INDICES}
EXPECTED = {**MASKS, "mask_ratio": 0.4, "samples": 8, "max_draws": 24}
PROGRESSIVE = {**MASKS, "groups": 3}
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; there is none")


def test_a_captured_plan_is_refused_on_the_cpu(pictures):
    classifier = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)))
    images = pictures(3, 1, 8, 8)
    for refused in (
        lambda: expected_fill(classifier, images, plan=Plan(4, captured=True)),
        lambda: progressive_fill(classifier, images, plan=Plan(4, captured=True)),
        lambda: tune(classifier, images, fixed={"captured": True}),
    ):
        with pytest.raises(ValueError, match="a network on a GPU for a captured plan, got one on"):
            refused()


@ON_GPU
@pytest.mark.parametrize("precision", ["full", "mixed", "bfloat16"])
def test_a_captured_plan_gives_what_the_same_plan_gives_without(same, network, pictures, precision):
    classifier = Classifier(network(3, dtype=torch.float32).cuda(), **NORMALISATION)
    images, plan = pictures(3, 3, dtype=torch.float32), Plan(16, 64, precision, fused=True)
    plain = expected_fill(classifier, images, plan=plan, **EXPECTED)
    captured = replace(plan, captured=True)
    fill = expected_fill(classifier, images, plan=captured, **EXPECTED)
    same(expected_fill(classifier, images, plan=captured, **EXPECTED), fill)
    assert torch.equal(fill.accepted, plain.accepted)
    torch.testing.assert_close(fill.update, plain.update, rtol=1e-2, atol=1e-4)
    same(
        progressive_fill(classifier, images, plan=captured, **PROGRESSIVE),
        progressive_fill(classifier, images, plan=plan, **PROGRESSIVE),
        1e-5,
    )
