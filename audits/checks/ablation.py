"""Ablation: how consistency moves with the parameters that the paper leaves open (4.4 to 4.6)."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import Field, PositiveInt, field_validator

from audits.checks.base import AuditContext, Check, Unit
from audits.checks.grids import heat_map, tiles
from audits.checks.pictures import picture, slugs
from audits.checks.recognition import consistency, recognised, table_of
from audits.evidence import Evidence, Picture
from audits.statistics import Estimate, proportion
from audits.store import Part
from audits.strict import Ratio, Share
from fillblanks import expected_fill, shuffled, threshold
from fillblanks.averages import Average
from fillblanks.fill import draw_limit
from fillblanks.second_order import LEAST_PASSES
from fillblanks.threshold import Normalise
from fillblanks.update import Update

_UNIT_VALUES = 100_000_000  # of all masked images
_KEPT_VALUES = 4_000_000  # of the updates that a unit keeps
_CLASSES_SHOWN = 3
_SAMPLED = ("mask_ratio", "patch_size", "update")  # what draws depend on; T does not
_COLUMNS = ("label", "accepted", "drawn")

AnyBinarise = Share | Literal["otsu"] | None


class Variant(NamedTuple):
    """One T (Eq. 4)."""

    normalise: Normalise
    binarise: AnyBinarise

    def __str__(self) -> str:
        cut = {None: "grey", "otsu": "Otsu"}.get(self.binarise, f"> {self.binarise}")  # type: ignore[arg-type]
        return f"{self.normalise}, {cut}"


class Ablation(Check):
    """Consistency of prototypes over a grid of mask ratio, patch size, update and T.

    The draws of a cell are made once and serve every T; another grid that has the same cell takes
    them from the store.
    """

    kind: Literal["ablation"] = "ablation"
    version: ClassVar[int] = 1
    images: PositiveInt | None = Field(
        default=50, description="audit this many images, evenly over the classes"
    )
    mask_ratio: tuple[Ratio, ...] = (0.1, 0.25, 0.5, 0.75)
    patch_size: tuple[PositiveInt, ...] = (1, 2, 4)
    update: tuple[Update, ...] = ("first_order",)
    normalise: tuple[Normalise, ...] = ("positive",)
    binarise: tuple[AnyBinarise, ...] = (0.1, None)
    samples: PositiveInt = 500
    average: Average = "per_blank"
    blank_value: Share | Literal["mean"] = 0.0

    @field_validator("mask_ratio", "patch_size", "update", "normalise", "binarise")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values or len(set(values)) < len(values):
            raise ValueError(f"expected one or more values, each once, got {list(values)}")
        return values

    @property
    def _cells(self) -> list[dict[str, Any]]:
        axes = [getattr(self, name) for name in _SAMPLED]
        return [dict(zip(_SAMPLED, values, strict=True)) for values in product(*axes)]

    @property
    def _variants(self) -> list[Variant]:
        return [Variant(*values) for values in product(self.normalise, self.binarise)]

    def units(self, audit: AuditContext) -> list[Unit]:
        pieces = super().units(audit)
        cells = [tuple(cell.items()) for cell in self._cells]
        return [
            Unit(number, piece.indices, piece.shown, cell)
            for number, (cell, piece) in enumerate(product(cells, pieces))
        ]

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        # The axes are in the unit's cell, and T is applied to what was kept.
        kept = {"kind", "samples", "average", "blank_value"}
        return self.model_dump(mode="json", include=kept)

    def unit_images(self, audit: AuditContext) -> int:
        values = math.prod(audit.shape)
        passes = self.samples * max(map(_passes_an_update, self.update))
        return max(1, min(_UNIT_VALUES // values // passes, _KEPT_VALUES // values))

    def passes(self, images: int) -> int:
        an_update = sum(_passes_an_update(cell["update"]) for cell in self._cells)
        return images * self.samples * an_update

    def most_passes(self, images: int) -> int:
        return self.passes(images) // self.samples * draw_limit(self.samples, None)

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
            plan=audit.plan.exact,  # a plan was compared for other checks, not for this grid
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

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        pieces = len(parts) // len(self._cells)
        rows, pictures, passes = [], [], 0
        for number, cell in enumerate(self._cells):
            of_cell = parts[number * pieces : (number + 1) * pieces]
            passes += _passes_an_update(cell["update"]) * sum(
                int(p["drawn"].sum()) for p in of_cell
            )
            for variant in self._variants:
                estimates, shown = self._recognised(audit, of_cell, variant)
                rows.append({**cell, **variant._asdict(), "estimates": estimates})
                pictures.append({**cell, **variant._asdict(), "shown": shown})
        lifts = [row["estimates"]["accuracy_lift"] for row in rows]
        best = rows[int(np.argmax([lift.value for lift in lifts]))]
        worst = rows[int(np.argmin([lift.value for lift in lifts]))]
        return Evidence(
            check=self.name,
            sentence=(
                f"Over {len(rows)} cells, prototypes are recognised for "
                f"{worst['estimates']['accuracy'].value:.1%} ({_told(worst)}) to "
                f"{best['estimates']['accuracy'].value:.1%} ({_told(best)}) of the images; cells "
                "are ordered by their lift over the same pixels at random places."
            ),
            metrics={
                "accuracy_of_least_lift": worst["estimates"]["accuracy"],
                "accuracy_of_least_lift_null": worst["estimates"]["accuracy_null"],
                "accuracy_of_least_lift_lift": worst["estimates"]["accuracy_lift"],
                "accuracy_of_most_lift": best["estimates"]["accuracy"],
                "accuracy_of_most_lift_null": best["estimates"]["accuracy_null"],
                "accuracy_of_most_lift_lift": best["estimates"]["accuracy_lift"],
            },
            tables={"cells": _table(rows)},
            pictures=self._pictures(audit, rows, pictures),
            passes=passes,
        )

    def _recognised(
        self, audit: AuditContext, parts: Sequence[Part], variant: Variant
    ) -> tuple[dict[str, Estimate], dict[int, np.ndarray]]:
        """Figures of one T over one cell, and the prototypes that are shown, by class."""
        columns, shown = [], {}
        for part in parts:
            update, indices = torch.from_numpy(part["update"]), torch.from_numpy(part["index"])
            everywhere = torch.ones_like(update[:, :1], dtype=torch.bool)
            found = torch.from_numpy(part["accepted"]) > 0
            prototype = threshold(update, everywhere, **variant._asdict())
            null = shuffled(prototype, everywhere, seed=audit.seed, indices=indices)
            fills = recognised(audit, {"prototype": (prototype, null)}, found)
            columns.append({**{name: part[name] for name in ("index", *_COLUMNS)}, **fills})
            for row in np.flatnonzero(np.isin(part["index"], part["shown"])).tolist():
                shown[int(part["label"][row])] = picture(prototype[row])
        table = table_of(columns, (*_COLUMNS, *(n for n in columns[0] if n.startswith("proto"))))
        estimates = consistency(table, "prototype", len(audit.classes))
        estimates["coverage"] = proportion((table["accepted"] > 0).to_numpy())
        return estimates, shown

    def _pictures(
        self, audit: AuditContext, rows: list[dict[str, Any]], pictures: list[dict[str, Any]]
    ) -> tuple[Picture, ...]:
        """A heat map of consistency and a picture grid of some classes, a step an update and T."""
        keys, found = slugs(audit.classes), []
        shown = sorted(pictures[0]["shown"])[:_CLASSES_SHOWN]
        steps = list(product(self.update, self._variants))
        for step, (update, variant) in enumerate(steps):
            chosen = {"update": update, **variant._asdict()}
            caption = f"{update.replace('_', ' ')}, {variant}"
            values = [r["estimates"]["accuracy"].value for r in _of(rows, chosen)]
            grid = np.reshape(values, (len(self.mask_ratio), len(self.patch_size)))
            map_ = heat_map(grid, self.mask_ratio, self.patch_size, caption)
            found.append(Picture(f"{self.name}/consistency", step, map_, caption, small=False))
            for label in shown:
                cells = [r["shown"][label] for r in _of(pictures, chosen)]
                name, title = (
                    f"{self.name}/class_{keys[label]}",
                    f"{audit.classes[label]}: {caption}",
                )
                drawn = tiles(cells, self.mask_ratio, self.patch_size, title)
                found.append(Picture(name, step, drawn, caption, small=False))
        return tuple(sorted(found, key=lambda p: (p.key, p.step)))


def _passes_an_update(update: Update) -> int:
    return 1 if update == "first_order" else LEAST_PASSES


def _of(rows: list[dict[str, Any]], chosen: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in rows if all(row[name] == value for name, value in chosen.items())]


def _told(row: dict[str, Any]) -> str:
    variant = Variant(row["normalise"], row["binarise"])
    return (
        f"mask ratio {row['mask_ratio']:g}, patch size {row['patch_size']}, "
        f"{row['update'].replace('_', ' ')}, {variant}"
    )


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a cell and T, with every figure and the interval of the accuracy."""
    flat = []
    for row in rows:
        estimates = row["estimates"]
        axes = {name: value for name, value in row.items() if name != "estimates"}
        bounds = {"low": estimates["accuracy"].low, "high": estimates["accuracy"].high}
        figures = {name: estimate.value for name, estimate in estimates.items()}
        axes["binarise"] = "none" if axes["binarise"] is None else str(axes["binarise"])
        flat.append({**axes, **figures, **bounds, "images": estimates["accuracy"].n})
    return pd.DataFrame(flat)
