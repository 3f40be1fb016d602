"""The goals that were set before the fresh networks were trained, and what was reached."""

from typing import NamedTuple

from audits.evidence.estimate import Estimate
from truth.faults import CALIBRATION, DOCTOR, PERFORMANCE
from truth.figures import counted, group, share, told
from truth.measure import COLOURS, FAINT, PLANTED, SWAP
from truth.table import Networks

_AT_LEAST_CLEAN, _AT_LEAST_PLANTED = 60, 100
_CARRIED = ("fixed", "moving", "watermark", "background")
_PATCHES = ("trigger", "large", "faint", "dark")
_MOST_ALARMS = 0.05
FAULT_CHECKS = (PERFORMANCE, CALIBRATION, DOCTOR)


class Goal(NamedTuple):
    """One goal; `reached` in words."""

    what: str
    goal: str
    found: str
    reached: str


def goals(networks: Networks) -> list[Goal]:
    """Each goal with what was found: reached by the value and its interval, the value, or not."""
    carried, tint = group(networks, SWAP, _CARRIED), group(networks, COLOURS, ("tint",))
    patches = group(networks, PLANTED, _PATCHES)
    blended, faint = (group(networks, check, ("blended",)) for check in (PLANTED, FAINT))
    return [
        _number("networks without a mark", networks.count("none"), _AT_LEAST_CLEAN),
        _number("networks that have learnt a mark", _learnt(networks), _AT_LEAST_PLANTED),
        _area("`swap`, marks that the images carry, but tints", carried.auroc, 0.97),
        _share("`swap`, the class of these", carried.share("class_right"), 0.95),
        _share("`swap`, the place of these that have one", carried.share("place_right"), 0.95),
        _area("`swap` of colours, tints", tint.auroc, 0.9),
        _area("`planted_defect`, triggers of one place", patches.auroc, 0.97),
        _area("`planted_defect`, blended triggers", blended.auroc, 0.95),
        _area("the same with `faint: 0.05`", faint.auroc, 0.95),
        *(_alarms(networks, check) for check in (SWAP, COLOURS, PLANTED, FAINT)),
        _faults(networks),
    ]


def _learnt(networks: Networks) -> int:
    return int(networks.each["learnt"].fillna(False).sum())


def _number(what: str, found: int, least: int) -> Goal:
    return Goal(what, f"at least {least}", str(found), "yes" if found >= least else "no")


def _area(what: str, found: Estimate, least: float) -> Goal:
    goal = f"AUROC of at least {least:.2f}"
    return Goal(what, goal, told(found), _least(found, least))


def _share(what: str, found: Estimate, least: float) -> Goal:
    return Goal(what, f"at least {least:.0%}", counted(found), _least(found, least))


def _alarms(networks: Networks, check: str) -> Goal:
    clean = networks.clean
    found = share(clean[clean["check"] == check]["accused"])
    names = {SWAP: "`swap`", COLOURS: "`swap` of colours", PLANTED: "`planted_defect`"}
    what = f"{names.get(check, 'the same with `faint: 0.05`')}, accused without a mark"
    reached = _said(found, found.value <= _MOST_ALARMS, found.high <= _MOST_ALARMS)
    return Goal(what, "at most 5%", counted(found), reached)


def _faults(networks: Networks) -> Goal:
    caught = networks.faulty.groupby("name")["accused"].any()
    found = share(caught)
    checks = ", ".join(f"`{check}`" for check in FAULT_CHECKS)
    return Goal(f"faults, seen by {checks}", "all", counted(found), _least(found, 1.0))


def _least(found: Estimate, least: float) -> str:
    return _said(found, found.value >= least, found.low >= least)


def _said(found: Estimate, is_there: bool, is_sure: bool) -> str:
    if found.n == 0:
        return "not measured"
    if not is_there:
        return "no"
    return "yes" if is_sure else "the value, not its interval"
