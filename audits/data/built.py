"""Builds an ImageSet from arrays in memory, or from image files that are looked at first."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from audits.data.encoded import Encoded, scaled
from audits.data.imageset import ImageSet
from audits.data.pixels import Pixels
from audits.data.scan import DEPTHS_LOOKED_AT, Scan, depth_question, named, scan
from audits.data.table_columns import TableColumns
from audits.errors import AuditError
from audits.strict import Count, Strict

Bits = Annotated[int, Field(ge=9, le=16)]
_DIGITS = 10  # of names that are numbers, at most


class DataKind(Strict):
    """A kind of data set: its fields are what a config may set."""

    # Whether its images come with a library, so that no field names a file, a folder or a server.
    comes_with_a_library: ClassVar[bool] = False

    secret: bool = Field(
        default=False,
        description="take the data set as a pool, from which each audit draws a sample of its own",
    )
    sample: Count | None = Field(
        default=None, description="images of a secret sample, at most half of the pool's"
    )
    sample_seed: int | None = Field(
        default=None,
        ge=0,
        lt=1 << 63,
        description="repeats an audit: the seed of its secret sample, which its evidence names",
    )

    @model_validator(mode="after")
    def _sample_is_whole(self) -> Self:
        if self.secret and self.sample is None:
            raise ValueError("expected sample, the number of images to draw, with secret: true")
        for name in ("sample", "sample_seed"):
            if not self.secret and getattr(self, name) is not None:
                raise ValueError(f"expected secret: true with {name}, got secret: false")
        return self

    @abstractmethod
    def load(self) -> ImageSet:
        """Reads the data set. Raises AuditError if it is not as the config describes it."""

    def settled(self) -> "DataKind":
        """The same data set without a question to MLflow: a process without network can load it."""
        return self


class OfFiles(DataKind):
    """Settings of every kind that reads image files."""

    unreadable: Literal["refuse", "skip"] = Field(
        default="refuse", description="skip: leave out images that cannot be read, and say so"
    )
    bits: Bits | None = Field(
        default=None, description="depth of grey images that are stored in 16 bits; white is all 1"
    )


def of_arrays(
    name: str, images: Any, labels: Any, classes: Sequence[str], bits: int | None = None
) -> ImageSet:
    """Images (N, H, W) or (N, H, W, C) in memory. `bits` is the depth of those of 16 bits."""
    images = np.asarray(images)
    native = images.dtype.newbyteorder("=")
    deep = len(images) if native == np.uint16 else 0
    asked = depth_question(list(images[:DEPTHS_LOOKED_AT])) if deep and bits is None else []

    def read(i: int) -> Pixels:
        try:
            return Pixels(scaled(images[i].astype(native, copy=False), bits))
        except ValueError as error:
            raise AuditError(
                f"Expected images of {bits} bits in {name}, image {i} has {error}."
            ) from error

    def content(i: int) -> bytes:
        kind = (images.dtype.str, images[i].shape, *([bits] if bits else []))
        return repr(kind).encode() + images[i].tobytes()

    return ImageSet(
        name=name,
        classes=tuple(classes),
        labels=np.asarray(labels, dtype=np.int64),
        read=read,
        content=content,
        scan=Scan(images=len(images), questions=tuple(asked), deep=deep),
    )


def of_files(
    name: str,
    images: Sequence[Encoded],
    labels: Sequence[int],
    classes: Sequence[str],
    config: OfFiles,
    notes: Sequence[str] = (),
    columns: TableColumns | None = None,
) -> ImageSet:
    """Image files, or their bytes. Raises AuditError if one cannot be read, unless skipped.

    `columns` have a row for each of `images`.
    """
    bits = config.bits
    found = scan(images, bits).noting(notes)
    if found.skipped and config.unreadable == "refuse":
        raise AuditError(
            f"Expected images that can be read in {name}, {len(found.skipped)} of {len(images)} "
            f"cannot: {named(found.skipped)}. Mend them, or set data.unreadable: skip."
        )
    lost = set(found.lost)
    kept = [i for i in range(len(images)) if i not in lost]
    chosen = [images[i] for i in kept]
    depth = b"" if bits is None else f"{bits} bits ".encode()
    return ImageSet(
        name=name,
        classes=tuple(classes),
        labels=np.asarray([labels[i] for i in kept], dtype=np.int64),
        read=lambda i: chosen[i].pixels(bits),
        content=lambda i: depth + chosen[i].content(),
        stamp=lambda i: chosen[i].stamp(),
        scan=found,
        files=tuple(image.path for image in chosen if image.path is not None),
        columns=(columns or TableColumns()).part(kept),
    )


def by_name(values: Sequence[str]) -> tuple[list[int], list[str]]:
    """Label indices and class names, sorted; whole numbers below a billion by their value."""
    names = sorted(set(values))
    if names and all(name.isdecimal() and len(name) < _DIGITS for name in names):
        names.sort(key=lambda name: (int(name), name))
    place = {name: i for i, name in enumerate(names)}
    return [place[value] for value in values], names
