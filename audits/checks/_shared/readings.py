"""How a network reads pictures: log-probabilities, ranks and predicted classes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from audits.checks.context import AuditContext
from fillblanks import Classifier
from fillblanks.classifier import predicted_class


class Readings(NamedTuple):
    """The reading of n pictures, on the CPU.

    Logits that are not finite say nothing: all classes are then equally likely, and none is
    predicted.
    """

    log_probability: Tensor  # float64 (n, K)
    predicted: np.ndarray  # int64 (n,), -1 for none

    @property
    def probability(self) -> np.ndarray:
        """The probability of the likeliest class of each picture, float64 (n,)."""
        return self.log_probability.exp().amax(1).numpy()

    def of(self, labels: Tensor) -> np.ndarray:
        """The log-probability of a class of each picture, float64 (n,)."""
        return self.log_probability.gather(1, labels[:, None])[:, 0].numpy()

    def gap(self, labels: Tensor, others: Tensor) -> np.ndarray:
        """By how much the logit of a label is above that of another class, float64 (n,) in nats."""
        return self.of(labels) - self.of(others)

    def rank(self, labels: Tensor) -> np.ndarray:
        """The place of a label among all classes, int64 (n,) from 1; the last of those alike."""
        own = self.log_probability.gather(1, labels[:, None])
        return (self.log_probability >= own).sum(1).numpy()


def confidence(logits: Tensor) -> np.ndarray:
    """The largest probability of each image, float64 (n,), 0 if a logit is not finite.

    NaN if the logits only say which class is predicted (one 0, and -1 for the others). `logits` are
    (n, K), on the CPU.
    """
    known = logits[logits.isfinite().all(1)]
    if len(known) and ((known == 0) | (known == -1)).all():
        return np.full(len(logits), np.nan)
    return logits.double().softmax(1).amax(1).nan_to_num(0.0).numpy()


def readings(audit: AuditContext, pictures: Tensor, by: Classifier) -> Readings:
    """How `by` reads pictures (n, C, H, W) in [0, 1]."""
    found = []
    with by.steady(), torch.no_grad():
        for chunk in pictures.split(audit.plan.chunk):
            found.append(by(by.to_device(chunk)).double().cpu())
    logits = torch.cat(found)
    known = torch.where(logits.isfinite().all(1, keepdim=True), logits, 0.0)
    return Readings(known.log_softmax(1), predicted_class(logits).numpy())
