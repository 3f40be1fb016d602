"""Pictures of a past audit, read from its run and compared with the hashes in its evidence.json."""

import io
import logging
import re
from collections.abc import Mapping
from typing import Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from PIL import Image

from audits.evidence.codec import is_picture
from audits.evidence.evidence import Evidence, Picture, Seen
from audits.tracking.reader import NotVerified, PastAudit, artifact

log = logging.getLogger(__name__)

# MLflow's names of images: a slash of the key is ~ or #, and between the parts is + or %.
_NAME = re.compile(r"images/(?P<key>[^+%]+)[+%]step[+%](?P<step>\d+)[+%]timestamp[^/]*\.png")
_LONGEST_SIDE = 20_000


def with_pictures(audit: PastAudit) -> tuple[Evidence, ...]:
    """The evidence with the pictures that stand beside those of a later audit.

    A picture that cannot be read, or has another hash than the evidence says, is left out. Audits
    of older releases have no hashes.
    """
    shown = {one["check"]: one.get("shown", []) for one in audit.content["checks"]}
    if not any(shown.values()):
        return audit.evidence
    try:
        names = _names(audit.run_id)
    except MlflowException as error:
        log.warning("The pictures of run %s are not used: %s", audit.run_id, error)
        return audit.evidence
    return tuple(
        one.model_copy(update={"pictures": _pictures(audit.run_id, shown[one.check], names)})
        for one in audit.evidence
    )


def _names(run_id: str) -> dict[tuple[str, int], str]:
    """The path of each image of a run, by key and step."""
    found = {}
    for one in mlflow.MlflowClient().list_artifacts(run_id, "images"):
        if match := _NAME.fullmatch(one.path):
            found[re.sub("[~#]", "/", match["key"]), int(match["step"])] = one.path
    return found


def _pictures(
    run_id: str, shown: list[dict[str, Any]], names: Mapping[tuple[str, int], str]
) -> tuple[Picture, ...]:
    found = []
    for one in shown:
        try:
            path = names[one["key"], one["step"]]
            image = _pixels(artifact(run_id, path), one)
            seen = Seen(*one["seen"])
            words = {"caption": one["caption"], "title": one["title"], "seen": seen}
            found.append(Picture(one["key"], one["step"], image, **words))
        except (KeyError, TypeError, NotVerified) as error:
            log.warning("A picture of run %s is not used: %s", run_id, error)
    return tuple(found)


def _pixels(raw: bytes, shown: dict[str, Any]) -> np.ndarray:
    """The pixels as they were before they were enlarged for MLflow. Raises NotVerified."""
    try:
        with Image.open(io.BytesIO(raw), formats=["PNG"]) as image:
            if max(image.size) > _LONGEST_SIDE:
                raise NotVerified("it is too large")
            large = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NotVerified(f"it is no PNG: {error}") from error
    factor = max(1, large.shape[0] // shown["shape"][0])
    small = np.ascontiguousarray(large[::factor, ::factor])
    if not is_picture(small, shown):
        raise NotVerified("it is not the one that was logged")
    return small
