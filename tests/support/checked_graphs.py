"""A graph of operators as an archive holds it, which need not get tensors that fit."""

import torch
from torch import nn

from audits.models.pt2.raw_kernels import check_kernels


class Calling(nn.Module):
    """Calls an operator with the images and constants."""

    def __init__(self, call, **constants):
        super().__init__()
        self.call = call
        for name, value in constants.items():
            self.register_buffer(name, value)

    def forward(self, images):
        return self.call(images, **dict(self.named_buffers()))


def checked(call, **constants):
    """The network in a graph whose operators look at their tensors."""
    tracer = torch.fx.Tracer()
    net = Calling(call, **constants)
    net = torch.fx.GraphModule(net, tracer.trace(net))
    check_kernels(net)
    return net
