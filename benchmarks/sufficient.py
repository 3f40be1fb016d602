"""How few patches suffice for an answer: gates, occlusion and other orders, with their seconds.

    PYTHONPATH=benchmarks python benchmarks/sufficient.py --folder nets

It needs the data folder (FILLBLANKS_DATA). Small networks are trained once and stay in --folder.
Each order is verified in the same way: the share is that of the fewest patches, taken in the order,
with which the network gives the same class and a divergence of at most 0.1 nats. Images that get
the class of the blank image are left out. Learned gates are trained on other test images; the curve
of their training is printed.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from networks import SQUEEZENET, photographs, squeezenet
from paper.recipes import pictures
from torch import Tensor, nn
from torch.nn import functional
from truth.zoo import Specimen

from audits.evidence.intervals import bounded_mean, paired_mean_difference
from fillblanks import Classifier
from fillblanks.attribution.gates import gate_values
from fillblanks.attribution.patch_means import centre_patches, patch_means, random_patches
from fillblanks.attribution.sufficient import fewest_patches, log_probabilities_of, patch_costs
from fillblanks.concepts.learned_gates import STEPS, LearnedGates, learned_gates
from fillblanks.concepts.states import states_of

_DIVERGENCE, _SEED, _CHUNK = 0.1, 0, 64
_POINTS = 8  # of the curve that are printed
_NETWORK = 3000  # a seed that no other benchmark has
_TRAINED, _EPOCHS, _BATCH, _RATE = 10_000, 5, 128, 0.002  # of the transformer


class Subject(NamedTuple):
    """A network and the images on which orders are compared."""

    name: str
    classifier: Classifier
    images: Tensor
    patch_size: int
    training: Tensor  # images that train gates, if any

    @property
    def blank(self) -> Tensor:
        """The mean colour of the images, (1, C, 1, 1)."""
        return self.images.mean((0, 2, 3), keepdim=True)


class Transformer(nn.Module):
    """A transformer of torchvision for grey images of 28x28, with 49 patches of 4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torchvision.models.VisionTransformer(
            image_size=28,
            patch_size=4,
            num_layers=4,
            num_heads=4,
            hidden_dim=64,
            mlp_dim=256,
            num_classes=10,
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x.expand(-1, 3, -1, -1))
        return logits


def _transformer(folder: Path) -> Classifier:
    file = folder / f"transformer-{_TRAINED}-{_EPOCHS}.pt"
    torch.manual_seed(_NETWORK)
    net = Transformer()
    if file.exists():
        net.load_state_dict(torch.load(file, weights_only=True))
    else:
        images, labels = pictures("FashionMNIST", train=True)
        images, labels = (images[:_TRAINED] - 0.286) / 0.353, labels[:_TRAINED]
        optimiser = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=1e-4)
        steps = _EPOCHS * (_TRAINED // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
        for epoch in range(_EPOCHS):
            for rows in torch.randperm(_TRAINED)[: steps // _EPOCHS * _BATCH].split(_BATCH):
                loss = functional.cross_entropy(net(images[rows]), labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
            print(f"transformer: epoch {epoch + 1}/{_EPOCHS}, loss {loss:.2f}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), file)
    return Classifier(net.eval(), mean=0.286, std=0.353)


def subjects(folder: Path, count: int) -> Iterator[Subject]:
    """The networks that are compared."""
    for data, size in (("MNIST", 4), ("FashionMNIST", 4), ("CIFAR10", 4)):
        specimen = Specimen(data, "ResNet", "none", _NETWORK)
        images, _ = specimen.audited(marked=False)
        yield Subject(data, specimen.classifier(folder), images[:count], size, images[count:])
    images, _ = pictures("FashionMNIST", train=False)
    net = _transformer(folder)
    yield Subject("FashionMNIST, transformer", net, images[:count], 4, images[count:1000])
    photos, _ = photographs(4)
    net = squeezenet().eval()
    mean, std = SQUEEZENET.mean, SQUEEZENET.std
    for size in (28, 56):
        classifier = Classifier(net, mean=mean, std=std)
        yield Subject(f"SqueezeNet, {size} px", classifier, photos, size, photos[:0])


def gradient_times_input(subject: Subject, images: Tensor) -> Tensor:
    """The gradient of the answer's logit times what the blank would change, a mean a patch."""
    given = images.clone().requires_grad_(True)
    logits = subject.classifier(given)
    (slope,) = torch.autograd.grad(logits.amax(1).sum(), given)
    return patch_means((slope * (images - subject.blank)).sum(1), subject.patch_size)


def trained(subject: Subject, steps: int) -> LearnedGates:
    """Gates that are learned on the images for training; the curve is printed."""
    size, training = subject.patch_size, subject.training
    gates = learned_gates(
        states_of(subject.classifier, training[:_CHUNK], size),
        lambda rows: training[rows],
        len(training),
        blank=subject.blank,
        patch_size=size,
        most_divergence=_DIVERGENCE,
        seed=_SEED,
        steps=steps,
    )
    each = max(1, steps // _POINTS)
    for first in range(0, steps, each):
        curve = (gates.open, gates.divergence, gates.multiplier)
        share, far, multiplier = (float(one[first : first + each].mean()) for one in curve)
        print(
            f"  steps to {min(first + each, steps)}: open {share:.3f}, divergence {far:.3f}, "
            f"multiplier {multiplier:.2f}"
        )
    return gates


def orders(subject: Subject, images: Tensor, steps: int) -> dict[str, Callable[[], Tensor]]:
    """The functions that give an order of patches, by their names."""
    classifier, size, blank = subject.classifier, subject.patch_size, subject.blank
    indices, ask = torch.arange(len(images)), log_probabilities_of(subject.classifier)
    centre = centre_patches(*images.shape[2:], size)
    learned = {"learned": lambda: trained(subject, steps).values(images, _CHUNK)}
    return {
        **(learned if len(subject.training) else {}),
        "gates": lambda: gate_values(
            classifier,
            images,
            blank=blank,
            patch_size=size,
            most_divergence=_DIVERGENCE,
            seed=_SEED,
            indices=indices,
            chunk=_CHUNK,
        ),
        "occlusion": lambda: patch_costs(ask, images, blank=blank, patch_size=size, chunk=_CHUNK),
        "gradient x input": lambda: gradient_times_input(subject, images),
        "centre first": lambda: centre.expand(len(images), -1),
        "random": lambda: random_patches(_SEED, indices, len(centre)),
    }


def compared(subject: Subject, steps: int) -> None:
    """Prints a line for each order."""
    classifier, blank = subject.classifier, subject.blank
    with classifier.steady():
        alone = int(classifier.predict(blank.expand_as(subject.images[:1]))[0])
        images = subject.images[classifier.predict(subject.images) != alone]
        print(f"\n{subject.name}: blank is class {alone}, {len(images)} images", flush=True)
        counts: dict[str, Tensor] = {}
        for name, order in orders(subject, images, steps).items():
            start = time.perf_counter()
            values = order()
            taken = (time.perf_counter() - start) / len(images)
            start = time.perf_counter()
            counts[name] = _verified(subject, images, values)
            verified = (time.perf_counter() - start) / len(images)
            seconds = f"{taken:.3f} s an image, verified in {verified:.3f} s"
            print(f"{name:18} {_told(counts[name])}, {seconds}", flush=True)
        best = torch.minimum(counts["gates"], counts["occlusion"])
        print(f"{'the better of both':18} {_told(best)}", flush=True)
        again = _verified(
            subject, images, random_patches(_SEED, torch.arange(len(images)), values.shape[1], 1)
        )
        print(
            f"{'better of 2 random':18} {_told(torch.minimum(counts['random'], again))}", flush=True
        )
        for name in ("random", "centre first", "occlusion") if "learned" in counts else ():
            fewer = paired_mean_difference(counts[name].numpy(), counts["learned"].numpy())
            print(f"{name} minus learned: {fewer.value:.3f} ({fewer.low:.3f} to {fewer.high:.3f})")


def _verified(subject: Subject, images: Tensor, values: Tensor) -> Tensor:
    """The share of the patches that suffices, float64 (n,)."""
    found = fewest_patches(
        log_probabilities_of(subject.classifier),
        images,
        values,
        blank=subject.blank,
        patch_size=subject.patch_size,
        most_divergence=_DIVERGENCE,
        chunk=_CHUNK,
    )
    return found.fewest.double() / values.shape[1]


def _told(shares: Tensor) -> str:
    estimate = bounded_mean(shares.numpy())
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("fillblanks-sufficient"))
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=STEPS, help="of the training of gates")
    parser.add_argument("--only", default="", help="the name of one network")
    options = parser.parse_args()
    for subject in subjects(options.folder, options.images):
        if options.only in ("", subject.name):
            compared(subject, options.steps)


if __name__ == "__main__":
    main()
