"""A network with batch normalisation is exported for a GPU, in batches of any size."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from fillblanks.engine.graph import exported


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="torch knows no GPU here")
def test_batch_norm_is_exported_for_a_gpu():
    # Fake tensors are on a GPU that need not be there: torch chooses operations as if it was.
    with FakeTensorMode():
        layers = [nn.Conv2d(3, 4, 3, device="cuda"), nn.BatchNorm2d(4, device="cuda"), nn.ReLU()]
        net = nn.Sequential(*layers).eval()
        example = torch.zeros(4, 3, 8, 8, device="cuda")
    (batch,) = exported(net, example).range_constraints.values()
    assert batch.lower <= 1
    assert batch.upper == 65_535
