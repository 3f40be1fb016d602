"""Learned gates: small networks that tell from a network's inside which patches it needs."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fillblanks import masks
from fillblanks.attribution.gates import MOST_MULTIPLIER, log_open_probability, sampled_gate
from fillblanks.attribution.sufficient import divergence
from fillblanks.concepts.states import States

STEPS = 1000
BATCH = 32  # images of a step
_HIDDEN, _LEAST_HIDDEN = 4, 16  # hidden values are a quarter of a patch's, and 16 at least
_OPEN, _SCALE = 8.0, 15.0  # votes are logits in _OPEN - _SCALE to _OPEN + _SCALE
_RATE = 0.002  # of Adam, for gate networks
_MULTIPLIER, _RISE = 20.0, 0.3  # first value of multipliers and rate of Adam, for them
_LEAST_NOISE = 1e-6  # and 1 minus it is the most
_SEEDS = 2**63

Images = Callable[[Tensor], Tensor]
"""Numbers of images, int64 (m,), -> these images in [0, 1] on the network's device (m, C, H, W)."""


class GateNetworks(nn.Module):
    """A network for each layer: its vote on each patch, as the logit of a gate."""

    def __init__(self, widths: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for layer, width in enumerate(widths):
            hidden = max(_LEAST_HIDDEN, width // _HIDDEN)
            first = nn.Linear(width + (widths[0] if layer else 0), hidden)
            last = nn.Linear(hidden, 1)
            nn.init.xavier_uniform_(first.weight, generator=generator)
            # All gates begin open: the constraint would shut out those that begin otherwise.
            for zero in (first.bias, last.weight, last.bias):
                nn.init.zeros_(zero)
            self.layers.append(nn.Sequential(first, nn.Tanh(), last, nn.Tanh()))

    def forward(self, states: list[Tensor]) -> Tensor:
        """The votes (layers, n, P) of the first layers, which have `states`, (n, P, width) each."""
        votes = [
            network(torch.cat([states[0], state], 2) if layer else state)[..., 0]
            for layer, (network, state) in enumerate(zip(self.layers, states, strict=False))
        ]
        return _OPEN + _SCALE * torch.stack(votes)


class LearnedGates(NamedTuple):
    """Gate networks that are trained, and how the training went, step by step."""

    states: States
    networks: GateNetworks
    open: Tensor  # the mean probability that a patch is open, float64 (steps,)
    divergence: Tensor  # of the answers to images behind gates, a mean, in nats: float64 (steps,)
    multiplier: Tensor  # the mean over layers, float64 (steps,)

    def values(self, images: Tensor, chunk: int = 64) -> Tensor:
        """The logarithm of the probability that a patch is open by all votes: float64 (n, P).

        `images` are (n, C, H, W) in [0, 1], on the network's device. One pass an image. A patch
        whose votes are not finite comes last.
        """
        with torch.no_grad():
            votes = [self.networks(self.states(some)[1]) for some in images.split(chunk)]
        found = log_open_probability(torch.cat(votes, 1).double()).sum(0)
        return found.nan_to_num(-torch.inf)


def learned_gates(
    states: States,
    images: Images,
    count: int,
    *,
    blank: Tensor,
    patch_size: int,
    most_divergence: float,
    seed: int,
    steps: int = STEPS,
) -> LearnedGates:
    """Gate networks that are trained on `count` images, which `images` gives by their numbers.

    Each layer of `states` votes on each patch of `patch_size` pixels, and a patch is open if all
    votes are: its gate is the product of theirs (Nalmpantis et al. 2023, arXiv 2304.06391). In each
    of `steps` steps the first layers, a random number of them, vote on 32 images. A pixel is
    gate * image + (1 - gate) * `blank`, float (1, C or 1, 1, 1). Adam goes towards the fewest open
    gates with which the answers have a mean divergence of at most `most_divergence` nats from those
    to the images. Each number of layers has a Lagrange multiplier for this, which rises while the
    constraint is broken (De Cao et al. 2020, arXiv 2004.14992, section 3.2). Gates are those of
    `sampled_gate`. Two passes an image and step, one of them with a gradient. A step with an answer
    that is not finite has no slope.

    The classifier of `states` must be steady, see `Classifier.steady`. `seed` decides the first
    weights, the images of each step and the noise.
    """
    drawn = torch.Generator().manual_seed(seed % _SEEDS)
    classifier, layers = states.classifier, len(states.widths)
    networks = GateNetworks(states.widths, drawn).to(states.where)
    first = torch.full((), _MULTIPLIER, dtype=torch.float64, device=classifier.device)
    multipliers = [first.clone().requires_grad_(True) for _ in range(layers)]
    closing = torch.optim.Adam(networks.parameters(), _RATE)
    rising = torch.optim.Adam(multipliers, _RISE, maximize=True)
    parameters = [*networks.parameters(), *multipliers]
    curve = torch.zeros(3, steps, dtype=torch.float64)
    for step in range(steps):
        given = images(torch.randint(count, (BATCH,), generator=drawn))
        height, width = given.shape[2:]
        voting = int(torch.randint(layers, (), generator=drawn)) + 1
        logits, seen = states(given)
        told = logits.double().log_softmax(1)
        with torch.enable_grad():
            votes = networks(seen[:voting]).double()
            noise = torch.rand(votes.shape, generator=drawn, dtype=torch.float64).to(votes.device)
            gates = sampled_gate(votes, noise.clamp(_LEAST_NOISE, 1 - _LEAST_NOISE)).prod(0)
            pixels = masks.to_pixels(gates, height, width, patch_size).to(given)
            mixed = torch.lerp(blank.expand_as(given), given, pixels)
            far = divergence(told, classifier(mixed).double().log_softmax(1)).mean()
            opened = log_open_probability(votes).sum(0)
            loss = opened.mean() + multipliers[voting - 1] * (far - most_divergence)
            slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
        # Networks and multipliers of other numbers of layers have no slope, and stay.
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = None if slope is None else slope.nan_to_num(0, 0, 0)
        mean = torch.stack(multipliers).mean()
        curve[:, step] = torch.stack([opened.exp().mean(), far, mean]).detach().cpu()
        closing.step()
        rising.step()
        for multiplier in multipliers:
            multiplier.data.clamp_(0, MOST_MULTIPLIER)
    return LearnedGates(states, networks, *curve)
