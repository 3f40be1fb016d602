"""Dictionary: the concepts of a class, as directions of the values at a cut."""

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from fillblanks.classifier import predicted_class
from fillblanks.concepts.cut import Cut

_STEPS = 200  # of coordinate descent, at most; twice as many fit no better
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Dictionary:
    """r concepts, whose sums with weights of 0 or more, the codes, make the values of each place.

    `rows` are float64 (r, channels), 0 or more, of length 1. If values may be negative, they are
    (r, 2 x channels): the positive parts of the channels, then the negative parts.
    """

    rows: np.ndarray
    channels: int

    @property
    def signed(self) -> bool:
        """Whether values may be negative."""
        return self.rows.shape[1] != self.channels

    @classmethod
    def of(cls, vectors: Tensor, concepts: int, *, seed: int = 0) -> Self:
        """The dictionary of values at all places of whole images, (n, places, channels).

        It is found by a non-negative factorisation (NMF): of the values, or of their positive and
        negative parts, if any is below 0. There are fewer concepts if there are fewer rows or
        columns. Fel et al. 2023, CRAFT (arXiv 2211.10154), which takes crops of images in place of
        whole ones.

        Raises ValueError if a value is not finite, or if all are 0; ImportError without
        scikit-learn.
        """
        given = vectors.detach().cpu().double().flatten(0, 1).numpy()
        if not np.isfinite(given).all() or not given.any():
            raise ValueError("Expected finite values at the cut that are not all 0.")
        channels = given.shape[1]
        if (given < 0).any():
            given = _parts(given)
        count = min(concepts, *given.shape)
        _, rows, _ = _factorised(given, count, seed, None)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return cls(rows / np.where(lengths > 0, lengths, 1), channels)

    @classmethod
    def random(cls, like: Self, *, seed: int = 0) -> Self:
        """A dictionary of the form of `like` that nothing was learnt for: the null of `kept`."""
        rows = np.abs(np.random.default_rng(seed).standard_normal(like.rows.shape))
        return cls(rows / np.linalg.norm(rows, axis=1, keepdims=True), like.channels)

    def codes(self, vectors: Tensor) -> Tensor:
        """The weight of each concept at each place, float64 (n, places, r), 0 or more.

        `vectors` are (n, places, channels). If the dictionary is not signed, values below 0 count
        as 0. Raises ValueError if a value is not finite.
        """
        given = vectors.detach().cpu().double().flatten(0, 1).numpy()
        if not np.isfinite(given).all():
            raise ValueError("Expected finite values at the cut.")
        given = _parts(given) if self.signed else np.maximum(given, 0)
        found, _, _ = _factorised(given, len(self.rows), 0, self.rows)
        return torch.from_numpy(found).view(*vectors.shape[:2], len(self.rows))

    def vectors(self, codes: Tensor) -> Tensor:
        """The values that codes (..., r) stand for, (..., channels), of their dtype and device."""
        values = codes @ torch.from_numpy(self.rows).to(codes)
        if self.signed:
            return values[..., : self.channels] - values[..., self.channels :]
        return values


def kept(found: Cut, values: Tensor, vectors: Tensor, *, chunk: int = 64) -> Tensor:
    """Whether the prediction stays if the values of all places are replaced, bool (n,).

    `values` (n, ...) are those of `found.encode`, `vectors` (n, places, channels) the others. An
    image with a logit that is not finite, before or after, does not keep its prediction.
    """
    rows = []
    with torch.no_grad():
        for some, others in zip(values.split(chunk), vectors.split(chunk), strict=True):
            before = predicted_class(found.decode(some))
            after = predicted_class(found.decode(found.with_vectors(some, others.to(some))))
            rows.append((before == after) & (before >= 0))
    return torch.cat(rows).cpu()


def _parts(values: np.ndarray) -> np.ndarray:
    return np.concatenate([np.maximum(values, 0), np.maximum(-values, 0)], axis=1)


def _factorised(
    given: np.ndarray, concepts: int, seed: int, rows: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Codes and rows whose product is near `given`; the rows stay if they are given."""
    try:
        from sklearn.decomposition import non_negative_factorization
        from sklearn.exceptions import ConvergenceWarning
    except ImportError as error:
        raise ImportError(
            "Expected scikit-learn for the factorisation. pip install scikit-learn."
        ) from error
    with warnings.catch_warnings():
        # `kept` says how good the product is, whether the descent has ended or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found: tuple[np.ndarray, np.ndarray, int] = non_negative_factorization(
            given,
            H=rows,
            n_components=concepts,
            init="nndsvda" if rows is None else None,
            update_H=rows is None,
            tol=_TOLERANCE,
            max_iter=_STEPS,
            random_state=seed,
        )
    return found
