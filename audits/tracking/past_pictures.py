"""Pictures that a later audit shows beside its own: pictures.npz of a run, and how it is read."""

import hashlib
import io
import itertools
import logging
import zipfile
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from audits.evidence.codec import is_picture, to_json
from audits.evidence.evidence import Evidence, Picture, Seen, Shows
from audits.tracking.reader import NotVerified, PastAudit, artifact

log = logging.getLogger(__name__)

FILE = "pictures.npz"
_MOST_BYTES = 256 << 20  # of all pictures


class _Shown(BaseModel):
    """One picture as evidence.json describes it."""

    model_config = ConfigDict(frozen=True)

    key: str
    step: int
    caption: str
    title: str
    seen: tuple[Shows, int | None, int, int | None, str]
    shape: list[int]
    sha256: str


_SHOWN = TypeAdapter(list[_Shown])


def pictures_file(evidence: Sequence[Evidence]) -> bytes | None:
    """The pictures that evidence.json describes under `shown`, as they are; None without any."""
    found = []
    for one in evidence:
        pictures = {(picture.key, picture.step): picture.image for picture in one.pictures}
        found += [pictures[shown["key"], shown["step"]] for shown in to_json(one)["shown"]]
    if not found:
        return None
    buffer = io.BytesIO()
    np.savez_compressed(buffer, *found)  # named arr_0, arr_1, ...
    return buffer.getvalue()


def with_pictures(audit: PastAudit) -> tuple[Evidence, ...]:
    """The evidence with the pictures that stand beside those of a later audit.

    A picture that cannot be read, or has another hash than the evidence says, is left out. Audits
    of older releases have no pictures.
    """
    try:
        shown = {
            one["check"]: _SHOWN.validate_python(one.get("shown", []))
            for one in audit.content.checks
        }
        if not any(shown.values()):
            return audit.evidence
        pixels = _pixels(audit)
    except (NotVerified, ValidationError) as error:
        log.warning("The pictures of run %s are not used: %s", audit.run_id, error)
        return audit.evidence
    places = itertools.count()
    found = {
        check: [(one, pixels.get(f"arr_{next(places)}")) for one in words]
        for check, words in shown.items()
    }
    return tuple(
        one.model_copy(update={"pictures": _pictures(audit.run_id, found[one.check])})
        for one in audit.evidence
    )


def _pixels(audit: PastAudit) -> dict[str, np.ndarray]:
    """All arrays of the file. Raises NotVerified unless it is the file that was logged."""
    raw = artifact(audit.run_id, FILE, _MOST_BYTES)
    if hashlib.sha256(raw).hexdigest() != audit.content.files.get(FILE):
        raise NotVerified(f"its {FILE} is not the one that was logged")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
                raise NotVerified(f"its {FILE} is too large")
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise NotVerified(f"its {FILE} cannot be read: {error}") from error


def _pictures(
    run_id: str, shown: Sequence[tuple[_Shown, np.ndarray | None]]
) -> tuple[Picture, ...]:
    found = []
    for one, image in shown:
        if image is None or not is_picture(image, one.model_dump()):
            log.warning("A picture of run %s is not the one that was logged", run_id)
            continue
        seen = Seen(*one.seen)
        found.append(Picture(one.key, one.step, image, one.caption, title=one.title, seen=seen))
    return tuple(found)
