"""Evidence of `completion` from pictures of one colour each."""

from dataclasses import replace

import numpy as np
import pandas as pd

from audits.checks.completion import Completion
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence, Picture, Seen

ORDER = ("photograph", "masked", "smooth", "foil", "completed")  # of a slider's steps
CLASSES = ("cup", "espresso", "teapot", "bull mastiff", "goose", "dung beetle", "yurt", "jeep")


def colour(label: int, shows: str) -> tuple[int, int, int]:
    """A colour of its own for each picture, never grey."""
    return (30 + 45 * ORDER.index(shows), 3 + 25 * label, 250 - 11 * label)


def completion(
    count: int = 2,
    side: int = 96,
    gaps: tuple[float, ...] = (),
    *,
    reference: bool = True,
    place: int = 2,
) -> Evidence:
    """Evidence of `count` images, one of each class, `side` pixels wide.

    The foil is the next class. Photographs and both fills are read right, but the completed image
    of class 0 is read as class 1, and its own class is guessed at a `place`. Blanks and nulls are
    read as the last class. `gaps` are in nats; with 0 or less the fills are not told apart.
    """
    gaps = gaps or tuple(1.0 + n for n in range(count))
    last = len(CLASSES) - 1
    pictures = []
    for label in range(count):
        foil = (label + 1) % len(CLASSES)
        for step, (shows, caption) in enumerate(
            zip(ORDER, Completion(mask_ratio=0.75).captions(), strict=True)
        ):
            of = foil if shows == "foil" else label
            read = last if shows in ("masked", "smooth") else of
            if label == 0 and shows == "completed":
                read = 1
            seen = Seen(
                shows,
                10 + label,
                of,
                read,
                reader="reference" if reference else "model",
                probability=0.84 if read == of else 0.4,
                place=1 if read == of else 7 if read == last else place,
            )
            image = np.full((side, side, 3), colour(label, shows), np.uint8)
            key = f"completion/{CLASSES[label]}"
            pictures.append(Picture(key, step, image, caption, title=CLASSES[label], seen=seen))
    images = pd.DataFrame({"label": range(count)}, index=pd.RangeIndex(10, 10 + count))
    if reference:
        choice = [float(gap > 0) for gap in gaps]
        images = images.assign(gap=gaps, forced_choice=choice)
    return Evidence(
        check="completion",
        sentence="With three quarters of the image blank, fills were told apart.",
        images=images,
        pictures=tuple(pictures),
    )


def with_lift(evidence: Evidence, low: float) -> Evidence:
    """The evidence with this lower end of the lift of its accuracy."""
    lift = Estimate(low + 0.1, low, low + 0.2, 100)
    metrics = {
        name: replace(metric, lift=lift) if metric.lift else metric
        for name, metric in evidence.metrics.items()
    }
    return evidence.model_copy(update={"metrics": metrics})
