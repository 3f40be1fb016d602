"""Ablation: consistency over a grid of the parameters that the paper leaves open (4.4 to 4.6)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator

from audits.checks._ablation.answers import answers, answers_form, estimates_of
from audits.checks._ablation.cells import (
    COLUMN_WORDS,
    Variant,
    cell_told,
    least_of,
    table_of_cells,
)
from audits.checks._ablation.pictures import Axes, grid_pictures, shown_prototypes
from audits.checks._shared.fill import (
    NULL,
    Cut,
    Samples,
    least_passes,
    most_passes,
)
from audits.checks._shared.forms import columns_form
from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.errors import AuditError
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.strict import Count, Ratio, Share
from fillblanks import expected_fill
from fillblanks.fills.averages import Average
from fillblanks.fills.expected import draw_limit
from fillblanks.fills.threshold import Normalise
from fillblanks.fills.update import Update
from fillblanks.masks import blank_count, default_patch_size, grid_shape

_UNIT_VALUES = 100_000_000  # in all masked images of a unit
_KEPT_VALUES = 4_000_000  # in the updates that a unit keeps
_SAMPLED = ("mask_ratio", "patch_size", "update")  # draws depend on these; T is applied later
_AXES = (*_SAMPLED, "normalise", "binarise")
_MOST_CELLS = 1_000


class Ablation(Check):
    """Consistency of prototypes over a grid of mask ratio, patch size, update and T.

    The draws of a cell are made once, for every T and for every grid that has this cell.
    """

    kind: Literal["ablation"] = "ablation"
    version: ClassVar[int] = 3
    plain_name: ClassVar[str] = "Own drawings under other settings"
    shows_fills: ClassVar[bool] = True
    how_to_read: ClassVar[tuple[str, ...]] = (
        "Drawings with other settings: how many points better they are recognised than their null.",
    )
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS
    asks_reference: ClassVar[bool] = False  # only `ask` does
    asks_at_the_end: ClassVar[bool] = True
    images: Count | None = Field(
        default=50, description="audit a sample of this many images, evenly over the classes"
    )
    mask_ratio: tuple[Ratio, ...] = (0.1, 0.25, 0.5, 0.75)
    patch_size: tuple[Count, ...] | None = Field(
        default=None,
        description="default the usual size, half and twice of it, if they allow all mask ratios",
    )
    update: tuple[Update, ...] = ("first_order",)
    normalise: tuple[Normalise, ...] = ("positive",)
    binarise: tuple[Cut, ...] = (0.1,)
    samples: Samples = 500
    average: Average = "per_blank"
    blank_value: Share | Literal["mean"] = 0.0

    @field_validator(*_AXES)
    @classmethod
    def _each_once(cls, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if values is not None and (not values or len(set(values)) < len(values)):
            raise ValueError(f"expected one or more values, each once, got {list(values)}")
        return values

    @model_validator(mode="after")
    def _is_no_endless_grid(self) -> Self:
        axes = (getattr(self, name) or () for name in _AXES)
        cells = math.prod(max(1, len(values)) for values in axes)
        if cells > _MOST_CELLS:
            raise ValueError(
                f"expected a grid of at most {_MOST_CELLS:,} combinations of "
                f"{', '.join(_AXES)}, got {cells:,}"
            )
        return self

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        null = replace(NULL, single=False)
        metrics = {
            "least_accuracy": Metric(
                "own drawing recognised, in the worst cell",
                null=null,
                about_learning=True,
                clause="recognises {} of its own drawings in the worst cell of the grid",
            ),
            "coverage": Metric("images that have a drawing, in the worst cell", is_coverage=True),
        }
        if reference:
            title = "own drawing recognised by the reference, in the worst cell"
            metrics["least_reference_accuracy"] = Metric(title, null=null, about_learning=True)
        return metrics

    def settled(self, shape: tuple[int, int, int]) -> Self:
        sizes = self.patch_size
        if sizes is None:
            usual = default_patch_size(*shape[1:])
            around = (max(1, usual // 2), usual, 2 * usual)
            sizes = tuple(s for s in around if not self._why_not(s, shape)) or (usual,)
        return self.model_copy(update={"patch_size": sizes})

    def impossible(self, shape: tuple[int, int, int]) -> str:
        reasons = (self._why_not(size, shape) for size in self.patch_size or ())
        return next((f"{self.name}, {reason}" for reason in reasons if reason), "")

    def _cells(self, shape: tuple[int, int, int]) -> list[dict[str, Any]]:
        """The parameters of each cell's draws. Raises AuditError for a cell that is impossible."""
        check = self.settled(shape)
        cells = [
            dict(zip(_SAMPLED, values, strict=True))
            for values in product(*(getattr(check, name) for name in _SAMPLED))
        ]
        for size in check.patch_size or ():
            if reason := self._why_not(size, shape):
                # Default sizes were chosen to fit; a size of the config that does not is a mistake.
                raise AuditError(reason)
        return cells

    def _why_not(self, patch_size: int, shape: tuple[int, int, int]) -> str:
        """Why patches of this size cannot be masked at every ratio; empty if they can."""
        rows, columns = grid_shape(*shape[1:], patch_size)
        try:
            for ratio in self.mask_ratio:
                blank_count(ratio, rows * columns)
        except ValueError as error:
            return f"patch_size {patch_size}: {error}"
        return ""

    @property
    def _variants(self) -> list[Variant]:
        return [Variant(*values) for values in product(self.normalise, self.binarise)]

    @property
    def _steps(self) -> list[tuple[Update, Variant]]:
        return list(product(self.update, self._variants))

    def captions(self) -> tuple[str, ...]:
        return tuple(f"{update.replace('_', ' ')}, {variant}" for update, variant in self._steps)

    def units(self, audit: AuditContext) -> list[Unit]:
        found: list[Unit] = []
        for cell in self._cells(audit.shape):
            for indices, shown in self.pieces(audit, self._images_of(cell, audit)):
                found.append(Unit(len(found), indices, shown, tuple(cell.items())))
        return found

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        # The unit's cell has the axes of the grid, and T is applied to the kept updates.
        return self.model_dump(mode="json", include={"kind", "samples", "average", "blank_value"})

    def unit_images(self, audit: AuditContext) -> int:
        return max(self._images_of(cell, audit) for cell in self._cells(audit.shape))

    def _images_of(self, cell: dict[str, Any], audit: AuditContext) -> int:
        """Images in a unit of this cell; other cells do not change the number."""
        values = math.prod(audit.shape)
        passes = self.samples * least_passes(cell["update"])
        return max(1, min(_UNIT_VALUES // values // passes, _KEPT_VALUES // values))

    def passes(self, images: int) -> int:
        return images * self.samples * self._times(least_passes)

    def most_passes(self, images: int) -> int:
        return images * draw_limit(self.samples, None) * self._times(most_passes)

    def _times(self, passes_of: Callable[[Update], int]) -> int:
        """Passes of one draw in every cell, with `passes_of` an update."""
        sizes = 3 if self.patch_size is None else len(self.patch_size)
        return len(self.mask_ratio) * sizes * sum(map(passes_of, self.update))

    def unit_passes(self, unit: Unit) -> int:
        return len(unit.indices) * self.samples * least_passes(dict(unit.cell)["update"])

    def most_unit_passes(self, unit: Unit) -> int:
        draws = len(unit.indices) * draw_limit(self.samples, None)
        return draws * most_passes(dict(unit.cell)["update"])

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        labels = torch.from_numpy(audit.images.labels[list(unit.indices)])
        fill = expected_fill(
            audit.classifier,
            audit.images.tensor(unit.indices),
            labels,
            samples=self.samples,
            average=self.average,
            blank_value=self.blank_value,
            seed=audit.seed,
            indices=torch.tensor(unit.indices),
            plan=audit.plan.exact,  # tuning tried the plan for other checks, not for this grid
            **dict(unit.cell),
        )
        return {
            "index": np.array(unit.indices),
            "label": labels.numpy(),
            "accepted": fill.accepted.numpy(),
            "drawn": fill.drawn.numpy(),
            "update": fill.update.numpy(),
            "shown": np.array(unit.shown, dtype=np.int64),
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        n = len(unit.indices)
        return {
            **columns_form(audit, unit),
            "accepted": Array("int", (n,), 0, self.samples),
            "drawn": Array("int", (n,), 0, draw_limit(self.samples, None)),
            "update": Array("float", (n, *audit.shape)),
            "shown": Array("int", (len(unit.shown),), 0),
        }

    def ask(self, audit: AuditContext, parts: Sequence[Part]) -> Part:
        return answers(audit, parts, self._variants)

    def ask_form(self, audit: AuditContext, parts: Sequence[Part]) -> dict[str, Array]:
        return answers_form(audit, self.units(audit), len(self._variants))

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        *parts, asked = parts
        rows, drawings, passes = [], [], 0
        units = self.units(audit)
        for cell in self._cells(audit.shape):
            numbers = [n for n, unit in enumerate(units) if dict(unit.cell) == cell]
            drawn = sum(int(parts[number]["drawn"].sum()) for number in numbers)
            passes += least_passes(cell["update"]) * drawn
            for place, variant in enumerate(self._variants):
                estimates = estimates_of(parts, asked, numbers, place)
                shown = shown_prototypes([parts[number] for number in numbers], variant)
                rows.append({**cell, **variant._asdict(), "estimates": estimates})
                drawings.append({**cell, **variant._asdict(), "shown": shown})
        sizes = self.settled(audit.shape).patch_size or ()
        axes = Axes(self.mask_ratio, sizes, self._steps, self.captions())
        ordered = sorted(rows, key=lambda row: row["estimates"]["accuracy_lift"].value)
        least, most = ordered[0]["estimates"], ordered[-1]["estimates"]
        return Evidence(
            check=self.name,
            sentence=(
                f"Of {len(rows)} cells, the one of least lift over {NULL.title} "
                f"({cell_told(ordered[0])}) has {least['accuracy'].value:.1%} of its drawings "
                f"recognised, the one of most lift ({cell_told(ordered[-1])}) "
                f"{most['accuracy'].value:.1%}."
            ),
            metrics=self._least_metrics(rows, "reference_accuracy" in least),
            tables={"cells": table_of_cells(rows)},
            pictures=grid_pictures(self.name, audit.classes, axes, rows, drawings),
            passes=passes,
        )

    def _least_metrics(self, rows: list[dict[str, Any]], reference: bool) -> dict[str, Metric]:
        """The least of each figure, of whatever cell: the best of many cells is high by chance."""
        declared = self.declared_metrics(reference)
        metrics = {"coverage": declared["coverage"].measured(least_of(rows, "coverage"))}
        for figure in ("accuracy", "reference_accuracy"):
            if (name := f"least_{figure}") in declared:
                lift = least_of(rows, f"{figure}_lift")
                metrics[name] = declared[name].measured(least_of(rows, figure), lift=lift)
        return metrics
