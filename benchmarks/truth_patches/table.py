"""The table docs/truth_patches.csv: a line for each network and score, from kept records.

A network that has not learnt its mark has one line without a check.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from truth.zoo import Specimen

from truth_patches import measure

Record = dict[str, Any]


def key() -> str:
    """A digest of the checks as they are set: kept figures are of these alone."""
    told = [(check.kind, check.version, check.model_dump()) for check in measure.CHECKS]
    return hashlib.sha256(repr([*told, measure.MAPS]).encode()).hexdigest()[:8]


def record(specimen: Specimen, folder: Path) -> Record:
    """What was measured of a specimen; that of an earlier run if the folder has it."""
    file = folder / f"{specimen.name}-{specimen.digest}-{key()}.json"
    if not file.exists():
        began = time.perf_counter()
        accuracy, turned, rows = measure.examined(specimen, folder)
        found = {
            "name": specimen.name,
            "digest": specimen.digest,
            "checks": key(),
            **{name: getattr(specimen, name) for name in ("dataset", "network", "kind", "seed")},
            "accuracy": accuracy,
            "turned": turned,
            "learnt": None if turned is None else specimen.has_learnt(turned),
            "rows": [row._asdict() for row in rows],
        }
        new = file.with_suffix(".new")
        new.write_text(json.dumps(found))
        new.rename(file)
        print(f"{specimen.name}: {len(rows)} rows, {time.perf_counter() - began:.0f} s", flush=True)
    kept: Record = json.loads(file.read_text())
    return kept


def write(records: Sequence[Record], file: Path) -> None:
    lines = []
    for one in records:
        own = {name: value for name, value in one.items() if name != "rows"}
        for row in one["rows"] or [{"check": ""}]:
            told = {name: row.get(name) for name in ("score", "accused", "class_right", "seconds")}
            lines.append({**own, "check": row["check"], **told, "detail": row.get("detail", "")})
    table = pd.DataFrame(lines).sort_values("name", kind="stable")
    file.parent.mkdir(parents=True, exist_ok=True)
    table.round(6).to_csv(file, index=False, lineterminator="\n")


def read(file: Path) -> pd.DataFrame:
    flags = dict.fromkeys(("learnt", "accused", "class_right"), "boolean")
    found = pd.read_csv(file, dtype=flags, keep_default_na=True)
    return found.fillna({"check": "", "detail": ""})
