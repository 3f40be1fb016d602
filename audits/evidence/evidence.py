"""Evidence: what one check concludes, and its form as JSON."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from audits.evidence.intervals import Estimate

SCHEMA_VERSION = 2

Status = Literal["ok", "error", "not_applicable"]


@dataclass(frozen=True)
class Picture:
    """One picture of a slider: `key` names the slider, `step` the place in it."""

    key: str
    step: int
    image: np.ndarray  # uint8 (H, W) or (H, W, 3)
    caption: str  # what this step shows; the same for all keys of a check
    small: bool = True  # can be told in the contact sheet, whose cells are small


@dataclass(frozen=True)
class Evidence:
    """What a check found. Only status "ok" can count towards a passed verdict."""

    check: str  # the check's name, unique in the audit
    sentence: str  # what it means, in one plain sentence
    status: Status = "ok"
    reason: str = ""  # why not ok
    metrics: dict[str, Estimate] = field(default_factory=dict)  # names without the check's
    images: pd.DataFrame | None = None  # a row an image, indexed by the image's index
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)  # other tables, by name
    pictures: tuple[Picture, ...] = ()
    passes: int = 0  # images that went through the model for it
    detail: str = ""  # the traceback, where there is one

    @property
    def named_metrics(self) -> dict[str, Estimate]:
        """Metrics under their full names, `<check>/<metric>`."""
        return {f"{self.check}/{name}": estimate for name, estimate in self.metrics.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values; a number that is not finite becomes null."""
        return {
            "check": self.check,
            "status": self.status,
            "reason": self.reason,
            "detail": self.detail,
            "sentence": self.sentence,
            "metrics": {name: estimate_json(e) for name, e in self.metrics.items()},
            "tables": {
                name: json.loads(table.to_json(orient="records", double_precision=15))
                for name, table in self.tables.items()
            },
            "passes": self.passes,
            "pictures": len(self.pictures),
        }


def evidence_from_json(values: dict[str, Any], images: pd.DataFrame | None) -> Evidence:
    """What `to_json` wrote, without its pictures; null becomes NaN.

    Raises KeyError and TypeError for values that are none of ours.
    """
    metrics = {
        name: Estimate(_number(e["value"]), _number(e["low"]), _number(e["high"]), e["n"])
        for name, e in values["metrics"].items()
    }
    return Evidence(
        check=values["check"],
        sentence=values["sentence"],
        status=values["status"],
        reason=values["reason"],
        metrics=metrics,
        images=images,
        tables={name: pd.DataFrame(rows) for name, rows in values["tables"].items()},
        passes=values["passes"],
        detail=values["detail"],
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def estimate_json(estimate: Estimate) -> dict[str, Any]:
    """Plain values; a number that is not finite becomes null."""
    values = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {k: v if np.isfinite(v) else None for k, v in values.items()} | {"n": estimate.n}


def failed_evidence(check: str, status: Status, reason: str, detail: str = "") -> Evidence:
    """Evidence of a check that has nothing to show, and why."""
    word = "does not apply" if status == "not_applicable" else "did not finish"
    return Evidence(check, f"The check {word}: {reason}", status, reason, detail=detail)
