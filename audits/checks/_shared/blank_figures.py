"""Figures of `blank_proof` and `blank_attack`: shares of cases, and a table of the weakest ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from audits.checks._shared.blank_pictures import State
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from audits.evidence.intervals import bounded_mean, paired_mean_difference, proportion
from audits.evidence.metric import Metric, Pairing
from fillblanks.masks import grid_shape

_LISTED = 30
_WORDS = {
    State.BROKEN: "broken",
    State.PROVEN: "proven",
    State.UNDECIDED: "undecided",
}

COLUMN_WORDS = {
    "image": "number of the image",
    "row": "first row of the blank",
    "column": "first column of the blank",
    "answer": "the answer",
    "known": "what is known",
    "read": "read as, with the worst fill",
    "margin": "smallest margin found",
    "bound": "no fill has a smaller margin than",
}
"""The columns of the table of cases, in words."""


def declared_of_attacks() -> dict[str, Metric]:
    """The metrics of both checks, not measured yet."""
    return {
        "broken": Metric(
            "blanks in which a fill was found that changes the answer",
            better="lower",
            pairing=Pairing("broken", "mean", same_size=True),
            clause="changes its answer for some fill of {} of the blanks tried",
        ),
        "random_broken": Metric(
            "blanks in which one of as many random fills changes the answer", better="lower"
        ),
        "search_gain": Metric(
            "blanks that the search breaks beyond random fills", better="lower", unit="difference"
        ),
        "coverage": Metric("images that have an answer", is_coverage=True),
    }


def states_of(part: Part) -> np.ndarray:
    """What is known of each case, int (n, b); `best` (n, b), if there, are lower bounds."""
    read = part["read"][:, None]
    states = np.full(part["blank"].shape, int(State.UNDECIDED))
    if "best" in part:
        states[part["best"] > 0] = State.PROVEN
    states[part["worst_read"] != read] = State.BROKEN
    # Of an image without an answer nothing can be known.
    return np.where(read < 0, int(State.UNDECIDED), states)


def all_states(parts: Sequence[Part]) -> np.ndarray:
    """The states of all cases, int (n, b)."""
    return np.concatenate([states_of(part) for part in parts])


def measured_of_attacks(parts: Sequence[Part]) -> dict[str, Metric]:
    """The metrics of both checks, with intervals over images, since their blanks are alike.

    An image without an answer has none that a fill could change: it counts for the coverage alone,
    and never as an image whose answer stays. Raises NotApplicable if no image has an answer.
    """
    metrics, answered = declared_of_attacks(), _answered(parts)
    if not answered.any():
        raise NotApplicable(
            f"Expected images for which the model has an answer, got none of {len(answered)}: it "
            "gives NaN or infinity."
        )
    broken = (all_states(parts)[answered] == State.BROKEN).mean(1)
    by_chance = random_broken(parts)[answered].mean(1)
    return {
        "broken": metrics["broken"].measured(bounded_mean(broken)),
        "random_broken": metrics["random_broken"].measured(bounded_mean(by_chance)),
        "search_gain": metrics["search_gain"].measured(paired_mean_difference(broken, by_chance)),
        "coverage": metrics["coverage"].measured(proportion(answered)),
    }


def _answered(parts: Sequence[Part]) -> np.ndarray:
    """Whether the model has an answer for each image, bool (n,)."""
    found: np.ndarray = np.concatenate([part["read"] for part in parts]) >= 0
    return found


def random_broken(parts: Sequence[Part]) -> np.ndarray:
    """Whether a random fill breaks each case, bool (n, b)."""
    read, by_chance = (
        np.concatenate([part[name] for part in parts]) for name in ("read", "random_read")
    )
    changed: np.ndarray = (by_chance != read[:, None]) & (read[:, None] >= 0)
    return changed


def images_table(parts: Sequence[Part], *, proof: bool) -> pd.DataFrame:
    """A row for each image: its classes, and the shares of its blanks by what is known of them.

    Beside another model, all blanks of an image without an answer count as broken.
    """
    columns = {
        name: np.concatenate([part[name] for part in parts]) for name in ("index", "label", "read")
    }
    states = all_states(parts)
    columns["broken"] = np.where(_answered(parts), (states == State.BROKEN).mean(1), 1.0)
    if proof:
        columns["proven"] = (states == State.PROVEN).mean(1)
        columns["undecided"] = (states == State.UNDECIDED).mean(1)
    return pd.DataFrame(columns).set_index("index").sort_index()


def cases_table(
    parts: Sequence[Part],
    shape: tuple[int, int, int],
    size: int,
    classes: Sequence[str],
) -> pd.DataFrame:
    """The weakest cases, at most 30: the broken ones first, then those with small margins."""
    of_grid = grid_shape(*shape[1:], size)[1]
    rows: list[tuple[tuple[bool, float], dict[str, object]]] = []
    for part in parts:
        states = states_of(part)
        for (image, number), blank in np.ndenumerate(part["blank"]):
            if part["read"][image] < 0:
                continue
            state = State(int(states[image, number]))
            top, left = divmod(int(blank), of_grid)
            read = int(part["worst_read"][image, number])
            margin = float(part["worst_margin"][image, number])
            row = {
                "image": int(part["index"][image]),
                "row": top * size,
                "column": left * size,
                "answer": classes[int(part["read"][image])],
                "known": _WORDS[state] if "best" in part or state == State.BROKEN else "no break",
                "read": classes[read] if read >= 0 else "no class",
                "margin": margin,
            }
            if "best" in part:
                row["bound"] = float(part["best"][image, number])
            rows.append(((state != State.BROKEN, margin), row))
    rows.sort(key=lambda one: one[0])
    columns = [name for name in COLUMN_WORDS if name != "bound" or "best" in parts[0]]
    return pd.DataFrame([row for _, row in rows[:_LISTED]], columns=columns)


def silent_told(parts: Sequence[Part]) -> str:
    """A sentence on the images without an answer, with a space before; empty if there are none."""
    silent = counted(parts)["silent"]
    if not silent:
        return ""
    return f" Images for which the model has no answer are left out: {silent:,}."


def counted(parts: Sequence[Part]) -> Mapping[str, int]:
    """Numbers of images with an answer, of blanks of each, and of cases by what is known.

    `silent` is the number of images without an answer, which have no cases here.
    """
    answered = _answered(parts)
    states = all_states(parts)[answered]
    return {
        "silent": int((~answered).sum()),
        "images": states.shape[0],
        "blanks": states.shape[1],
        "cases": states.size,
        "proven": int((states == State.PROVEN).sum()),
        "broken": int((states == State.BROKEN).sum()),
        "undecided": int((states == State.UNDECIDED).sum()),
        "random": int(random_broken(parts).sum()),
    }
