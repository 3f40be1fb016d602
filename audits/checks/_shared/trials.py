"""Trials of fills: changes that an honest drawing stands, and a trick of the network does not.

The paper has no such figures. They are no proof: a network can be made to stand these trials too.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audits.checks._shared.fill import NULL, recognise
from audits.checks._shared.moves import default_shift, moved
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.intervals import paired_difference, proportion
from audits.evidence.metric import DefaultBounds, Metric, Null, Pairing
from fillblanks import expected_fill, shuffled
from fillblanks.fills.expected import draw_limit
from fillblanks.masks import keys

MOVED = "moved by a pixel or a few"
UNMOVED_NULL = Null(f"{NULL.title}, not moved")
"""Of moved drawings: pixels at random places are at random places after a move too."""

NOISE = "of masked images with noise in their blanks"
_MOST_SAMPLES = 64  # accepted draws of a fill of noise, which need not be a fine one
_NOISE_DRAW = -4  # masks use keys of the draws 0, 1, ...
_BOUNDS = DefaultBounds(max_drop=0.2)  # wide, for gross differences alone
_MOST_FALL = 0.5  # chosen after looking at the networks of docs/exam.md


def trial(
    name: str, title: str, column: str, null: Null, clause: str, guards: str
) -> dict[str, Metric]:
    """Declares the accuracy of fills in a trial, and how much of it the trial takes.

    The predicted classes of the fills in the trial are in `column`; `guards` is the metric of the
    fills as they are.
    """
    return {
        name: Metric(
            title,
            null=null,
            pairing=Pairing(column, "accuracy", same_size=True),
            bounds=_BOUNDS,
            about_learning=True,
            clause=clause,
        ),
        f"{name}_fall": Metric(
            f"{title}: fewer than without the change by",
            better="lower",
            unit="difference",
            guards=guards,
            bounds=DefaultBounds(max=_MOST_FALL),
        ),
    }


def trial_measured(
    declared: Mapping[str, Metric], name: str, table: pd.DataFrame, columns: tuple[str, str, str]
) -> dict[str, Metric]:
    """The metrics that `trial` declares.

    `columns` are those of the predicted classes of the fills as they are, in the trial, and of the
    nulls.
    """
    label = table["label"].to_numpy()
    plain, changed, by_null = (label == table[column].to_numpy() for column in columns)
    lift = paired_difference(changed, by_null)
    fall = paired_difference(plain, changed)
    return {
        name: declared[name].measured(proportion(changed), proportion(by_null), lift),
        f"{name}_fall": declared[f"{name}_fall"].measured(fall),
    }


class PrototypeTrials:
    """The trials of a prototype: moved, and made with noise in the blanks.

    The null of the first is that of the drawings where they are (`UNMOVED_NULL`); the second has
    its own, the pixels of its own drawings at random places.
    """

    _names: ClassVar[dict[str, tuple[str, str, str, Null]]] = {
        "prototype_accuracy_moved": (MOVED, "prototype_moved", "prototype_null", UNMOVED_NULL),
        "prototype_accuracy_noise": (NOISE, "noise", "noise_null", NULL),
    }
    columns = ("prototype_moved", "noise", "noise_null", "noise_drawn")

    @classmethod
    def declared(cls) -> dict[str, Metric]:
        """The metrics, not measured yet."""
        found: dict[str, Metric] = {}
        for name, (told, column, _, null) in cls._names.items():
            clause = f"recognises {{}} of its own drawings, {told}"
            title = f"own drawing recognised, {told}"
            found |= trial(name, title, column, null, clause, "prototype_accuracy")
        return found

    @classmethod
    def measured(cls, table: pd.DataFrame) -> dict[str, Metric]:
        """The metrics, from a table with all `columns`, `label` and `prototype`."""
        declared = cls.declared()
        found: dict[str, Metric] = {}
        for name, (_, column, null, _) in cls._names.items():
            found |= trial_measured(declared, name, table, ("prototype", column, null))
        return found


def recognised_moved(
    audit: AuditContext, fill: Tensor, found: Tensor, indices: tuple[int, ...]
) -> np.ndarray:
    """Predicted classes of fills (n, C, H, W), moved by `default_shift`; -1 where not `found`.

    A mark that a network hides in its gradient and looks for at its place is lost then.
    """
    pixels = default_shift(*fill.shape[2:])
    return recognise(audit, moved(fill, audit.seed, indices, pixels), found)


def noise_samples(samples: int) -> int:
    """Accepted draws of `recognised_in_noise`, if the check takes `samples` an image."""
    return min(samples, _MOST_SAMPLES)


def recognised_in_noise(
    audit: AuditContext, images: Tensor, labels: Tensor, unit: Unit, options: Mapping[str, Any]
) -> Part:
    """Predicted classes of prototypes from masked images whose blanks hold noise, and their nulls.

    A network that draws only if it sees blanks of one value has no drawing then. The noise is
    uniform in [0, 1], a pure function of seed and image. `options` are those of `expected_fill`.
    """
    indices = torch.tensor(unit.indices)
    count = images[0].numel()
    drawn = keys(audit.seed, indices, torch.full_like(indices, _NOISE_DRAW), count)
    noise = (drawn & 0xFFFFFF).to(images.dtype) / 0xFFFFFF
    changed: dict[str, Any] = {
        "blank_value": noise.view_as(images),
        "samples": noise_samples(options["samples"]),
        "max_draws": None,
        "tolerance": None,
    }
    fill = expected_fill(
        audit.classifier,
        images,
        labels,
        seed=audit.seed,
        indices=indices,
        plan=audit.plan,
        **{**options, **changed},
    )
    everywhere = torch.ones_like(fill.blank)
    null = shuffled(fill.prototype, everywhere, seed=audit.seed, indices=indices)
    return {
        "noise": recognise(audit, fill.prototype, fill.found),
        "noise_null": recognise(audit, null, fill.found),
        "noise_drawn": fill.drawn.numpy(),
    }


def noise_form(unit: Unit, samples: int, classes: int) -> dict[str, Array]:
    """The form of the arrays that `recognised_in_noise` gives."""
    n, most = len(unit.indices), draw_limit(noise_samples(samples), None)
    seen = {name: Array("int", (n,), -1, classes - 1) for name in ("noise", "noise_null")}
    return {**seen, "noise_drawn": Array("int", (n,), 0, most)}
