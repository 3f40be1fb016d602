"""What stands in a blank of 4x4 pixels: proven, broken or undecided, for two networks of MNIST.

python benchmarks/blanks.py [images] [blanks] prints the table of docs/blanks.md.
"""

import sys
import time

import numpy as np
import torch
from networks import mnist
from torch import Tensor, nn
from torch.nn import functional

from audits.evidence.estimate import Estimate
from audits.evidence.intervals import bounded_mean
from fillblanks import Classifier
from fillblanks.bounds.attack import Cases, pgd, random_fills
from fillblanks.bounds.lipschitz import lipschitz
from fillblanks.bounds.prover import Prover
from fillblanks.masks import to_pixels

_SIDE, _SIZE, _TRAINED, _EPOCHS = 28, 4, 20_000, 3
_STEPS, _RESTARTS, _OPTIMISED = 20, 4, 20
_NOISE = 0.5  # largest standard deviation of the noise on inputs in [0, 1]


def trained(noise: float) -> nn.Sequential:
    """The network of the prototype: two convolutions and two linear layers, 4,804 ReLUs."""
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 49, 100), nn.ReLU(), nn.Linear(100, 10)),
    )
    images, labels = mnist(_TRAINED, train=True)
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(images)).split(128):
            strength = noise * torch.rand(len(rows), 1, 1, 1)
            given = (images[rows] + strength * torch.randn_like(images[rows])).clamp(0, 1)
            optimiser.zero_grad()
            functional.cross_entropy(net((given - 0.1307) / 0.3081), labels[rows]).backward()
            optimiser.step()
    return net.eval()


def cases(classifier: Classifier, images: Tensor, count: int) -> Cases:
    """Each image with `count` of its 49 blanks at random."""
    order = torch.rand(len(images), 49, generator=torch.Generator().manual_seed(0)).argsort(1)
    number = order[:, :count].flatten()
    return Cases(
        images.repeat_interleave(count, 0),
        to_pixels(functional.one_hot(number, 49).bool(), _SIDE, _SIDE, _SIZE),
        classifier.predict(images).repeat_interleave(count),
        torch.arange(len(images)).repeat_interleave(count),
        number,
    )


def row(name: str, noise: float, images: Tensor, labels: Tensor, count: int) -> str:
    """One line of the table."""
    classifier = Classifier(trained(noise), mean=0.1307, std=0.3081)
    accuracy = (classifier.predict(images) == labels).float().mean()
    given = cases(classifier, images[: int(sys.argv[1]) if len(sys.argv) > 1 else 25], count)
    sampled = random_fills(classifier, given, tries=_RESTARTS * (_STEPS + 1))
    worst = pgd(classifier, given, steps=_STEPS, restarts=_RESTARTS, start=sampled)
    prover = Prover(classifier, images[:2])
    began, bounds = time.process_time(), []
    for one in range(len(given)):
        arguments = given.images[one], given.blanks[one], int(given.answers[one])
        bounds.append(prover.margin(*arguments, steps=_OPTIMISED))
    seconds = (time.process_time() - began) / len(given)
    broken = (worst.read != given.answers).numpy()
    ibp, crown, best = (np.array(column) > 0 for column in zip(*bounds, strict=True))
    assert not (best & broken).any()
    shares = (
        ibp,
        crown,
        best,
        broken,
        (sampled.read != given.answers).numpy(),
        ~best & ~broken,
    )
    told = (_told(bounded_mean(share.reshape(-1, count).mean(1))) for share in shares)
    constant = lipschitz(prover.program)
    return f"| {name} | {accuracy:.3f} | {' | '.join(told)} | {seconds:.2f} | {constant:.0f} |"


def _told(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def main() -> None:
    images, labels = mnist(1000)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    print(
        "| training | accuracy | IBP | CROWN | with optimised slopes | broken | by random fills "
        "| undecided | CPU seconds a bound | Lipschitz constant |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, noise in (("plain", 0.0), ("noise on inputs", _NOISE)):
        print(row(name, noise, images, labels, count), flush=True)


if __name__ == "__main__":
    main()
