"""The page docs/truth.md: all its figures are of the table docs/truth.csv."""

from pathlib import Path

import pandas as pd
from prose import page_template

from truth.faults import CALIBRATION, DOCTOR, PERFORMANCE
from truth.figures import counted, group, share
from truth.goals import FAULT_CHECKS, goals
from truth.marks import BACKDOORS
from truth.measure import (
    CLEANSE_INDEX,
    CLEANSE_NORM,
    COLOURS,
    CONCEPTS,
    FAINT,
    MOST_COLOURS,
    MOST_CONCEPT,
    MOST_INDEX,
    MOST_LIFT,
    OCCLUSION,
    PLANTED,
    SALIENCY,
    SUSPECTED,
    SWAP,
)
from truth.plan import standard
from truth.table import Networks
from truth.zoo import FAULTY

_OF_POLICY = 0.2  # the bound of `swap` in the default policy
_CARRIED = (
    *((SWAP, kinds) for kinds in ("fixed", "moving", "watermark", "background", "tint")),
    (OCCLUSION, "fixed"),
    *((COLOURS, kinds) for kinds in ("tint", "background", "fixed")),
    *((CONCEPTS, kinds) for kinds in ("fixed", "tint")),
    *((SALIENCY, kinds) for kinds in ("fixed", "tint", "background")),
)
_TRIGGERS = (
    *((PLANTED, kind) for kind in BACKDOORS),
    *((FAINT, kind) for kind in ("faint", "blended")),
    *((CLEANSE_INDEX, kind) for kind in BACKDOORS),
    *((CLEANSE_NORM, kind) for kind in BACKDOORS),
    *((PLANTED, kind) for kind in ("fixed", "tint", "background")),
)
_REAL = ((SWAP, "fixed"), (COLOURS, "fixed"), (PLANTED, "trigger"))
_BOUNDS = {
    SWAP: MOST_LIFT,
    OCCLUSION: MOST_LIFT,
    COLOURS: MOST_COLOURS,
    CONCEPTS: MOST_CONCEPT,
    PLANTED: SUSPECTED,
    FAINT: SUSPECTED,
    CLEANSE_INDEX: MOST_INDEX,
}


def write(table: pd.DataFrame, page: Path, quick: bool = False) -> None:
    """Writes the page of a table; `quick` says on it that its figures mean little."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(rendered(table, quick), encoding="utf-8")


def rendered(table: pd.DataFrame, quick: bool = False) -> str:
    """The page's text."""
    networks = Networks(table)
    of_swap = networks.learnt[networks.learnt["check"] == SWAP]
    return page_template(Path(__file__).parent).render(
        quick=quick,
        networks=len(networks.each),
        clean=networks.count("none"),
        planted=len(networks.each["learnt"].dropna()),
        learnt=int(networks.each["learnt"].fillna(False).sum()),
        faulty=int(networks.each["kind"].isin(FAULTY).sum()),
        inapplicable=networks.inapplicable["name"].nunique(),
        goals=goals(networks),
        carried=_groups(networks, _CARRIED),
        triggers=_groups(networks, _TRIGGERS),
        unseen=group(networks, SWAP, BACKDOORS).told(),
        real=_groups(networks, _REAL, real=True),
        of=lambda check, *kinds: group(networks, check, kinds).told(),
        accused=lambda check: _alarm(networks, check)["accused"],
        policy_found=counted(
            share(of_swap[of_swap["kind"].isin(["fixed", "moving"])]["low"] > _OF_POLICY)
        ),
        bound_found=counted(
            share(of_swap[of_swap["kind"].isin(["fixed", "moving"])]["low"] > MOST_LIFT)
        ),
        colours_apart=_apart(networks, COLOURS, ("tint", "background")),
        policy_accused=counted(share(_of(networks.clean, SWAP)["low"] > _OF_POLICY)),
        alarms=[_alarm(networks, check) for check in _BOUNDS],
        faults=[_fault(networks.faulty, kind) for kind in FAULTY],
        unfaulty=_fault(networks.clean[networks.clean["check"].isin(FAULT_CHECKS)], "none"),
        caught=lambda check: counted(share(_of(networks.faulty, check)["accused"])),
        missed=_missed(networks.faulty),
        planned=len(standard(real=True)),
        kinds=_learnt(networks),
        seconds=_seconds(table),
    )


def _apart(networks: Networks, check: str, kinds: tuple[str, ...]) -> str:
    """How many lower ends of networks with a mark are above all of those without one."""
    planted = _of(networks.learnt, check)
    low = planted[planted["kind"].isin(kinds)]["low"]
    return counted(share(low > _of(networks.clean, check)["low"].max()))


def _groups(
    networks: Networks, wanted: tuple[tuple[str, str], ...], *, real: bool = False
) -> list[dict[str, str]]:
    found = [group(networks, check, (kind,), real=real) for check, kind in wanted]
    return [one.told() for one in found if len(one.planted)]


def _of(rows: pd.DataFrame, check: str) -> pd.DataFrame:
    return rows[rows["check"] == check]


def _alarm(networks: Networks, check: str) -> dict[str, str]:
    """How often a check accuses networks without a mark; all sizes of images together."""
    clean = _of(networks.clean, check)
    accused = clean[clean["accused"].fillna(False)]
    by_dataset = accused["dataset"].value_counts()
    return {
        "check": check,
        "bound": f"{_BOUNDS[check]:g}",
        "accused": counted(share(clean["accused"])),
        "where": ", ".join(f"{name} {n}" for name, n in by_dataset.items()) or "-",
        "highest": f"{clean['low'].max():.2f}" if len(clean) else "-",
    }


def _fault(rows: pd.DataFrame, kind: str) -> dict[str, str]:
    """How many networks with a fault each check accuses, and how many any of them."""
    own = rows[rows["kind"] == kind]
    caught = {
        check: counted(share(_of(own, check)["accused"]))
        for check in (PERFORMANCE, CALIBRATION, DOCTOR)
    }
    name = "no fault" if kind == "none" else kind
    return {"kind": name, **caught, "any": counted(share(own.groupby("name")["accused"].any()))}


def _missed(faulty: pd.DataFrame) -> list[dict[str, str]]:
    """The networks with a fault that no check accuses."""
    caught = faulty.groupby("name")["accused"].transform("any")
    own = faulty[~caught & (faulty["check"] == PERFORMANCE)]
    return [
        {"kind": row["kind"], "dataset": row["dataset"], "drop": f"{row['score']:.3f}"}
        for _, row in own.iterrows()
    ]


def _learnt(networks: Networks) -> list[dict[str, str]]:
    """How many networks of each kind of mark have learnt it, small ones and those at 224 pixels."""
    marked = networks.each[networks.each["learnt"].notna()]
    found = []
    for kind, own in marked.groupby("kind", sort=False):
        by_dataset = own.groupby("dataset")["learnt"].agg(["sum", "count"])
        found.append(
            {
                "kind": str(kind),
                "learnt": f"{int(own['learnt'].sum())} of {len(own)}",
                "datasets": ", ".join(
                    f"{name} {int(row['sum'])} of {int(row['count'])}"
                    for name, row in by_dataset.iterrows()
                ),
            }
        )
    return found


def _seconds(table: pd.DataFrame) -> list[dict[str, str]]:
    timed = table[table["cpu_seconds"].notna()]
    return [
        {
            "check": str(check),
            "n": str(len(own)),
            "median": f"{own['cpu_seconds'].median():.1f}",
            "range": f"{own['cpu_seconds'].min():.1f} to {own['cpu_seconds'].max():.1f}",
        }
        for check, own in timed.groupby("check", sort=False)
    ]
