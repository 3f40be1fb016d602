"""A secret sample: images that are drawn anew for each audit out of a larger pool."""

import secrets
from typing import TypeVar

import numpy as np
import torch

from audits.data.built import DataKind
from audits.data.imageset import ImageSet
from audits.errors import AuditError
from fillblanks.masks import keys

_SAMPLE_DRAW = -3  # masks use keys of the draws 0, 1, ...
_LEAST_RATIO = 2  # images of the pool for each image of a sample
_SEED_BITS = 53  # a reader of JSON that has floats only keeps such a number exactly

Data = TypeVar("Data", bound=DataKind)


def drawn(config: Data) -> Data:
    """The config with a seed from the operating system for its secret sample.

    The same config if its data are no secret sample, or if it names the seed of one to repeat.
    """
    if not config.secret or config.sample_seed is not None:
        return config
    return config.model_copy(update={"sample_seed": secrets.randbits(_SEED_BITS)})


def sampled(pool: ImageSet, config: DataKind) -> ImageSet:
    """The images of `pool` that the config asks for: all, or a secret sample.

    A sample is drawn without regard to the classes, so its figures are estimates of the pool's. The
    same seed gives the same sample on every machine. Raises AuditError if the pool has fewer than
    twice as many images as the sample, or if no seed was drawn.
    """
    if not config.secret or config.sample is None:
        return pool
    if config.sample_seed is None:
        raise AuditError("Expected a secret sample with a seed that was drawn, got none.")
    least = _LEAST_RATIO * config.sample
    if len(pool) < least:
        raise AuditError(
            f"Expected a pool of at least {least} images for a secret sample of {config.sample}, "
            f"got {len(pool)} in {pool.name}. Add images, or lower data.sample."
        )
    indices = torch.arange(len(pool))
    order = keys(config.sample_seed, indices, torch.full_like(indices, _SAMPLE_DRAW), 1)[:, 0]
    chosen = np.sort(np.argsort(order.numpy())[: config.sample])
    name = f"{pool.name}, a secret sample of {config.sample:,} out of {len(pool):,} images"
    return pool.part(chosen, name)


def told(given: DataKind, taken: DataKind) -> tuple[str, ...]:
    """A sentence about a secret sample, with the seed; empty without one.

    `given` is the config as it was before `drawn`.
    """
    if not taken.secret:
        return ()
    again = f"data.sample_seed: {taken.sample_seed}"
    if given.sample_seed is not None:
        return (
            f"The sample of {taken.sample} images was not secret: the config names its seed "
            f"({again}).",
        )
    return (
        f"The {taken.sample} images are a secret sample, drawn for this audit. {again} in the "
        "config repeats it.",
    )
