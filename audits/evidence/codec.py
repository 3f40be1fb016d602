"""Evidence as JSON for MLflow, and as a part in the store, so that a check concludes only once."""

import hashlib
import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from audits.evidence.evidence import Evidence, Picture, Seen
from audits.evidence.metric import Metric
from audits.evidence.plain_parquet import read_plain

SCHEMA_VERSION = 4
"""The schema of evidence.json. A new version needs a step in `migrations`."""

Part = dict[str, np.ndarray]
"""The measurements of one unit: small named arrays of numbers or text, without Python objects."""

_BESIDE = ("drawing", "filled", "class")  # what a later audit shows beside its own pictures
_SEEN = 5  # fields of Seen that evidence.json has; pictures of `_BESIDE` have no others
_METRIC = TypeAdapter(Metric)
_FIGURES = ("check", "status", "reason", "metrics")
_PLAIN = ("check", "status", "reason", "detail", "sentence", "legend", "questions", "passes")


def to_json(evidence: Evidence) -> dict[str, Any]:
    """Plain values without pictures and images; a number that is not finite becomes null."""
    return {
        **evidence.model_dump(mode="json", include=set(_PLAIN)),
        "metrics": metrics_to_json(evidence.metrics),
        "tables": {
            name: json.loads(table.to_json(orient="records", double_precision=15))
            for name, table in evidence.tables.items()
        },
        "pictures": len(evidence.pictures),
        "shown": [_shown(p) for p in evidence.pictures if p.seen and p.seen.shows in _BESIDE],
    }


def _shown(picture: Picture) -> dict[str, Any]:
    """The words of a picture, and its pixels' shape and sha256."""
    pixels = np.ascontiguousarray(picture.image)
    return {
        "key": picture.key,
        "step": picture.step,
        "caption": picture.caption,
        "title": picture.title,
        "seen": list((picture.seen or ())[:_SEEN]),
        "shape": list(pixels.shape),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }


def is_picture(pixels: np.ndarray, shown: dict[str, Any]) -> bool:
    """Whether these are the pixels of a picture that `to_json` has described."""
    same = list(pixels.shape) == shown["shape"] and pixels.dtype == np.uint8
    return same and hashlib.sha256(pixels.tobytes()).hexdigest() == shown["sha256"]


def metrics_to_json(metrics: dict[str, Metric]) -> dict[str, Any]:
    """Plain values of all metrics; a number that is not finite becomes null."""
    return {name: _finite_or_null(asdict(metric)) for name, metric in metrics.items()}


def figures_to_json(evidence: Evidence) -> dict[str, Any]:
    """Plain values of the outcome and the metrics alone."""
    return {name: value for name, value in to_json(evidence).items() if name in _FIGURES}


def figures_from_json(values: dict[str, Any]) -> Evidence:
    """The evidence that `figures_to_json` wrote. Raises as `from_json` does."""
    metrics = {name: _metric(metric) for name, metric in values["metrics"].items()}
    own = {name: values[name] for name in _FIGURES} | {"metrics": metrics}
    return Evidence(sentence="", **own)


def from_json(values: dict[str, Any], images: pd.DataFrame | None) -> Evidence:
    """The evidence that `to_json` wrote, without pictures; a number that is null becomes NaN.

    Raises KeyError, TypeError or ValueError for values of another shape.
    """
    return Evidence(
        **{name: values[name] for name in _PLAIN},
        metrics={name: _metric(metric) for name, metric in values["metrics"].items()},
        images=images,
        tables={name: pd.DataFrame(rows) for name, rows in values["tables"].items()},
    )


def to_part(evidence: Evidence) -> Part:
    """The evidence as arrays: pictures as they are, tables as Parquet, all else as JSON."""
    words = to_json(evidence)
    shown = {"pictures": evidence.pictures, "examples": evidence.examples}
    for kind, pictures in shown.items():
        words[kind] = [[p.key, p.step, p.caption, p.small, p.title, p.seen] for p in pictures]
    words["tables"] = list(evidence.tables)
    part = {"words": _array(json.dumps(words).encode())}
    for kind, pictures in shown.items():
        part |= {f"{kind} {n}": picture.image for n, picture in enumerate(pictures)}
    part |= {f"table {name}": _parquet(table) for name, table in evidence.tables.items()}
    if evidence.images is not None:
        part["images"] = _parquet(evidence.images)
    return part


def from_part(part: Part) -> Evidence:
    """The evidence that `to_part` was given.

    Raises KeyError, TypeError or ValueError for a part of another shape.
    """
    words = json.loads(part["words"].tobytes())
    pictures, examples = (
        tuple(
            Picture(key, step, part[f"{kind} {n}"], caption, small, title, seen and Seen(*seen))
            for n, (key, step, caption, small, title, seen) in enumerate(words.pop(kind))
        )
        for kind in ("pictures", "examples")
    )
    tables = {name: _table(part[f"table {name}"]) for name in words.pop("tables")}
    images = _table(part["images"]) if "images" in part else None
    found = from_json({**words, "tables": {}}, images)
    return found.model_copy(update={"tables": tables, "pictures": pictures, "examples": examples})


def _metric(values: dict[str, Any]) -> Metric:
    values = dict(values)
    for name in ("estimate", "lift", "drop"):
        values[name] = _with_nan(values[name])
    values["baseline_lift"] = _with_nan(values.get("baseline_lift"))  # older evidence lacks it
    if values["null"] is not None:
        values["null"] = {**values["null"], "estimate": _with_nan(values["null"]["estimate"])}
    return _METRIC.validate_python(values)


def _with_nan(estimate: dict[str, Any] | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {name: math.nan if value is None else value for name, value in estimate.items()}


def _finite_or_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite_or_null(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8)


def _parquet(table: pd.DataFrame) -> np.ndarray:
    return _array(table.to_parquet())


def _table(array: np.ndarray) -> pd.DataFrame:
    return read_plain(array.tobytes())
