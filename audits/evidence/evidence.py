"""Evidence: all findings of one check about a model."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from audits.evidence.estimate import Estimate
from audits.evidence.metric import Metric, named_figures

Status = Literal["ok", "error", "not_applicable"]


Shows = Literal[
    "image",
    "mistaken",  # an image that is named wrong
    "masked",
    "update",
    "drawing",  # the model's own, of the image
    "blanks",  # the image with its blanks filled
    "class",  # the drawing of the whole class
    "filled",  # the image wholly filled in
    "nearest",  # the real image that is nearest to the drawing of the class
    # Of `completion`.
    "photograph",
    "smooth",  # its blanks interpolated smoothly
    "completed",  # for its class
    "foil",  # completed for another class
    # Of `class_pictures`.
    "noise",
    "asked",  # the picture of a class
    "rests",  # the parts of it on which the class rests
    # Of `swap`.
    "donor",  # an image of the class, which gives a piece
    "other",  # an image of another class
    "pasted",  # the same with the piece
    "places",  # of the pieces
    # Of `robustness`.
    "corrupted",  # an image under a corruption, which the picture's caption names
    # Of `evidence`.
    "looked_at",
    "evidence",  # the map of the patches on which the image's answer rests
    # Of `agreement`, beside "looked_at" and "evidence".
    "evidence_other",  # the map of another version of the model
    # Of `human_maps`, beside "looked_at" and "evidence".
    "people",  # where people look
    # Of `planted_defect`, beside "other", "pasted" and "places".
    "pattern",
    # Of `concepts`.
    "patches",  # the best ones of a concept
    "heat",  # where an image has the concept
    # Of `sufficient_patches`, beside "looked_at".
    "enough",  # the patches that suffice, on blank
    "rest",  # the image without them
    # Of `blank_proof` and `blank_attack`, beside "looked_at".
    "tried",  # the blanks that were tried
    "hidden",  # the blank in which the answer is the least sure
    "worst",  # the fill of it that comes closest to another answer
]
"""What a picture shows."""


Reader = Literal["model", "reference"]


class Seen(NamedTuple):
    """What a picture shows, of which image, and the class that its reader sees in it."""

    shows: Shows
    image: int | None  # its index in the data set; None for a whole class
    label: int  # the true class, or the class that is drawn
    read_as: int | None = None  # predicted class, -1 for none, None if nobody was asked
    missing: str = ""  # why there is nothing to see: "no draw accepted"
    reader: Reader = "model"  # whose prediction `read_as` is
    probability: float | None = None  # of `read_as`, by the reader; None if unknown
    place: int | None = None  # of `label` among the reader's classes, from 1; None if unknown


@dataclass(frozen=True)
class Picture:
    """One picture of a slider: `key` names the slider, `step` the position in it."""

    key: str
    step: int
    image: np.ndarray  # uint8 (H, W) or (H, W, 3)
    caption: str  # name of this step; the same for all keys of a check
    small: bool = True  # can be seen in the contact sheet, whose cells are small
    title: str = ""  # the slider's name for people; "" for the last part of its key
    seen: Seen | None = None  # of the picture of a class or of one of its images

    @property
    def name(self) -> str:
        """The slider's name for people."""
        return self.title or self.key.rsplit("/", 1)[-1]


class Evidence(BaseModel):
    """The findings of one check. Only status "ok" can count towards a passed verdict."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    check: str  # the check's name, unique in the audit
    sentence: str  # the meaning of the findings, in plain words
    status: Status = "ok"
    reason: str = ""  # why not ok
    metrics: dict[str, Metric] = {}  # names without the check's
    images: pd.DataFrame | None = None  # a row for each image, indexed by the image's index
    tables: dict[str, pd.DataFrame] = {}  # other tables, by name
    pictures: tuple[Picture, ...] = ()
    examples: tuple[Picture, ...] = ()  # further pictures for the report alone, each with `seen`
    legend: tuple[str, ...] = ()  # sentences that say how to read the pictures
    questions: tuple[str, ...] = ()  # that must be settled before any verdict but undecided
    passes: int = 0  # images that went through the model for this check
    detail: str = ""  # the traceback of an error

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Every figure by its name: metrics, their nulls, lifts and drops."""
        return {
            name: named.estimate
            for name, named in named_figures(self.metrics).items()
            if named.estimate is not None
        }

    @property
    def named_estimates(self) -> dict[str, Estimate]:
        """Every figure by its full name, `<check>/<metric>`."""
        return {f"{self.check}/{name}": estimate for name, estimate in self.estimates.items()}

    @property
    def coverage(self) -> Metric | None:
        """The share of images for which the check has a result; None if it declares none."""
        return next((m for m in self.metrics.values() if m.is_coverage), None)

    def metric_behind(self, metric: str) -> str:
        """The metric whose lift, if it has one, must be above 0 for `metric` to count."""
        return self.metrics[metric].rests_on or metric


def failed_evidence(check: str, status: Status, reason: str, detail: str = "") -> Evidence:
    """Evidence without metrics, for a check that did not end well, and the reason."""
    word = "does not apply" if status == "not_applicable" else "did not finish"
    return Evidence(
        check=check,
        sentence=f"The check {word}: {reason}",
        status=status,
        reason=reason,
        detail=detail,
    )
