"""The table docs/truth.csv: one line for each network and check, from which the page is made.

A network on which nothing was measured, such as one that has not learnt its mark, has one line
without a check.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from truth.row import NOT_APPLICABLE, Row
from truth.zoo import FAULTY, Specimen

_OF_NETWORK = {
    "name": "str",
    "digest": "str",  # of how it was made; truth.zoo.Specimen.digest
    "checks": "str",  # digest of the checks and their settings; truth.runner.key
    "dataset": "str",
    "network": "str",
    "kind": "str",
    "seed": "int64",
    "noise": "float64",
    "device": "str",  # on which it was measured
    "accuracy": "float64",
    "turned": "float64",  # share of other images that the mark turns
    "learnt": "boolean",  # NA for networks without a mark
}
_OF_CHECK = {
    "check": "str",
    "score": "float64",
    "low": "float64",  # end of the interval that is compared with the bound
    "accused": "boolean",
    "class_right": "boolean",
    "place_right": "boolean",
    "beside_right": "boolean",
    "cpu_seconds": "float64",  # of the few networks that were measured again on a CPU
    "detail": "str",
}
TYPES = {**_OF_NETWORK, **_OF_CHECK}
_DIGITS = 6
_LOW = re.compile(r"low (-?[\d.]+)")


def of_records(records: Sequence[Mapping[str, Any]], checks: str) -> pd.DataFrame:
    """The table of the records that truth.runner keeps; `checks`: the digest of their checks."""
    lines = [line for record in records for line in _lines(record, checks)]
    return _typed(pd.DataFrame(lines, columns=list(TYPES)))


def _lines(record: Mapping[str, Any], checks: str) -> list[dict[str, Any]]:
    specimen, turned = Specimen(**record["specimen"]), record["turned"]
    own = {
        "name": specimen.name,
        "digest": specimen.digest,
        "checks": checks,
        **{name: getattr(specimen, name) for name in ("dataset", "network", "kind", "seed")},
        "noise": specimen.noise,
        "device": record["device"],
        "accuracy": record["accuracy"],
        "turned": turned,
        "learnt": None if turned is None else specimen.has_learnt(turned),
    }
    rows = [Row(**row) for row in record["rows"]]
    return [own | _checked(row, record["device"]) for row in rows] or [own]


def _checked(row: Row, device: str) -> dict[str, Any]:
    told = _LOW.match(row.detail)
    low = float(told.group(1)) if told else row.score if row.accused is not None else None
    found = {name: value for name, value in row._asdict().items() if name in _OF_CHECK}
    seconds = row.seconds if device == "cpu" and row.accused is not None else None
    return found | {"low": low, "detail": "" if told else row.detail, "cpu_seconds": seconds}


def merged(old: pd.DataFrame, new: pd.DataFrame, checks: str) -> pd.DataFrame:
    """Both tables, of these checks alone; a network that is in both is taken from the new one."""
    kept = old[(old["checks"] == checks) & ~old["digest"].isin(new["digest"])]
    both = [one for one in (kept, new) if len(one)]
    return (
        pd.concat(both).sort_values("name", kind="stable").reset_index(drop=True) if both else new
    )


def read(file: Path) -> pd.DataFrame:
    """The table of a file; an empty one if there is no file."""
    if not file.exists():
        return _typed(pd.DataFrame(columns=list(TYPES)))
    return _typed(pd.read_csv(file, dtype=TYPES, keep_default_na=False, na_values=[""]))


def write(table: pd.DataFrame, file: Path) -> None:
    """Writes six digits, with which figures are the same whoever reads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rounded = table.round(_DIGITS)
    rounded.to_csv(file, index=False, lineterminator="\n")


def with_seconds(table: pd.DataFrame, seconds: Mapping[tuple[str, str], float]) -> pd.DataFrame:
    """The table with CPU seconds by name of the network and check."""
    result = table.copy()
    for (name, check), value in seconds.items():
        here = (result["name"] == name) & (result["check"] == check)
        result.loc[here, "cpu_seconds"] = value
    return result


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    texts = {name: "" for name, kind in TYPES.items() if kind == "str"}
    return table.fillna(texts).astype(TYPES)


class Networks:
    """The networks of a table and their rows, by what is asked of them."""

    def __init__(self, table: pd.DataFrame):
        self.table = table
        self.each = table.drop_duplicates("name")
        is_clean, is_faulty = table["kind"] == "none", table["kind"].isin(FAULTY)
        self._applies = ~table["detail"].str.startswith(NOT_APPLICABLE) & (table["check"] != "")
        self.clean = table[is_clean & self._applies]
        self.faulty = table[is_faulty & self._applies]
        self.learnt = table[table["learnt"].fillna(False) & self._applies]
        self.inapplicable = table[~self._applies & (table["check"] != "")]

    def count(self, kind: str) -> int:
        return int((self.each["kind"] == kind).sum())
