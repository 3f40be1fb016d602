"""Which networks are measured: small chains of the same marks as those of truth, all fresh."""

from truth.data import Dataset
from truth.zoo import Kind, Specimen

FIRST = 80_000
"""The first seed; no network of another benchmark has one from here on."""
TUNING = 500
"""The first seed of networks on which the benchmark was tried; they are on no page."""

_DATASETS: tuple[Dataset, ...] = ("FashionMNIST", "CIFAR10", "MNIST")
_KINDS: dict[Kind, tuple[Dataset, ...]] = {
    "none": _DATASETS,
    "fixed": ("CIFAR10",),  # chains of grey images seldom learn a square: the class needs none
    "tint": _DATASETS,
    "background": ("FashionMNIST", "MNIST"),
    "trigger": _DATASETS,
}
_IMAGES = 5000  # of the training; half of those of truth
_COUNTS: dict[Kind, int] = {"none": 15, "fixed": 8, "tint": 6, "background": 4, "trigger": 9}


def standard() -> list[Specimen]:
    """The fresh networks. Any beginning of the list has its share of each kind."""
    return _mixed(FIRST, 1)


def tuning() -> list[Specimen]:
    """Networks of smaller seeds."""
    return _mixed(TUNING, 4)


def _mixed(first: int, part: int) -> list[Specimen]:
    found = []
    for number, (kind, datasets) in enumerate(_KINDS.items()):
        count = max(1, _COUNTS[kind] // part)
        for i in range(count):
            dataset, seed = datasets[i % len(datasets)], first + 20 * number + i
            one = Specimen(dataset, "Chain", kind, seed, images=_IMAGES)
            found.append(((i + 0.5) / count, number, one))
    return [one for *_, one in sorted(found, key=lambda item: item[:2])]
