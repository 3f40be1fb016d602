"""Fills images for their class and for another class, and reads the fills with other networks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audits.checks._shared.readings import Readings
from completion.kept import Arrays, Kept, digest
from completion.protocol import ONE_STEP, SEED
from fillblanks import (
    Classifier,
    Completion,
    Plan,
    Recipe,
    Spectrum,
    complete,
    default_plan,
    first_order,
)
from fillblanks.classifier import predicted_class
from fillblanks.engine.aten import NotRewritable
from fillblanks.masks import keys

MANY, ONE = "many steps", "one step"
_AT_ONCE = 8  # images that are read; more are slower, since they leave the processor's caches
_FOIL_DRAW = -5  # as in the check: masks use keys of the draws 0, 1, ...
_VALUES = 2_000_000  # of the images in a part, which takes a minute or two


@dataclass(frozen=True)
class Given:
    """Images to be filled, and all that decides their fills but the network."""

    images: Tensor  # (N, C, H, W) in [0, 1]
    labels: Tensor  # int64 (N,)
    indices: Tensor  # int64 (N,), their identities
    spectrum: Spectrum  # of other images
    classes: tuple[str, ...]
    recipe: Recipe

    @property
    def plan(self) -> Plan:
        """Full precision; batch normalisation is folded into convolutions."""
        plan = default_plan(*self.images.shape[1:])
        return replace(plan, memory_format="channels_last", fused=True)

    @property
    def foils(self) -> Tensor:
        """Another class for each image, each equally likely, int64 (N,); as in the check."""
        draws = torch.full_like(self.indices, _FOIL_DRAW)
        drawn, count = keys(SEED, self.indices, draws, 1)[:, 0], len(self.classes)
        return (self.labels + 1 + drawn.remainder(count - 1)) % count

    def at(self, rows: slice | list[int]) -> "Given":
        """Some of the images."""
        some = (self.images[rows], self.labels[rows], self.indices[rows])
        return Given(*some, self.spectrum, self.classes, self.recipe)

    def filled(self, model: Classifier, labels: Tensor) -> Completion:
        """The images, filled as `model` would for `labels`."""
        asked = partial(
            complete,
            model,
            self.images,
            labels,
            spectrum=self.spectrum,
            seed=SEED,
            indices=self.indices,
            recipe=self.recipe,
        )
        try:
            return asked(plan=self.plan)
        except NotRewritable:  # folding changes the gradient of some images by more than 1 %
            return asked(plan=replace(self.plan, fused=False))

    def key(self, model: Classifier) -> tuple[object, ...]:
        values = (self.spectrum.mean, self.spectrum.colour, self.spectrum.magnitude)
        given = digest(self.images, self.labels, self.indices, *values)
        return (digest(model.net), given, len(self.classes), self.recipe, self.plan, SEED, ONE_STEP)


def asked(
    kept: Kept, name: str, model: Classifier, given: Given, readers: Mapping[str, Classifier]
) -> dict[tuple[str, str], pd.DataFrame]:
    """For each way of filling and each reader a table with a row for each image."""
    chunk = given.plan.chunk
    many = chunk * max(1, _VALUES // (chunk * given.images[0].numel()))
    parts = []
    for start in range(0, len(given.images), many):
        some = given.at(slice(start, start + many))
        key = (some.key(model), [(who, digest(net.net)) for who, net in readers.items()])
        parts.append(kept(f"{name} {start}", key, lambda some=some: _read(model, some, readers)))
    arrays = {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}
    found: dict[tuple[str, str], pd.DataFrame] = {}
    for way in (MANY, ONE):
        for reader in readers:
            start = f"{way}/{reader}/"
            columns = {c.removeprefix(start): v for c, v in arrays.items() if c.startswith(start)}
            found[way, reader] = pd.DataFrame(columns)
    return found


def one_step(model: Classifier, done: Completion, labels: Tensor) -> Tensor:
    """The blanks' smooth interpolation plus the first-order update, of which T is a scale."""
    update = torch.where(done.blank, first_order(model, done.start, labels).update, 0)
    largest = update.abs().amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(update.dtype).tiny)
    return (done.start + ONE_STEP * update / largest).clamp(0, 1)


def _read(model: Classifier, given: Given, readers: Mapping[str, Classifier]) -> Arrays:
    labels, foils = given.labels, given.foils
    done, other = given.filled(model, labels), given.filled(model, foils)
    fills = {
        MANY: (done.image, other.image),
        ONE: (one_step(model, done, labels), one_step(model, done, foils)),
    }
    own = {way: np.exp(reading(model, fill).of(labels)) for way, (fill, _) in fills.items()}
    found: Arrays = {}
    for who, reader in readers.items():
        whole, start = reading(reader, given.images), reading(reader, done.start)
        for way, (for_label, for_foil) in fills.items():
            fill, foil = reading(reader, for_label), reading(reader, for_foil)
            columns = {
                "own": own[way],
                "gap_label": fill.gap(labels, foils),
                "gap_foil": foil.gap(labels, foils),
                "probability": np.exp(fill.of(labels)),
                "probability_start": np.exp(start.of(labels)),
                "foil_probability": np.exp(foil.of(foils)),
                "foil_probability_start": np.exp(start.of(foils)),
                "place": fill.rank(labels),
                "place_start": start.rank(labels),
                "place_whole": whole.rank(labels),
            }
            found |= {f"{way}/{who}/{column}": values for column, values in columns.items()}
    return found


def reading(reader: Classifier, images: Tensor) -> Readings:
    """How a network reads pictures."""
    with torch.no_grad():
        logits = torch.cat([reader(some) for some in images.split(_AT_ONCE)]).double()
    known = torch.where(logits.isfinite().all(1, keepdim=True), logits, 0.0)
    return Readings(known.log_softmax(1), predicted_class(logits).numpy())
