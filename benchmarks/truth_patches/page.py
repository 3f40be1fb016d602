"""The page docs/truth_patches.md: all its figures are of the table docs/truth_patches.csv."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from prose import page_template
from truth.figures import Group, counted, share

from truth_patches.plan import standard
from truth_patches.scores import BOUNDS, INTO, OBJECT, OBJECT_CLASS, SAME, SHARE, UNPROVEN

_CHECKS = (SHARE, SAME, INTO, UNPROVEN, OBJECT, OBJECT_CLASS)
_GROUPS = (("fixed",), ("tint", "background"), ("trigger",))
_ALL = ("fixed", "tint", "background", "trigger")
_FIGURES = (
    *((SHARE, name) for name in ("share", "gain")),
    *((INTO, name) for name in ("broken", "random_broken")),
    (UNPROVEN, "proven"),
    (OBJECT, "lift"),
)


def write(table: pd.DataFrame, page: Path) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(rendered(table), encoding="utf-8")


def rendered(table: pd.DataFrame) -> str:
    """The page's text."""
    each = table.drop_duplicates("name")
    learnt = each["learnt"].fillna(False).astype(bool)
    marked = each["learnt"].notna()
    fixed = _group(table, SHARE, ("fixed",)).share("class_right")
    groups = [_group(table, check, kinds) for check in _CHECKS for kinds in (*_GROUPS, _ALL)]
    return page_template(Path(__file__).parent).render(
        networks=len(each),
        planned=len(standard()),
        fixed={"n": fixed.n, "told": counted(fixed)},
        clean=int((~marked).sum()),
        planted=int(marked.sum()),
        learnt=int(learnt.sum()),
        kinds=[
            {"kind": kind, "learnt": f"{int(learnt[rows].sum())} of {len(rows)}"}
            for kind, rows in each[marked].groupby("kind", sort=False).groups.items()
        ],
        groups=[one.told() for one in groups if len(one.planted)],
        alarms=list(_alarms(table)),
        above=[one.check for one in groups if one.label == "all of these" and one.auroc.low > 0.5],
        figures=list(_figures(table)),
        seconds=_seconds(table),
    )


def _group(table: pd.DataFrame, check: str, kinds: tuple[str, ...]) -> Group:
    """Networks that have learnt a mark, beside those without on the same data sets."""
    own = table[table["check"] == check].assign(place_right=pd.NA, beside_right=pd.NA)
    planted = own[own["kind"].isin(kinds) & own["learnt"].fillna(False).astype(bool)]
    datasets = planted["dataset"].unique()
    clean = own[(own["kind"] == "none") & own["dataset"].isin(datasets)]
    known = [one[one["score"].notna()] for one in (planted, clean)]
    return Group(check, ", ".join(kinds) if len(kinds) < 3 else "all of these", *known)


def _alarms(table: pd.DataFrame) -> Iterator[dict[str, str]]:
    """How often each check with a bound accuses networks without a mark."""
    for check, bound in BOUNDS.items():
        own = table[(table["check"] == check) & (table["kind"] == "none")]
        yield {
            "check": check,
            "bound": f"{bound:g}",
            "accused": counted(share(own["accused"])),
            "highest": f"{own['score'].max():.2f}",
        }


def _figures(table: pd.DataFrame) -> Iterator[dict[str, str]]:
    """The checks' own figures, for each data set: their median and range."""
    for check, name in _FIGURES:
        for dataset, rows in table[table["check"] == check].groupby("dataset"):
            values = rows["detail"].map(lambda told, name=name: _value(told, name))
            is_clean = (rows["kind"] == "none").to_numpy()
            yield {
                "figure": f"{check.split(',')[0]}/{name}",
                "dataset": str(dataset),
                "clean": _spread(values[is_clean]),
                "learnt": _spread(values[~is_clean]),
            }


def _value(detail: str, name: str) -> float:
    found = re.search(rf"(?:^|, ){name} (-?[\d.]+)", detail)
    return float(found.group(1)) if found else np.nan


def _spread(values: pd.Series) -> str:
    values = values.dropna()
    if not len(values):
        return "-"
    low, high = values.min(), values.max()
    return f"{values.median():.2f} ({low:.2f} to {high:.2f}; {len(values)})"


def _seconds(table: pd.DataFrame) -> list[dict[str, str]]:
    found = []
    for check in (SHARE, INTO, UNPROVEN, OBJECT):
        own = table[(table["check"] == check) & (table["seconds"] > 0)]["seconds"]
        if len(own):
            told = {"median": f"{own.median():.1f}", "range": f"{own.min():.1f} to {own.max():.1f}"}
            found.append({"check": check.split(",")[0], "n": str(len(own)), **told})
    return found
