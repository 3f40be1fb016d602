"""Unit and AuditContext: the piece of work and the view of the audit that a check is given."""

from dataclasses import asdict, dataclass
from typing import Any

from audits.data.imageset import ImageSet
from audits.models.contract import InputContract
from fillblanks import Classifier, Plan


@dataclass(frozen=True)
class Unit:
    """A piece of work: some images of the data set, by their indices."""

    number: int
    indices: tuple[int, ...]
    shown: tuple[int, ...] = ()  # those of which pictures are kept
    # The parameters that vary in a check that is a grid; a digest of other images that it takes.
    cell: tuple[tuple[str, Any], ...] = ()

    @property
    def content(self) -> dict[str, Any]:
        """All fields but the number: two units with the same content measure the same."""
        return {name: value for name, value in asdict(self).items() if name != "number"}

    def __str__(self) -> str:
        cell = "".join(f", {name} {value}" for name, value in self.cell)
        return f"unit {self.number} ({len(self.indices)} images from {self.indices[0]}{cell})"


@dataclass(frozen=True)
class AuditContext:
    """The part of the audit that a check sees. Only the worker has the model."""

    images: ImageSet  # labels in the model's class order, images in the model's shape
    seed: int
    plan: Plan
    model: Classifier | None = None
    reference: Classifier | None = None  # an independent model of the same classes
    versions: tuple[Classifier, ...] = ()  # the other versions, in the order of their names
    contract: InputContract | None = None  # of the model
    version_names: tuple[str, ...] = ()  # URIs of other versions of the model
    expects_reference: bool = False  # for the auditing process, which has no model

    @property
    def with_reference(self) -> bool:
        """Whether the audit has a reference; the same in every process."""
        return self.expects_reference or self.reference is not None

    @property
    def classifier(self) -> Classifier:
        """The audited model. Raises RuntimeError outside the worker."""
        if self.model is None:
            raise RuntimeError("The model lives in the worker: use it in measure and ask.")
        return self.model

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.images.tensor([0]).shape[1:]
        return channels, height, width

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the model's logits."""
        return self.images.classes
