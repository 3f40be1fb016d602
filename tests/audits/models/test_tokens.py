"""A network gives tokens if its layers weigh them by each other."""

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v3_small, resnet18
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from audits.data.fit import AS_IT_IS
from audits.models.contract import InputContract
from audits.models.opening import opened


class _PlainAttention(nn.Module):
    """Attention as products and a softmax, as models that do not use torch's function have it."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 4)

    def forward(self, images):
        tokens = self.embed(images).flatten(2).transpose(1, 2)
        weights = (tokens @ tokens.transpose(1, 2)).softmax(2)
        return self.head((weights @ tokens).mean(1))


def _vit():
    return VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=4)


def _swin():
    return SwinTransformer([4, 4], 8, [1, 1], [2, 2], [4, 4], num_classes=4)


def _exported(net):
    example = torch.rand(2, 3, 32, 32)
    batch = {0: torch.export.Dim("batch")}
    return torch.export.export(net.eval(), (example,), dynamic_shapes=(batch,)).module()


def _traced(net):
    # Attention in training and in evaluation are two graphs: a second trace would differ.
    return torch.jit.trace(net.eval(), torch.rand(2, 3, 32, 32), check_trace=False)


@pytest.mark.parametrize(
    ("net", "gives"),
    [
        (_vit, "tokens"),
        (lambda: _exported(_vit()), "tokens"),
        (lambda: _traced(_vit()), "tokens"),
        (_swin, "tokens"),
        (_PlainAttention, "tokens"),
        (lambda: resnet18(num_classes=4), "gradients"),
        (lambda: mobilenet_v3_small(num_classes=4), "gradients"),
        (lambda: nn.Sequential(_PlainAttention(), nn.Softmax(1)), "tokens"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 4), nn.Softmax(1)), "gradients"),
    ],
    ids=["vit", "exported", "traced", "swin", "plain", "resnet", "mobilenet", "softmax", "linear"],
)
def test_only_a_transformer_gives_tokens(net, gives):
    torch.manual_seed(3)
    built = net()
    if not isinstance(built, torch.fx.GraphModule):
        built.eval()
    images = torch.rand(8, 3, 32, 32)
    softmax = isinstance(built, nn.Sequential)
    contract = InputContract(AS_IT_IS, outputs="probabilities" if softmax else "logits")
    assert opened(built, contract, images, 4, 8).gives == gives
