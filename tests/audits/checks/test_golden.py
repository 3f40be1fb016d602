"""Nobody changes the figures of a check without raising its version."""

import json

import pytest
from golden import CHECKS, FILE, figures_of

from audits.checks.registered import check_classes

GOLDEN = json.loads(FILE.read_text())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.kind)
def test_figures_are_those_of_the_version(check):
    found, wanted = figures_of(check), GOLDEN[check.kind]
    assert found["version"] == wanted["version"], "write golden.json anew: see golden.py"
    assert found["figures"].keys() == wanted["figures"].keys()
    for name, figure in wanted["figures"].items():
        assert found["figures"][name] == pytest.approx(figure, rel=1e-9), (
            f"{name} has changed: raise the version of {check.kind} and see golden.py"
        )


def test_every_check_of_ours_is_pinned():
    ours = {kind for kind in check_classes() if kind.__module__.startswith("audits.")}
    assert {type(check) for check in CHECKS} == ours
    assert GOLDEN.keys() == {check.kind for check in CHECKS}
