"""Refusals: models that contradicted themselves are remembered by the bytes of their files.

The answers that are compared are drawn by chance. A model that lies in few of them would come
through at last if every audit began anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from audits.errors import Contradicted, ModelRefused, shortened
from audits.execution.store import Store

_LONGEST = 110  # characters of a reason, so that the whole line fits into an error
_DIGITS = 32  # of the digest, in the name of a file


@dataclass(frozen=True)
class Refusal:
    """A model was refused on a day (UTC), by a check, since it contradicted itself."""

    day: str  # ISO 8601
    check: str
    why: str  # one line
    kept: str = ""  # where it is remembered, as a person finds it

    @classmethod
    def today(cls, check: str, error: Contradicted | str) -> "Refusal":
        return cls(datetime.now(UTC).date().isoformat(), check, shortened(error, 400))


class Memory(Protocol):
    """A place that remembers refusals by the digest of the model's files."""

    def of(self, digest: str) -> Refusal | None:
        """The refusal of a model, if it was refused."""

    def add(self, digest: str, refusal: Refusal) -> None:
        """Remembers it."""


class StoreMemory:
    """Refusals in the store of parts; `prune` keeps them. Errors are those of the store."""

    def __init__(self, store: Store):
        self._store = store

    def of(self, digest: str) -> Refusal | None:
        """The refusal of a model; also if its file is damaged."""
        key = _key(digest)
        if not (place := self._store.place(key)):
            return None
        part = self._store.get(key)
        told = {} if part is None else {name: str(part[name]) for name in ("day", "check", "why")}
        unknown = Refusal("a day", "a check", "the file that tells it is damaged", place)
        return replace(unknown, **told)

    def add(self, digest: str, refusal: Refusal) -> None:
        values = {"day": refusal.day, "check": refusal.check, "why": refusal.why}
        self._store.put(_key(digest), {name: np.array(text) for name, text in values.items()})


def expect_not_refused(digest: str, memories: Sequence[Memory]) -> None:
    """Raises ModelRefused, in one line, for a model that one of the memories knows."""
    found = [refusal for memory in memories if (refusal := memory.of(digest)) is not None]
    if found:
        first, kept = found[0], " and ".join(one.kept for one in found)
        raise ModelRefused(
            f"Nothing was measured: on {first.day} {first.check} refused a model of these very "
            f"files: {shortened(first.why, _LONGEST).rstrip('.')}. A person who knows that it is "
            f"honest may delete {kept}."
        )


def _key(digest: str) -> str:
    return f"refused-{digest[:_DIGITS]}"
