"""Fixtures for the tests of audits: image sets, evidence and a worker."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from metrics import metrics_of
from threads import one_thread  # noqa: F401

from audits.data.imageset import ImageSet
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.execution.worker import Worker


@pytest.fixture(scope="session")
def image_set() -> Callable[..., ImageSet]:
    """Makes an ImageSet of arrays in memory; its classes are "a", "b", ... by default."""

    def make(images, labels, classes=None, **fields) -> ImageSet:
        labels = np.asarray(labels, dtype=np.int64)
        return ImageSet(
            name="arrays",
            classes=tuple(classes or "abcdefghij"[: labels.max() + 1]),
            labels=labels,
            read=lambda i: images[i],
            content=lambda i: images[i].tobytes(),
            **fields,
        )

    return make


@pytest.fixture(scope="session")
def evidence_of() -> Callable[..., Evidence]:
    """Makes evidence of one check from `name=(value, low, high, n)`."""

    def make(check="fill", status="ok", reason="", rests_on=None, **figures) -> Evidence:
        estimates = {name: Estimate(*values) for name, values in figures.items()}
        return Evidence(
            check=check,
            sentence="A sentence.",
            status=status,
            reason=reason,
            metrics=metrics_of(estimates, rests_on),
        )

    return make


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One worker for all tests of a module; no test may break it for the next test."""
    with Worker() as shared:
        yield shared
