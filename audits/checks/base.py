"""Check: the base of all checks. A check is its own config, measures units and concludes from them.

A new check is one file beside this one, one line in `registered.py`, and one test. Another package
adds its own through the entry-point group `fillblanks.checks`.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.data.imageset import ImageSet
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.models.form import Ability
from audits.strict import Count, Strict

_MOST_CLASSES_SHOWN = 10
_LONGEST_LABEL = 100  # characters; MLflow takes 250 for the name of a metric


Needs = Ability


class Check(Strict):
    """Base of all checks; a check is frozen and holds nothing but its config.

    `measure` and `ask` run in the worker, the process that holds the model; all else runs in the
    process of the audit. `measure`, `ask` and `conclude` raise NotApplicable if the check cannot be
    applied to the model or the data.
    """

    version: ClassVar[int]
    """Increase it whenever the same config would give other figures. Keys of parts contain it."""

    asks_reference: ClassVar[bool] = True
    """Whether `measure` asks the audit's reference; then keys of parts contain its digest.

    With False, parts stay usable when the reference changes.
    """

    asks_versions: ClassVar[bool] = False
    """Whether `measure` asks the other versions of the model that the config names.

    Keys of parts then contain their digests, and a config without versions is refused.
    """

    needs: ClassVar[Needs] = "gradients"
    """The least that the check needs of a model: tokens that attention mixes (a transformer) and
    the input gradient, the input gradient alone, logits, probabilities, or only the class that the
    model predicts. The check does not apply to models that give less."""

    plain_name: ClassVar[str] = ""
    """The heading of the check's section in the report, in plain words; "" for its name."""

    how_to_read: ClassVar[tuple[str, ...]] = ()
    """Sentences for people who do not know the check: what was done, and what its figures say."""

    shows_fills: ClassVar[bool] = False
    """Whether its pictures show what the model has filled in; the report then explains fills."""

    legend: ClassVar[tuple[str, ...]] = ()
    """Sentences for people that say how to read the pictures of the check; () without pictures."""

    column_words: ClassVar[Mapping[str, str]] = {}
    """Words for columns of the check's tables in the report, by the names of the columns."""

    places: ClassVar[tuple[str, ...]] = ()
    """The fields that name a folder or None; the process of the model may read what is there."""

    own_places: ClassVar[tuple[str, ...]] = ()
    """The fields that name a folder which the auditing process alone reads."""

    kind: str
    label: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=_LONGEST_LABEL,
        description="name in metrics and conditions, if the kind alone is not enough",
    )
    images: Count | None = Field(
        default=None,
        description="audit a sample of this many images, evenly over the classes and drawn by the "
        "seed; default all",
    )

    @property
    def name(self) -> str:
        """The check's name in metrics and conditions: its label, or else its kind."""
        return self.label or self.kind

    @abstractmethod
    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        """The metrics that `conclude` gives, by name and not measured yet.

        `reference` says whether the audit has a reference model. Conditions of a policy are checked
        against these names before the audit measures.
        """

    def captions(self) -> tuple[str, ...]:
        """Names of the pictures that a slider of this check shows, step by step; () for none."""
        return ()

    def data_columns(self) -> tuple[str, ...]:
        """Columns of the data's table, such as camera or site, that `conclude` looks at.

        An audit of data without one of them is refused before anything is recorded.
        """
        return ()

    def settled(self, shape: tuple[int, int, int]) -> Self:
        """This check with defaults that depend on the images' shape (C, H, W) filled in."""
        return self

    def impossible(self, shape: tuple[int, int, int]) -> str:
        """Why the check cannot be made on images of this shape (C, H, W); empty if it can.

        Asked before anything is recorded, of a check that is `settled`.
        """
        return ""

    def sampled(self, audit: AuditContext) -> np.ndarray:
        """Indices of the images that this check measures, int64 (n,), as they are drawn."""
        return audit.images.sampled_order(audit.seed)[: self.images]

    def chosen(self, audit: AuditContext) -> np.ndarray:
        """Indices of the images that this check measures, int64 (n,), sorted."""
        return np.sort(self.sampled(audit))

    def units(self, audit: AuditContext) -> list[Unit]:
        """The units of work, `unit_images` images each. It runs without the model."""
        pieces = self.pieces(audit, self.unit_images(audit))
        return [Unit(number, *piece) for number, piece in enumerate(pieces)]

    def pieces(
        self, audit: AuditContext, size: int
    ) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The chosen images, at most `size` at a time, and those of them that pictures show."""
        chosen, shown = self.chosen(audit).tolist(), set(self._first_of_classes(audit))
        cuts = [tuple(chosen[at : at + size]) for at in range(0, len(chosen), size)]
        return [(cut, tuple(i for i in cut if i in shown)) for cut in cuts]

    def shown_image(self, audit: AuditContext, label: int) -> int | None:
        """Index of the image that pictures show of a class; None if they show none."""
        found = self._first_of_classes(audit)
        return next((i for i in found if audit.images.labels[i] == label), None)

    def _first_of_classes(self, audit: AuditContext) -> list[int]:
        order = self.sampled(audit)
        _, first = np.unique(audit.images.labels[order], return_index=True)
        found: list[int] = order[np.sort(first)][:_MOST_CLASSES_SHOWN].tolist()
        return found

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        """The fields that decide the figures of a unit, as plain values for the key of its part.

        `images` is not among them, because the unit has the indices; nor is `label`, a mere name.
        """
        return self.model_dump(mode="json", exclude={"images", "label"})

    def outside(self, images: ImageSet) -> dict[str, str]:
        """Digests of files that are in `places` and decide the figures, by any names."""
        return {}

    def fill_options(self) -> dict[str, Any] | None:
        """Arguments of `expected_fill` if the check averages draws; else None.

        Tuning tries reduced precision on these fills, and takes it only if they stay the same.
        """
        return None

    @abstractmethod
    def unit_images(self, audit: AuditContext) -> int:
        """Images in a unit. A killed audit loses the units that it had not finished."""

    @abstractmethod
    def passes(self, images: int) -> int:
        """The least number of passes for `images` images; a pass is one image, masked or plain."""

    def most_passes(self, images: int) -> int:
        """The largest number of passes for `images` images."""
        return self.passes(images)

    def unit_passes(self, unit: Unit) -> int:
        """The least number of passes for one unit."""
        return self.passes(len(unit.indices))

    def most_unit_passes(self, unit: Unit) -> int:
        """The largest number of passes for one unit."""
        return self.most_passes(len(unit.indices))

    @abstractmethod
    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        """Runs the model over one unit; the part that is returned goes to the store."""

    def part_form(self, audit: AuditContext, unit: Unit) -> Mapping[str, Array] | None:
        """The arrays of the unit's part, by name. None, the default, allows any plain arrays.

        A part comes from the process of the model, which is not trusted: a part of another form is
        an error of the check.
        """
        return None

    asks_at_the_end: ClassVar[bool] = False
    """Whether `ask` is called when all units are measured."""

    def ask(self, audit: AuditContext, parts: Sequence[Part]) -> Part:
        """Asks the model about the parts of all units together; it runs in the worker."""
        raise NotImplementedError(f"{self.kind} asks nothing at the end.")

    def ask_form(self, audit: AuditContext, parts: Sequence[Part]) -> Mapping[str, Array] | None:
        """The arrays that `ask` gives, by name. None, the default, allows any plain arrays."""
        return None

    @abstractmethod
    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        """Evidence from the parts of all units, in their order, and then the part of `ask`, if any.

        It runs without the model.
        """
