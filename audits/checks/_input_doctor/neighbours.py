"""Neighbours of an input contract: the ways in which a model is fed wrongly most often."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from audits.data.fit import Fit
from audits.models.contract import SIGNATURE, WHOLE_NUMBERS, InputContract, Layout, Range
from fillblanks import Classifier

Name = Literal[
    "range 0-1",
    "range 0-255",
    "range -1..1",
    "ImageNet mean and std",
    "normalised twice",
    "inverted",
    "BGR",
    "NHWC",
    "NCHW",
    "stretch",
    "crop",
    "crop of 7/8",
    "pad",
    "EXIF",
    "classes by name",
    "classes by number",
]
MOST = 13  # neighbours of one contract that need passes of their own

_RANGES: dict[Range, Name] = {
    "0-1": "range 0-1",
    "0-255": "range 0-255",
    "-1..1": "range -1..1",
}
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RESIZES: tuple[Literal["stretch", "crop", "pad"], ...] = ("stretch", "crop", "pad")
_LONGEST = 120  # characters of a list of classes in a cure
_UNITS = {"range", "mean", "std"}
_FIELDS = ("range", "mean", "std", "layout")
_FIT_FIELDS = ("resize", "resize_to", "exif")


@dataclass(frozen=True)
class Neighbour:
    """Another contract, or a change that no contract can name, and its cure if it is the right one.

    `contract` has the neighbour's fit, range, mean, std and layout; with `inverted` pixels are
    1 - pixels, with `swapped` channels are in the reverse order. If `order` is given, logit i means
    class order[i], and the inputs are those of the given contract.
    """

    name: Name
    contract: InputContract
    cure: str  # an imperative: "set preprocessing.range: 0-255"
    inverted: bool = False
    swapped: bool = False
    turned: bool = False
    contradicts: bool = True  # a source that names a field which this one changes
    order: tuple[int, ...] | None = None

    def inputs(self, classifier: Classifier, pixels: Tensor) -> Tensor:
        """The network's input for `pixels`, (N, C, H, W) in [0, 1], of this contract's fit."""
        images = classifier.to_device(pixels)
        if self.inverted:
            images = 1 - images
        if self.swapped:
            images = images.flip(1)
        mean, std = self.contract.pixel_mean, self.contract.pixel_std
        images = (images - _column(mean, images)) / _column(std, images)
        if not self.turned:
            return images
        # The network's wrapper turns (N, C, H, W) to the given contract's layout by itself.
        turn = (0, 2, 3, 1) if self.contract.layout == "NHWC" else (0, 3, 1, 2)
        return images.permute(*turn)


def neighbours(
    contract: InputContract, channels: int, classes: Sequence[str], *, resized: bool = True
) -> tuple[Neighbour, ...]:
    """The neighbours of a contract that differ from it.

    `channels` is the number that the model takes; `classes` are the names of its logits in order;
    `resized` says whether any image has another size than the model's.
    """
    found = [*_normalised_otherwise(contract, channels)]
    found.append(
        Neighbour(
            "inverted",
            contract,
            "invert the images of the data, or the model's inputs: no field of the config does",
            inverted=True,
        )
    )
    if channels == 3:
        found.append(
            Neighbour(
                "BGR",
                contract,
                "log the model in a wrapper that turns RGB to BGR: no field of the config does",
                swapped=True,
            )
        )
        found += _laid_out_otherwise(contract)
    found += _fitted_otherwise(contract, resized)
    found += _ordered_otherwise(contract, classes)
    return tuple(replace(one, contradicts=_contradicts(contract, one)) for one in found)


def _contradicts(given: InputContract, one: Neighbour) -> bool:
    """Whether a source names a field that the neighbour changes."""
    if one.inverted or one.swapped or one.turned:
        return True
    if one.order is not None:
        return given.classes is not None
    changed = set(_changed(given, one.contract))
    if changed & _UNITS:  # they are named together
        changed |= _UNITS
    return bool(changed & given.sources.keys())


def _normalised_otherwise(contract: InputContract, channels: int) -> Iterator[Neighbour]:
    """Other ranges without mean and std, ImageNet's mean and std, the given ones twice."""
    if contract.dtype in WHOLE_NUMBERS:
        return  # whole numbers from 0 to 255 leave no choice
    candidates: list[tuple[Name, InputContract]] = [
        (name, replace(contract, range=range_, mean=(0.0,), std=(1.0,)))
        for range_, name in _RANGES.items()
    ]
    if channels == 3:
        imagenet = replace(contract, range="0-1", mean=_IMAGENET_MEAN, std=_IMAGENET_STD)
        candidates.append(("ImageNet mean and std", imagenet))
    candidates.append(("normalised twice", _twice(contract)))
    known = [contract]
    for name, other in candidates:
        if not any(_same_values(other, one) for one in known):
            known.append(other)
            yield Neighbour(name, other, _cure(contract, other))


def _twice(contract: InputContract) -> InputContract:
    """((x - mean) / std - mean) / std as one mean and one std."""
    count = max(len(contract.mean), len(contract.std))
    means, stds = (_repeated(values, count) for values in (contract.mean, contract.std))
    mean = tuple(m + m * s for m, s in zip(means, stds, strict=True))
    return replace(contract, mean=mean, std=tuple(s * s for s in stds))


def _laid_out_otherwise(contract: InputContract) -> Iterator[Neighbour]:
    others: dict[Layout, Layout] = {"NCHW": "NHWC", "NHWC": "NCHW"}
    if contract.layout not in others:
        return
    other = replace(contract, layout=others[contract.layout])
    cure = _cure(contract, other)
    if contract.source("layout") == SIGNATURE:
        cure = f"log the model with a signature of {other.layout} images"
    name: Name = "NHWC" if other.layout == "NHWC" else "NCHW"
    yield Neighbour(name, other, cure, turned=True)


def _fitted_otherwise(contract: InputContract, resized: bool) -> Iterator[Neighbour]:
    """Other rules of resizing, and EXIF rotation; many of them change nothing for given images."""
    fit = contract.fit
    if fit.height is None or fit.width is None:
        return  # images keep their sizes, and turned ones would have others
    candidates: list[tuple[Name, Fit]] = [("EXIF", replace(fit, exif=not fit.exif))]
    if resized:
        shorter = min(fit.height, fit.width)
        # A length that is named cannot be left out, only replaced.
        for rule in _RESIZES:
            to = fit.resize_to and shorter if rule == "crop" else fit.resize_to
            candidates.append((rule, replace(fit, resize=rule, resize_to=to)))
        wider = round(shorter * 8 / 7)
        candidates.append(("crop of 7/8", replace(fit, resize="crop", resize_to=wider)))
    for name, other in candidates:
        if other != fit:
            changed = replace(contract, fit=other)
            yield Neighbour(name, changed, _cure(contract, changed))


def _ordered_otherwise(contract: InputContract, classes: Sequence[str]) -> Iterator[Neighbour]:
    """Logits in the order of sorted names, or of numbers; no other order is tried."""
    orders: list[tuple[Name, list[str]]] = [("classes by name", sorted(classes))]
    if all(re.fullmatch(r"-?\d+", name) for name in classes):
        orders.append(("classes by number", sorted(classes, key=int)))
    known = [list(classes)]
    number = {name: index for index, name in enumerate(classes)}
    for name, names in orders:
        if names in known:
            continue
        known.append(names)
        told = f"[{', '.join(names)}]"
        if len(told) > _LONGEST:
            told = f"all names, sorted {name.removeprefix('classes ')}"
        cure = f"set preprocessing.classes: {told}"
        yield Neighbour(name, contract, cure, order=tuple(number[one] for one in names))


def _cure(given: InputContract, other: InputContract) -> str:
    """The fields of `preprocessing` that make `other` of `given`."""
    changed = _changed(given, other)
    if changed.keys() & _UNITS and given.sources.keys() & {"mean", "std"}:
        # Range, mean and std must come from one source.
        changed = {"range": other.range, "mean": other.mean, "std": other.std} | changed
    lines = [f"{name}: {_told(value)}" for name, value in changed.items()]
    if len(lines) == 1:
        return f"set preprocessing.{lines[0]}"
    return f"set preprocessing: {{{', '.join(lines)}}}"


def _changed(given: InputContract, other: InputContract) -> dict[str, Any]:
    """The fields in which `other` differs, with its values."""
    changed = {
        name: getattr(other, name)
        for name in _FIELDS
        if getattr(other, name) != getattr(given, name)
    }
    return changed | {
        name: getattr(other.fit, name)
        for name in _FIT_FIELDS
        if getattr(other.fit, name) not in (getattr(given.fit, name), None)
    }


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        numbers = [f"{number:.6g}" for number in value]
        return numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _same_values(a: InputContract, b: InputContract) -> bool:
    """Whether both give the network the same values, but for rounding."""
    pairs = ((a.pixel_mean, b.pixel_mean), (a.pixel_std, b.pixel_std))
    return all(
        torch.allclose(
            torch.tensor(_repeated(x, 3)), torch.tensor(_repeated(y, 3)), rtol=1e-3, atol=1e-5
        )
        for x, y in pairs
    )


def _repeated(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    return values * count if len(values) == 1 else values


def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).reshape(-1, 1, 1)
