"""A Plan refuses wrong values, can be halved, and has a default for each image shape."""

from dataclasses import replace

import pytest

from fillblanks import (
    Plan,
    default_plan,
)
from fillblanks.engine.plan import with_fixed


def test_a_plan_says_what_is_wrong_with_it():
    for wrong, said in (
        ({"chunk": 0}, "Expected chunk >= 1, got 0."),
        ({"chunk": 4, "block": -1}, "Expected block >= 0, got -1."),
        ({"chunk": 4, "precision": "half"}, "float64, full, mixed, bfloat16, got 'half'."),
        ({"chunk": 4, "memory_format": "rows"}, "contiguous, channels_last, got 'rows'."),
    ):
        with pytest.raises(ValueError, match=said):
            Plan(**wrong)


def test_a_plan_is_halved_down_to_one_image():
    plan = Plan(5, 30, "bfloat16", fused=True)
    assert plan.halved() == replace(plan, chunk=2, block=15)
    assert Plan(1).halved() == Plan(1)
    assert Plan(4).block == 4
    assert str(plan) == "bfloat16, contiguous, fused; 5 images in a pass, 30 in a block"


@pytest.mark.parametrize(
    "shape", [(1, 1, 2), (1, 28, 28), (3, 32, 32), (3, 224, 224), (3, 4096, 4096)]
)
def test_a_default_plan_takes_the_network_as_it_is_in_whole_chunks(shape):
    plan = default_plan(*shape)
    assert replace(plan, chunk=1, block=1) == Plan(1)
    assert 4 <= plan.chunk <= 256
    assert plan.block % plan.chunk == 0
    assert with_fixed(plan, {}, shape) == plan
    fixed = with_fixed(plan, {"chunk": 8, "fused": True}, shape)
    assert (fixed.chunk, fixed.fused, fixed.block % 8) == (8, True, 0)
    assert with_fixed(plan, {"block": 3}, shape) == replace(plan, block=3)
