"""Completed images: photograph, blanks, null and both fills of an image, and how they were read.

The first screen, the contact sheet and the strip show them instead of the fills of one step if the
images are photographs, or if those fills show nothing.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from audits.checks._shared.images import value_in
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence, Picture, Shows
from audits.report.readings import class_name

HEADS: dict[Shows, str] = {
    "photograph": "photograph",
    "masked": "blanked",
    "smooth": "smooth fill (null)",
    "completed": "filled for its class",
    "foil": "filled for another class",
}
"""What is shown of an image, from left to right. The check names the share that is blank."""

_ASKED: tuple[Shows, ...] = ("photograph", "completed", "foil")
_ONE_STEP: tuple[Shows, ...] = ("drawing", "filled")
_SMALL = 64  # pixels of the longer side; larger images are taken for photographs


class Shot(NamedTuple):
    """One picture of an image."""

    head: str
    picture: Picture
    of: str  # the class of the photograph, or that a fill was asked for; "" for blanks and null


class Completed(NamedTuple):
    """An image with its blanks, null and fills."""

    name: str  # of its class
    shots: tuple[Shot, ...]
    told_apart: bool | None  # whether the reference tells its two fills apart; None without one


def completed(evidence: Sequence[Evidence], classes: Sequence[str]) -> list[Completed]:
    """The images that were completed, those first whose two fills the reference tells apart worst.

    `classes` are the names in the order of the model's logits. Without a reference the images stand
    in the order of their classes. Empty if no check completed images.
    """
    one = _completing(evidence)
    return [] if one is None else of_check(one, classes)


def of_check(evidence: Evidence, classes: Sequence[str]) -> list[Completed]:
    """The images that one check completed, as in `completed`."""
    found = [
        {p.seen.shows: p for p in pictures if p.seen is not None}
        for _, pictures in groupby(evidence.pictures, key=lambda picture: picture.key)
    ]
    images = [shown for shown in found if "completed" in shown]
    images.sort(key=lambda shown: _gap(evidence, shown["completed"]))
    return [
        Completed(
            class_name(_label(shown["completed"]), classes),
            tuple(
                Shot(
                    shown[what].caption if what == "masked" else head,
                    shown[what],
                    class_name(_label(shown[what]), classes) if what in _ASKED else "",
                )
                for what, head in HEADS.items()
                if what in shown
            ),
            _told_apart(evidence, shown["completed"]),
        )
        for shown in images
    ]


def come_first(evidence: Sequence[Evidence]) -> bool:
    """Whether completed images are shown first, and not the fills of one step."""
    one = _completing(evidence)
    if one is None:
        return False
    natural = max(one.pictures[0].image.shape[:2]) > _SMALL
    lifts = _lifts(evidence)
    return natural or all(lift.low <= 0 for _, lift in lifts)


def note(evidence: Sequence[Evidence]) -> str:
    """A line that says that fills of one step show nothing, if that is so; else empty."""
    one, lifts = _completing(evidence), _lifts(evidence)
    if one is None or not lifts or any(lift.low > 0 for _, lift in lifts):
        return ""
    checks = " and ".join(check for check, _ in lifts)
    return (
        f"Fills of one step are recognised no more often than their null ({checks}), so look at "
        f"the blanks that were filled in many steps ({one.check})."
    )


def spread(count: int, most: int) -> list[int]:
    """`most` places of `count`, evenly from the first to the last; of one the middle, or all."""
    if count <= most:
        return list(range(count))
    if most == 1:
        return [count // 2]
    return [round(at * (count - 1) / (most - 1)) for at in range(most)]


def told_order(shown: int, images: Sequence[Completed]) -> str:
    """A sentence about the images of a check that are shown, and about their order."""
    count = len(images)
    if images and images[0].told_apart is None:
        return f"{shown} of {count} images" if shown < count else f"{count} images"
    of = f"{shown} of {count} images" if shown < count else f"{count} images"
    return f"{of}, from the worst told apart to the best" if count > 1 else of


def _completing(evidence: Sequence[Evidence]) -> Evidence | None:
    """The first check that completed images and has pictures of them."""
    return next((one for one in evidence if is_of_completion(one)), None)


def is_of_completion(evidence: Evidence) -> bool:
    """Whether the pictures of a check are of completed images."""
    return any(p.seen is not None and p.seen.shows == "completed" for p in evidence.pictures)


def _lifts(evidence: Sequence[Evidence]) -> list[tuple[str, Estimate]]:
    """Of each check with fills of one step: its name, and the lift that a sentence tells."""
    return [(one.check, lift) for one in evidence if (lift := next(_told_lifts(one), None))]


def _told_lifts(evidence: Evidence) -> Iterator[Estimate]:
    if any(p.seen is not None and p.seen.shows in _ONE_STEP for p in evidence.pictures):
        for metric in evidence.metrics.values():
            if metric.clause and metric.about_learning and metric.lift and metric.lift.finite:
                yield metric.lift


def _label(picture: Picture) -> int:
    assert picture.seen is not None
    return picture.seen.label


def _gap(evidence: Evidence, picture: Picture) -> float:
    return _of_image(evidence, picture, "gap", 0.0)


def _told_apart(evidence: Evidence, picture: Picture) -> bool | None:
    choice = _of_image(evidence, picture, "forced_choice", -1.0)
    return None if choice < 0 else choice == 1


def _of_image(evidence: Evidence, picture: Picture, column: str, default: float) -> float:
    table, seen = evidence.images, picture.seen
    if table is None or column not in table or seen is None or seen.image is None:
        return default
    return value_in(table, seen.image, column)
