"""AuditInputs: the model's files, the images and the config of one audit, and their digest.

Nothing of the model is run here: its files are copied, inspected and hashed.
"""

import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Self

from audits.config.audit import AuditConfig
from audits.data.imageset import ImageSet
from audits.execution.keys import key_of
from audits.execution.store import default_folder
from audits.models import files, registry
from audits.models.classes import PLAIN, matched_classes
from audits.models.files import ModelFiles
from audits.models.registry import Resolved


class AuditInputs:
    """Copies of the model's files, the images as that model takes them, the config written out.

    A context manager, since the copies are in a temporary folder. Entering it raises AuditError if
    the files cannot be had or must not be loaded.
    """

    def __init__(self, config: AuditConfig, model: Resolved, images: ImageSet):
        # Written out, since other processes may have another default.
        self.config = config.model_copy(update={"store": config.store or default_folder()})
        self.model = model
        self._images = images
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            folder = Path(opening.enter_context(tempfile.TemporaryDirectory(prefix="fillblanks-")))
            trusted = self.config.trust_pickle_sha256
            fetched = registry.fetch(self.model, folder)
            self.files = files.inspect(fetched, self.config.preprocessing, trusted)
            self._classes = matched_classes(self._images, self.files, self.config.preprocessing)
            self.images = self._images.for_model(self._classes, self.files.contract.fit)
            self.reference_files = self._fetch_reference(folder)
            self.config = self._settled()
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _fetch_reference(self, folder: Path) -> ModelFiles | None:
        if self.config.reference is None:
            return None
        reference = registry.resolve(self.config.reference)
        target = folder / "reference"
        target.mkdir()
        fetched = registry.fetch(reference, target)
        return files.inspect_reference(
            fetched, self.files, self.images.classes, self.config.trust_pickle_sha256
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as the model takes it."""
        channels, height, width = self.images.tensor([0]).shape[1:]
        return channels, height, width

    def _settled(self) -> AuditConfig:
        checks = tuple(c.settled(self.shape) for c in self.config.checks)
        return self.config.model_copy(update={"checks": checks})

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about model and data for a reader of the evidence."""
        notes = [*self.images.adaptations(), *self.images.notes(), *self.images.weaknesses()]
        if self._classes.how != PLAIN:
            notes.append(self._classes.how)
        if self.reference_files is not None and self.reference_files.classes is None:
            notes.append(
                "The reference's metadata does not name its classes: the order of the audited "
                "model's is taken."
            )
        return tuple(notes)

    @property
    def questions(self) -> tuple[str, ...]:
        """What decides the figures and was named by nobody; with any the verdict is undecided."""
        asked = [*self.files.contract.questions, *self._classes.questions]
        asked += self.images.scan.questions
        if self.reference_files is not None:
            asked += [f"The reference: {q}" for q in self.reference_files.contract.questions]
        return tuple(asked)

    @property
    def reference_digest(self) -> str | None:
        return self.reference_files.digest if self.reference_files else None

    @property
    def preprocessing(self) -> dict[str, object]:
        """The input contract, and the classes of the logits in their order, as plain values."""
        return {**self.files.contract.to_json(), "classes": self.images.classes}

    @cached_property
    def data_digest(self) -> str:
        """sha256 of all images and labels as the model gets them."""
        return self.images.digest(range(len(self.images)))

    @cached_property
    def digest(self) -> str:
        """sha256 of all that decides what is measured; the policy, which judges it, is no part."""
        return key_of(
            model=self.files.digest,
            reference=self.reference_digest,
            preprocessing=self.preprocessing,
            data=self.data_digest,
            checks=[
                check.model_dump(mode="json") | {"version": check.version}
                for check in self.config.checks
            ],
            engine=self.config.engine.fixed,
            seed=self.config.seed,
        )
