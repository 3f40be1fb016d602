"""Evidence as JSON for MLflow, and as a part in the store, so that a check concludes only once."""

import io
import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from audits.evidence.evidence import Evidence, Picture
from audits.evidence.metric import Metric

SCHEMA_VERSION = 4
"""The schema of evidence.json. A new version needs a step in `migrations`."""

Part = dict[str, np.ndarray]
"""The measurements of one unit: small named arrays of numbers or text, without Python objects."""

_METRIC = TypeAdapter(Metric)
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
    }


def metrics_to_json(metrics: dict[str, Metric]) -> dict[str, Any]:
    """Plain values of all metrics; a number that is not finite becomes null."""
    return {name: _finite_or_null(asdict(metric)) for name, metric in metrics.items()}


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
    words["pictures"] = [[p.key, p.step, p.caption, p.small, p.title] for p in evidence.pictures]
    words["tables"] = list(evidence.tables)
    part = {"words": _array(json.dumps(words).encode())}
    part |= {f"picture {n}": picture.image for n, picture in enumerate(evidence.pictures)}
    part |= {f"table {name}": _parquet(table) for name, table in evidence.tables.items()}
    if evidence.images is not None:
        part["images"] = _parquet(evidence.images)
    return part


def from_part(part: Part) -> Evidence:
    """The evidence that `to_part` was given.

    Raises KeyError, TypeError or ValueError for a part of another shape.
    """
    words = json.loads(part["words"].tobytes())
    pictures = tuple(
        Picture(key, step, part[f"picture {n}"], caption, small, title)
        for n, (key, step, caption, small, title) in enumerate(words.pop("pictures"))
    )
    tables = {name: _table(part[f"table {name}"]) for name in words.pop("tables")}
    images = _table(part["images"]) if "images" in part else None
    found = from_json({**words, "tables": {}}, images)
    return found.model_copy(update={"tables": tables, "pictures": pictures})


def _metric(values: dict[str, Any]) -> Metric:
    values = dict(values)
    for name in ("estimate", "lift", "drop"):
        values[name] = _with_nan(values[name])
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
    return pd.read_parquet(io.BytesIO(array.tobytes()))
