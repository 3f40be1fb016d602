"""Counts how often the process that runs this reads and decodes image files."""

from collections import Counter

from audits.data.encoded import Encoded

_counts: dict[str, Counter[str]] = {}


def start() -> None:
    """Counts from now on, for the life of the process."""
    for method in ("content", "pixels"):
        setattr(Encoded, method, _counted(method, getattr(Encoded, method)))


def counts() -> dict[str, dict[str, int]]:
    """By method and name of the image."""
    return {method: dict(counter) for method, counter in _counts.items()}


def _counted(method, function):
    _counts[method] = Counter()

    def counted(self, *args):
        _counts[method][self.name] += 1
        return function(self, *args)

    return counted
