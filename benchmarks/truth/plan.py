"""Which networks are trained and measured, in which order: the most telling first."""

from collections.abc import Mapping
from dataclasses import replace

from truth.data import FRESH, Dataset
from truth.nets import SMALL
from truth.zoo import FAULTY, Kind, Specimen

_DATASETS: tuple[Dataset, ...] = ("FashionMNIST", "CIFAR10", "MNIST")
_NOISE, _NOISY = 0.3, 7  # every seventh network is trained with noise
_KINDS: dict[Kind, int] = {
    "none": 66,
    "fixed": 33,
    "moving": 15,
    "tint": 15,
    "watermark": 9,
    "background": 6,
    "decoy": 6,
    "trigger": 24,
    "large": 9,
    "faint": 9,
    "dark": 9,
    "scattered": 9,
    "blended": 15,
    "label noise": 9,
    "under-trained": 9,
    "wrong mean and std": 6,
    "wrong range": 6,
    "BGR": 3,
}
_EARLIER, _LATER = 0.85, 1.1  # clean networks come a little before their share, faulty ones after
_ONLY: dict[Kind, tuple[Dataset, ...]] = {
    "background": ("FashionMNIST", "MNIST"),  # photographs have no black background
    "BGR": ("CIFAR10",),  # grey images have one channel
}
_REAL: dict[Kind, int] = {"none": 3, "fixed": 2, "trigger": 3}
_REAL_IMAGES, _REAL_AUDITED = 4000, 500
_QUICK: dict[Kind, int] = {"none": 1, "fixed": 1, "trigger": 1, "wrong range": 1}
_QUICK_IMAGES = 4000


def standard(*, real: bool) -> list[Specimen]:
    """The fresh networks; `real`: with those at 224 pixels, first, since they take longest."""
    found = _real(FRESH) if real else []
    return found + _mixed(_KINDS, FRESH)


def tuning(*, real: bool) -> list[Specimen]:
    """Networks of smaller seeds, on which choices are made."""
    few = {kind: max(1, count // 4) for kind, count in _KINDS.items()}
    found = _real(0, 1) if real else []
    return found + _mixed(few, 0, apart=50)


def quick() -> list[Specimen]:
    """A few networks of one data set, whose figures mean little."""
    return [
        replace(one, dataset="CIFAR10", network="CNN", images=_QUICK_IMAGES)
        for one in _mixed(_QUICK, 0, apart=50)
    ]


def _mixed(kinds: Mapping[Kind, int], first: int, apart: int = 1000) -> list[Specimen]:
    """All kinds in turn, so that any beginning of the list has its share of each.

    Seeds of a kind begin `apart` from those of the next.
    """
    found = []
    for number, (kind, count) in enumerate(kinds.items()):
        datasets = _ONLY.get(kind, _DATASETS)
        for i in range(count):
            one = Specimen(
                datasets[i % len(datasets)],
                SMALL[i // len(datasets) % len(SMALL)],
                kind,
                first + apart * number + i,
                noise=_NOISE if i % _NOISY == _NOISY - 1 else 0.0,
            )
            moved = _EARLIER if kind == "none" else _LATER if kind in FAULTY else 1
            at = (i + 0.5) / count * moved
            found.append((at, number, one))
    return [one for *_, one in sorted(found, key=lambda item: item[:2])]


def _real(first: int, most: int = 100) -> list[Specimen]:
    """At most `most` of each kind: a head on a frozen ImageNet network, on enlarged images."""
    sizes = {"images": _REAL_IMAGES, "audited_images": _REAL_AUDITED}
    counts = {kind: min(most, count) for kind, count in _REAL.items()}
    return [
        replace(one, dataset="CIFAR10", network="EfficientNet", noise=0.0, **sizes)
        for one in _mixed(counts, first + 900, apart=10)
    ]
