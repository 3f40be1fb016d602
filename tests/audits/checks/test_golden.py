"""The figures of a check change only if its version is raised."""

import json
from pathlib import Path

import pytest
from fixed_net import fixed_classifier
from golden import CHECKS, FILE, evidence_of, figures_of

from audits.checks.performance import Performance
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.checks.registered import check_classes

GOLDEN = json.loads(FILE.read_text())

# Figures of commit 8311aef, from before the rooms, on the fixed network and all images.
BEFORE = json.loads((Path(FILE).parent / "figures_of_8311aef.json").read_text())
THEN = {
    "performance": Performance(),
    "random_fill": RandomFill(samples=12, patch_size=4),
    "progressive_fill": ProgressiveFill(),
    "second_order_fill": ProgressiveFill(
        label="second_order_fill", update="second_order", patch_size=7
    ),
}
# These intervals have had new methods since: F1 by class, lifts in pairs, bounded means.
OTHER_INTERVALS = ("f1_macro", "f1_weighted", "lift", "acceptance_rate", "stability")


# Processors round in other ways, and two nearly equal ranks may then change places.
_ROUNDING = 1e-4


# Checks that take seconds here.
_SLOW = {"random_fill_second_order", "random_fill_otherwise", "blank_proof", "ablation"}


def _param(check):
    return pytest.param(check, id=check.name, marks=[pytest.mark.slow] * (check.name in _SLOW))


@pytest.mark.parametrize("check", map(_param, CHECKS))
def test_figures_are_those_of_the_version(check):
    found, wanted = figures_of(check), GOLDEN[check.name]
    assert found["version"] == wanted["version"], "write golden.json anew: see golden.py"
    assert found["figures"].keys() == wanted["figures"].keys()
    for name, figure in wanted["figures"].items():
        assert found["figures"][name] == pytest.approx(
            figure, rel=1e-6, abs=_ROUNDING, nan_ok=True
        ), f"{name} has changed: raise the version of {check.kind} and see golden.py"


def test_every_check_of_ours_is_pinned():
    ours = {kind for kind in check_classes() if kind.__module__.startswith("audits.")}
    assert {type(check) for check in CHECKS} == ours
    assert GOLDEN.keys() == {check.name for check in CHECKS}


@pytest.mark.soak
@pytest.mark.parametrize("name", THEN)
def test_the_rooms_have_changed_no_figure(name):
    found = evidence_of(THEN[name], fixed_classifier()).estimates
    newer = {f for f in found if "_moved" in f or "_noise" in f or f == "recall_worst"}
    assert found.keys() - newer == BEFORE[name].keys()
    for figure, (value, low, high, n) in BEFORE[name].items():
        now = found[figure]
        assert (now.value, now.n) == (pytest.approx(value, rel=1e-12), n), figure
        if not figure.endswith(OTHER_INTERVALS):
            assert (now.low, now.high) == pytest.approx((low, high), rel=1e-12), figure
