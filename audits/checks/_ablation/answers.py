"""Answers of the model to prototypes: of every unit of an ablation, under every T."""

from collections.abc import Sequence

import torch

from audits.checks._ablation.cells import Variant, cell_estimates
from audits.checks._shared.fill import recognised, table_of
from audits.checks._shared.forms import recognised_form
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.estimate import Estimate
from audits.evidence.intervals import proportion
from fillblanks import shuffled, threshold

_COLUMNS = ("label", "accepted", "drawn")


def _mark(number: int, place: int) -> str:
    """The beginning of the names of arrays of one unit and one T."""
    return f"{number} {place} "


def answers(audit: AuditContext, parts: Sequence[Part], variants: Sequence[Variant]) -> Part:
    """Predicted classes of the prototypes of every unit under every T, and of their null."""
    found: Part = {}
    for number, part in enumerate(parts):
        update, indices = torch.from_numpy(part["update"]), torch.from_numpy(part["index"])
        everywhere = torch.ones_like(update[:, :1], dtype=torch.bool)
        drawn = torch.from_numpy(part["accepted"]) > 0
        for place, variant in enumerate(variants):
            prototype = threshold(update, everywhere, **variant._asdict())
            null = shuffled(prototype, everywhere, seed=audit.seed, indices=indices)
            columns = recognised(audit, {"prototype": (prototype, null)}, drawn)
            found |= {f"{_mark(number, place)}{name}": c for name, c in columns.items()}
    return found


def answers_form(audit: AuditContext, units: Sequence[Unit], variants: int) -> dict[str, Array]:
    """The form of these answers."""
    return {
        f"{_mark(number, place)}{name}": form
        for number, unit in enumerate(units)
        for place in range(variants)
        for name, form in recognised_form(audit, unit, "prototype").items()
    }


def estimates_of(
    parts: Sequence[Part], answers: Part, numbers: Sequence[int], place: int
) -> dict[str, Estimate]:
    """Estimates of the T at `place`, in the cell whose units have these numbers."""
    columns = []
    for number in numbers:
        mark = _mark(number, place)
        found = {k.removeprefix(mark): v for k, v in answers.items() if k.startswith(mark)}
        columns.append({**{n: parts[number][n] for n in ("index", *_COLUMNS)}, **found})
    table = table_of(columns, (*_COLUMNS, *(n for n in columns[0] if n.startswith("proto"))))
    estimates = cell_estimates(table, "prototype")
    estimates["coverage"] = proportion((table["accepted"] > 0).to_numpy())
    return estimates
