"""Sums of logits from which cross-entropy gets its direction."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def loss_weights(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Weights (2, N, K) of sums of logits, along which cross-entropy has its gradient.

    For a class y it is that of logit y less the others, weighted by their probabilities among
    themselves. y is the first class, and then another one at random. A sum with weights for all
    classes alike would tell most about logits that change most, which the loss may never see. A
    network of one logit has that alone.
    """
    count = logits.shape[1]
    if count == 1:
        return torch.ones((2, *logits.shape), dtype=torch.float64, device=logits.device)
    first = logits.argmax(1)
    further = torch.randint(1, count, (len(logits),), generator=generator).to(first.device)
    found = []
    for asked in (first, (first + further) % count):
        own = functional.one_hot(asked, count).double()
        others = logits.double().masked_fill(own.bool(), -math.inf).softmax(1)
        found.append(own - others)
    return torch.stack(found)
