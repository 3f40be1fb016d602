"""What a check is: its own config, its units of work, and what it concludes from them.

To add a check: one file beside this one, its class in `checks/__init__.py`, one test. Another
package adds its own through the entry-point group `fillblanks.checks`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PositiveInt

from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.strict import Strict

_MOST_CLASSES_SHOWN = 10


Needs = Literal["gradients", "logits", "predictions"]


class Check(Strict):
    """Base of all checks; a check is frozen and holds nothing but its config.

    `measure` and `conclude` run in the worker. They raise NotApplicable where the check makes no
    sense for the model or the data.
    """

    version: ClassVar[int]
    """Raised whenever the same config would give other figures; part of every part's key."""

    asks_reference: ClassVar[bool] = True
    """Whether parts hold what the audit's reference said; then its digest is in their keys.

    A check whose `measure` never asks it says False: its parts outlive a change of reference.
    """

    needs: ClassVar[Needs] = "gradients"
    """The least that the check needs of a model: its input gradient, its logits, or only the class
    that it predicts."""

    legend: ClassVar[tuple[str, ...]] = ()
    """Sentences for people that say how to read the pictures of the check; () without pictures."""

    kind: str
    label: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="name in metrics and conditions, where the kind alone is not enough",
    )
    images: PositiveInt | None = Field(
        default=None,
        description="audit a sample of this many images, evenly over the classes and drawn by the "
        "seed; default all",
    )

    @property
    def name(self) -> str:
        return self.label or self.kind

    @abstractmethod
    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        """The metrics that `conclude` gives, by name and not measured yet.

        `reference` says whether the audit has a reference model. Policies are checked against
        these names before anything is measured.
        """

    def settled(self, shape: tuple[int, int, int]) -> Self:
        """This check with what depends on the images' shape (C, H, W) written out."""
        return self

    def chosen(self, audit: AuditContext) -> np.ndarray:
        """Indices of the images this check looks at, int64."""
        return np.sort(audit.images.sampled_order(audit.seed)[: self.images])

    def units(self, audit: AuditContext) -> list[Unit]:
        """The work in pieces of `unit_images`; without the model."""
        pieces = self.pieces(audit, self.unit_images(audit))
        return [Unit(number, *piece) for number, piece in enumerate(pieces)]

    def pieces(
        self, audit: AuditContext, size: int
    ) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The chosen images, at most `size` at a time, and those of them that are shown."""
        chosen, shown = self.chosen(audit).tolist(), set(self._first_of_classes(audit))
        cuts = [tuple(chosen[at : at + size]) for at in range(0, len(chosen), size)]
        return [(cut, tuple(i for i in cut if i in shown)) for cut in cuts]

    def _first_of_classes(self, audit: AuditContext) -> list[int]:
        order = audit.images.sampled_order(audit.seed)[: self.images]
        _, first = np.unique(audit.images.labels[order], return_index=True)
        found: list[int] = order[np.sort(first)][:_MOST_CLASSES_SHOWN].tolist()
        return found

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        """What in this config decides the figures of a unit; part of the key of its part.

        The unit says which images, and figures need no name.
        """
        return self.model_dump(mode="json", exclude={"images", "label"})

    def fill_options(self) -> dict[str, Any] | None:
        """Arguments of `expected_fill`, where the check averages draws; else None.

        Only such fills may be taken in reduced precision, after it was seen to keep them.
        """
        return None

    @abstractmethod
    def unit_images(self, audit: AuditContext) -> int:
        """Images in a unit: what may be lost when an audit is killed."""

    @abstractmethod
    def passes(self, images: int) -> int:
        """Masked or plain images that go through the model for so many images, at the least."""

    def most_passes(self, images: int) -> int:
        """The same at the most."""
        return self.passes(images)

    def unit_passes(self, unit: Unit) -> int:
        """Passes of one unit, at the least."""
        return self.passes(len(unit.indices))

    def most_unit_passes(self, unit: Unit) -> int:
        """The same at the most."""
        return self.most_passes(len(unit.indices))

    @abstractmethod
    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        """Runs the model over one unit."""

    @abstractmethod
    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        """Evidence from the parts of all units, in their order."""
