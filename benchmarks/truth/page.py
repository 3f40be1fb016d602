"""The page docs/truth.md: figures of all networks, in tables with intervals."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from scipy import stats
from sklearn.metrics import roc_auc_score

from audits.evidence.estimate import Estimate
from audits.evidence.intervals import proportion
from truth.measure import CARRIED, CLEAN, COLOURS, Row


def write(rows: Sequence[Row], page: Path, quick: bool) -> None:
    """Writes the page, and the rows beside it as a table."""
    table = pd.DataFrame(rows, columns=Row._fields)
    is_carried = table["check"].isin(list(CARRIED))
    carried, uncarried = table[is_carried], table[~is_carried]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # the page is Markdown
    )
    text = environment.get_template("page.md.j2").render(
        quick=quick,
        kinds=[_kind(*found) for found in _groups(carried)],
        alarms=[
            _alarm(name, group) for name, group in _clean(carried).groupby("check", sort=False)
        ],
        triggers=[_kind(*found) for found in _groups(uncarried)],
        trigger_alarms=[
            _alarm(name, group) for name, group in _clean(uncarried).groupby("check", sort=False)
        ],
        networks=table["name"].nunique(),
        clean=_clean(table)["name"].nunique(),
        unlearnt=_planted(table, learnt=False)["name"].nunique(),
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def _clean(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["kind"] == "none"]


def _planted(table: pd.DataFrame, learnt: bool) -> pd.DataFrame:
    return table[(table["kind"] != "none") & (table["learnt"] == learnt)]


def _groups(table: pd.DataFrame) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Learnt marks of each check, data set and kind, and the clean networks beside them."""
    planted, clean = _planted(table, learnt=True), _clean(table)
    found = []
    for (check, dataset, _), group in planted.groupby(["check", "dataset", "kind"], sort=False):
        beside = clean[(clean["check"] == check) & (clean["dataset"] == dataset)]
        found.append((group, beside))
    return found


def _kind(planted: pd.DataFrame, clean: pd.DataFrame) -> dict[str, str]:
    first = planted.iloc[0]
    at_place = first["kind"] in ("fixed", "trigger", "dark") and _sees_places(first["check"])
    return {
        "check": first["check"],
        "dataset": first["dataset"],
        "kind": first["kind"],
        "n": f"{len(planted)} / {len(clean)}",
        "auroc": _told(auroc(planted["score"].to_numpy(), clean["score"].to_numpy())),
        # A mark that moves or is over the whole image has no place.
        "found": _told(proportion(planted["accused"].to_numpy())) if _has_bound(first) else "-",
        "class_right": _told(proportion(planted["class_right"].to_numpy())),
        "place_right": _told(proportion(planted["place_right"].to_numpy())) if at_place else "-",
        "beside": _told(proportion(planted["beside_right"].to_numpy())) if at_place else "-",
        "seconds": f"{planted['seconds'].median():.1f}",
    }


def _alarm(check: str, clean: pd.DataFrame) -> dict[str, str]:
    return {
        "check": check,
        "n": str(len(clean)),
        "accused": _told(proportion(clean["accused"].to_numpy()))
        if _has_bound(clean.iloc[0])
        else "-",
        "median": f"{clean['score'].median():.2f}",
        "highest": f"{clean['score'].max():.2f}",
    }


def _has_bound(row: pd.Series) -> bool:
    """Whether anything is told from the figure of the check: not of colours, nor of one trial."""
    return row["check"] != COLOURS and row["check"] in {*CARRIED, *CLEAN}


def _sees_places(check: str) -> bool:
    return check != COLOURS and "of the image" not in check


def auroc(planted: np.ndarray, clean: np.ndarray) -> Estimate:
    """The area under the ROC curve of two sets of scores, with DeLong's interval (1988).

    The interval is on the scale of log odds, as Pepe 2003 (section 5.2) has it, so that it stays in
    [0, 1]. An area of 1, whose variance DeLong takes for 0, gets Wilson's lower limit of as many
    hits as there are networks in the smaller set. NaN for an empty set.
    """
    n = min(len(planted), len(clean))
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    scores, labels = np.concatenate([planted, clean]), np.repeat([1, 0], [len(planted), len(clean)])
    area = float(roc_auc_score(labels, scores))
    if area in (0.0, 1.0) or n == 1:
        edge = proportion(np.full(n, area == 1.0))
        return Estimate(area, min(edge.low, area), max(edge.high, area), len(labels))
    above = (planted[:, None] > clean) + 0.5 * (planted[:, None] == clean)
    spread = above.mean(1).var(ddof=1) / len(planted) + above.mean(0).var(ddof=1) / len(clean)
    reach = float(stats.norm.ppf(0.975)) * np.sqrt(spread) / (area * (1 - area))
    odds = np.log(area / (1 - area))
    low, high = (1 / (1 + np.exp(-(odds + sign * reach))) for sign in (-1, 1))
    return Estimate(area, float(low), float(high), len(labels))


def _told(estimate: Estimate) -> str:
    if estimate.n == 0:
        return "-"
    return f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f})"
