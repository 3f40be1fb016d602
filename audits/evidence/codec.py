"""Evidence as a part of the store, so that a conclusion is drawn once."""

import io
import json
from dataclasses import asdict

import numpy as np
import pandas as pd

from audits.evidence.evidence import Evidence, Picture
from audits.evidence.intervals import Estimate

Part = dict[str, np.ndarray]
"""What measuring one unit gives: small named arrays, no objects."""


def to_part(evidence: Evidence) -> Part:
    """Pictures as arrays, tables as Parquet, the rest as JSON."""
    words = {
        name: getattr(evidence, name)
        for name in ("check", "sentence", "status", "reason", "passes", "detail")
    }
    words["metrics"] = {name: asdict(e) for name, e in evidence.metrics.items()}
    words["pictures"] = [[p.key, p.step, p.caption, p.small] for p in evidence.pictures]
    words["tables"] = list(evidence.tables)
    part = {"words": _array(json.dumps(words).encode())}
    part |= {f"picture {n}": picture.image for n, picture in enumerate(evidence.pictures)}
    part |= {f"table {name}": _parquet(table) for name, table in evidence.tables.items()}
    if evidence.images is not None:
        part["images"] = _parquet(evidence.images)
    return part


def from_part(part: Part) -> Evidence:
    """What `to_part` was given. Raises KeyError or TypeError where it was given another shape."""
    words = json.loads(part["words"].tobytes())
    pictures = tuple(
        Picture(key, step, part[f"picture {n}"], caption, small)
        for n, (key, step, caption, small) in enumerate(words.pop("pictures"))
    )
    metrics = {name: Estimate(**values) for name, values in words.pop("metrics").items()}
    tables = {name: _table(part[f"table {name}"]) for name in words.pop("tables")}
    images = _table(part["images"]) if "images" in part else None
    return Evidence(**words, metrics=metrics, images=images, tables=tables, pictures=pictures)


def _array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8)


def _parquet(table: pd.DataFrame) -> np.ndarray:
    return _array(table.to_parquet())


def _table(array: np.ndarray) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(array.tobytes()))
