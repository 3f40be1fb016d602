"""The pictures of `blank_proof` and `blank_attack`: an image, its blanks, and the worst fill."""

from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np
import pandas as pd

from audits.checks._shared.images import class_in, picture, sliders
from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part
from audits.evidence.evidence import Picture, Seen, Shows
from fillblanks.bounds.attack import Cases, Worst


class State(IntEnum):
    """What is known of a case, an image and a blank."""

    UNDECIDED = 0
    PROVEN = 1
    BROKEN = 2


STEPS: dict[Shows, str] = {
    "looked_at": "the image",
    "tried": "blanks tried",
    "hidden": "weakest blank",
    "worst": "worst fill",
}
"""The pictures of one image, in their order."""

CAPTIONS = tuple(STEPS.values())
_COLOURS = {
    State.UNDECIDED: (255, 193, 7),
    State.PROVEN: (0, 121, 191),
    State.BROKEN: (211, 47, 47),
}
_OPACITY = 0.6


def legend(*, proof: bool) -> tuple[str, ...]:
    """Sentences that say how to read the pictures."""
    colours = "Red blanks have a fill that changes the answer; "
    colours += (
        "blue ones are proven to have none, of yellow ones neither is known."
        if proof
        else "of yellow ones none was found, which proves nothing."
    )
    return (
        "An image of each class, the blanks of it that were tried, the blank in which the answer "
        "is the least sure, and the fill found there that comes closest to another answer. The "
        "model reads the last picture.",
        colours,
    )


def shown(audit: AuditContext, unit: Unit, cases: Cases, worst: Worst, states: np.ndarray) -> Part:
    """`shown` uint8 (m, 4, H, W, 3), `shown_label` and `shown_read` (m,) of the m images shown.

    `states` are int (n, b), of all images of the unit.
    """
    count = states.shape[1]
    rows = [row for row, index in enumerate(unit.indices) if index in unit.shown]
    steps, read = [], []
    for row in rows:
        own = slice(row * count, (row + 1) * count)
        broken = states[row] == State.BROKEN
        # A break with a margin of 0 is worse than none with a smaller one.
        order = np.lexsort((worst.margins[own].numpy(), ~broken))
        weakest = row * count + int(order[0])
        image = picture(cases.images[weakest])
        tried = image.astype(float)
        for at, state in zip(range(own.start, own.stop), states[row], strict=True):
            tried = _coloured(tried, cases, at, _COLOURS[State(int(state))])
        hidden = _coloured(
            image.astype(float), cases, weakest, _COLOURS[_state(states, row, order)]
        )
        filled = picture(worst.images[weakest].float())
        steps.append(
            np.stack([image, *(p.round().astype(np.uint8) for p in (tried, hidden)), filled])
        )
        read.append(int(worst.read[weakest]))
    empty = np.zeros((0, len(STEPS), *audit.shape[1:], 3), np.uint8)
    return {
        "shown_label": audit.images.labels[[unit.indices[row] for row in rows]].astype(np.int64),
        "shown": np.stack(steps) if steps else empty,
        "shown_read": np.array(read, dtype=np.int64),
    }


def _state(states: np.ndarray, row: int, order: np.ndarray) -> State:
    return State(int(states[row, order[0]]))


def _coloured(
    values: np.ndarray, cases: Cases, row: int, colour: tuple[int, int, int]
) -> np.ndarray:
    """A picture (H, W, 3) with the blank of one case in a colour."""
    share = _OPACITY * cases.blanks[row, 0].numpy()[:, :, None]
    mixed: np.ndarray = values * (1 - share) + np.array(colour, dtype=float) * share
    return mixed


def pictures(
    check: str,
    audit: AuditContext,
    parts: Sequence[Part],
    table: pd.DataFrame,
    shown_image: Callable[[AuditContext, int], int | None],
) -> tuple[Picture, ...]:
    """A slider for each class that is shown."""
    read = {
        label: int(seen)
        for part in parts
        for label, seen in zip(part["shown_label"].tolist(), part["shown_read"], strict=True)
    }

    def seen(label: int) -> list[Seen]:
        index = shown_image(audit, label)
        plain = None if index is None else class_in(table, index, "read")
        by_step = {"looked_at": plain, "worst": read[label]}
        return [Seen(shows, index, label, by_step.get(shows)) for shows in STEPS]

    return sliders(parts, check, "", audit.classes, CAPTIONS, seen)
