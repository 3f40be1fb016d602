"""AuditInputs: the model's files, the images and the config of one audit, and their digest.

Nothing of the model is run here: its files are copied, inspected and hashed.
"""

import os
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from audits.config.audit import AuditConfig
from audits.data import copies
from audits.data.imageset import ImageSet
from audits.errors import AuditError, few
from audits.execution import environments, given
from audits.execution.cell import Cell
from audits.execution.elsewhere import Python
from audits.execution.keys import LOOKS, key_of
from audits.execution.store import default_folder
from audits.models import files, missing, registry
from audits.models.classes import PLAIN, matched_classes
from audits.models.files import ModelFiles
from audits.models.folder import changed, sha256_by_path
from audits.models.registry import Resolved
from audits.models.trust import trust_in


def at_home(config: AuditConfig) -> AuditConfig:
    """The config with `~` and places written out: a cell has another home and working folder."""
    texts = {name: text for name, text in config.data if isinstance(text, str)}
    values = {k: os.path.expanduser(v) for k, v in texts.items() if v[:1] == "~"}
    places_named = given.named_places(config.data)
    values |= {name: places_named[name] for name in given.PLACES if name in places_named}
    checks = tuple(one.model_copy(update=given.places_of(one)) for one in config.checks)
    store = os.path.expanduser(config.store or "")
    data = config.data.model_copy(update=values)
    return config.model_copy(update={"data": data, "checks": checks, "store": store})


class AuditInputs:
    """Copies of the model's files, the images as that model takes them, the config written out.

    A context manager, since the copies are in a temporary folder. Entering it raises AuditError if
    the files cannot be had or must not be loaded. `writable` is a folder that the model's process
    may write to.
    """

    def __init__(
        self, config: AuditConfig, model: Resolved, images: ImageSet, *, writable: str | None = None
    ):
        # Written out, since other processes may have another default.
        self.config = config.model_copy(update={"store": config.store or default_folder()})
        self.model = model
        self._images = images
        self._writable = writable
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            folder = Path(opening.enter_context(tempfile.TemporaryDirectory(prefix="fillblanks-")))
            trust = trust_in(self.model, self.config.trust_pickle_sha256)
            fetched = registry.fetch(self.model, folder)
            config = self.config
            self.files = files.inspect(fetched, config.preprocessing, trust, config.served)
            self._classes = matched_classes(self._images, self.files, self.config.preprocessing)
            self.images = self._images.for_model(self._classes, self.files.contract.fit)
            self.reference_files = self._fetch_reference(folder)
            self.version_files = self._fetch_versions(folder)
            self.config = self._settled()
            self.files = self._with_environment()
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _fetch_reference(self, folder: Path) -> ModelFiles | None:
        if self.config.reference is None:
            return None
        return self._fetch("reference", registry.resolve(self.config.reference), folder)

    def _fetch_versions(self, folder: Path) -> dict[str, ModelFiles]:
        """The files of the other versions by their URIs, without the audited one itself."""
        resolved = [registry.resolve(uri) for uri in self.config.versions]
        others = {one.uri: one for one in resolved if one.uri != self.model.uri}
        self.config = self.config.model_copy(update={"versions": tuple(others)})
        return {uri: self._fetch(f"version {uri}", one, folder) for uri, one in others.items()}

    def _fetch(self, name: str, model: Resolved, folder: Path) -> ModelFiles:
        fetched = registry.fetch(model, Path(tempfile.mkdtemp(dir=folder)))
        trust = trust_in(model, self.config.trust_pickle_sha256)
        return files.inspect_beside(name, fetched, self.files, self.images.classes, trust)

    @cached_property
    def cell(self) -> Cell:
        """The reach of the process of this audit."""
        models = {"The model": self.files, "The reference": self.reference_files}
        models |= {f"Version {i + 1}": one for i, one in enumerate(self.version_files.values())}
        running = [
            name
            for name, one in models.items()
            if one is not None and (one.trusted or one in self._own_environment)
        ]
        told = "The model's process is taken for hostile."
        if running:
            told = f"{' and '.join(running)} may run any code, which the auditor has allowed."
        return Cell(
            subject=key_of(
                model=self.files.digest, reference=self.reference_digest, **self._versions
            ),
            reason=told.replace(" and The", " and the"),
            gpu=self.config.device != "cpu",
            isolation=self.config.isolation,
            image=self.config.docker_image or "",
            writable=(self._writable,) if self._writable else (),
            python=self._python(),
            readable=given.to_read(
                models.values(),
                self.config.data,
                self._images,
                copies.copies(),
                self.config.checks,
            ),
        )

    def _with_environment(self) -> ModelFiles:
        """The model's files with a digest that depends on its requirements too, if they decide."""
        if not self._own_environment:
            return self.files
        causes = {"environment": self.config.environment, "requirements": self._requirements}
        return replace(self.files, digest=key_of(model=self.files.digest, **causes))

    def _python(self) -> Python | None:
        """The Python of the environment that the config asks for. Raises AuditError."""
        if self.config.environment is None or not self._own_environment:
            return None
        return environments.built(self.config.environment, self._requirements)

    @property
    def _own_environment(self) -> list[ModelFiles]:
        """The models from whose requirements an environment is made.

        To install them runs code, so the auditor must trust the names of the models.
        """
        models = (self.files, self.reference_files, *self.version_files.values())
        return [one for one in models if one and one.named and self.config.environment]

    @property
    def _requirements(self) -> list[str]:
        found = [missing.requirements(Path(one.folder)) for one in self._own_environment]
        return environments.wanted([line for lines in found for line in lines])

    def expect_unchanged(self) -> None:
        """Raises AuditError if the model's files are no longer those that were inspected."""
        if different := changed(self.files.sha256, sha256_by_path(Path(self.files.folder))):
            raise AuditError(
                "Expected the model's files to stay as they were while it ran, but "
                f"{few(different)} changed. Look at the model's code before you run it again."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as the model takes it."""
        channels, height, width = self.images.tensor([0]).shape[1:]
        return channels, height, width

    def _settled(self) -> AuditConfig:
        checks = tuple(c.settled(self.shape) for c in self.config.checks)
        return self.config.model_copy(update={"checks": checks, "data": self.config.data.settled()})

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about model and data for a reader of the evidence."""
        notes = [*self.files.warnings, *self.images.adaptations()]
        notes += [*self.images.notes(), *self.images.weaknesses()]
        if self.files.unserved:
            notes.append(
                f"Only the flavour {self.files.flavour} was audited, since the config says that it "
                f"is served. Not audited: {'; '.join(self.files.unserved)}."
            )
        if self.config.environment and not self._own_environment:
            notes.append(
                "The model ran with the auditor's packages: an environment is made only for a "
                "model whose name is trusted, since to install its requirements runs code."
            )
        elif self.config.environment:
            notes.append("The model ran with the packages of its requirements.txt, and ours.")
        if self._classes.how != PLAIN:
            notes.append(self._classes.how)
        if self.reference_files is not None and self.reference_files.classes is None:
            notes.append(
                "The reference's metadata does not name its classes: the order of the audited "
                "model's is taken."
            )
        if unnamed := [uri for uri, one in self.version_files.items() if one.classes is None]:
            notes.append(
                f"The metadata of {few(unnamed)} do not name the classes: the order of the audited "
                "model's is taken."
            )
        return tuple(notes)

    @property
    def questions(self) -> tuple[str, ...]:
        """Sentences about facts that decide the figures and that nobody named.

        If there are any, the verdict is undecided.
        """
        asked = [*self.files.contract.questions, *self._classes.questions]
        asked += self.images.scan.questions
        scan = self.images.scan
        if scan.transparent and "alpha" not in self.files.contract.sources:
            asked.append(
                f"{scan.transparent} of {scan.alphas} images with an alpha channel that were "
                "looked at have transparent parts, and nobody named the colour behind them: set "
                "preprocessing.alpha to [red, green, blue] in [0, 1], or to drop."
            )
        beside = {"the reference": self.reference_files, **self.version_files}
        for name, other in beside.items():
            if other is not None and (unnamed := other.contract.unnamed):
                asked.append(
                    f"Nobody named the {' and the '.join(unnamed)} of {name}'s images. Log it with "
                    'metadata={"preprocessing": {...}}: the config is about the audited model.'
                )
        return tuple(asked)

    @property
    def reference_digest(self) -> str | None:
        return self.reference_files.digest if self.reference_files else None

    @property
    def version_digests(self) -> dict[str, str]:
        """The digests of the other versions by their URIs."""
        return {uri: one.digest for uri, one in self.version_files.items()}

    @property
    def _versions(self) -> dict[str, Any]:
        """An addition to keys, if there are other versions; else empty."""
        return {"versions": self.version_digests} if self.version_digests else {}

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
            looks=LOOKS,
            model=self.files.digest,
            reference=self.reference_digest,
            preprocessing=self.preprocessing,
            data=self.data_digest,
            checks=[
                check.model_dump(mode="json")
                | {"version": check.version, **check.outside(self.images)}
                for check in self.config.checks
            ],
            engine=self.config.engine.fixed,
            seed=self.config.seed,
            **self._columns,
            **self._versions,
            **self.without_isolation,
        )

    @property
    def _columns(self) -> dict[str, str]:
        """An addition to the digest, if checks look at columns of the data's table; else empty."""
        names = {name for check in self.config.checks for name in check.data_columns()}
        return {"columns": self.images.columns_digest(sorted(names))} if names else {}

    @property
    def without_isolation(self) -> dict[str, str]:
        """An addition to keys, if the model's process is not isolated; else empty.

        By it an isolated audit takes no measurement that was made without isolation. The kind of
        isolation changes no figure and is not in the keys.
        """
        return {"isolation": "none"} if self.config.isolation == "none" else {}
