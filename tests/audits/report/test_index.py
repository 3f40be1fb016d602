"""The trend of the index page: its axis, its bound, its marks, and its words."""

import re
from dataclasses import replace
from datetime import date

import pytest
import reports

from audits.config.policy import Condition, Policy
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric, Null
from audits.report.answer import answer
from audits.report.index import HEIGHT, Indexed, Past, index, trend
from audits.verdict.decide import decide

_DAY = date(2026, 1, 1)


def _evidence(value: float, drop: float = 0.0) -> Evidence:
    share = Estimate(value, value - 0.05, value + 0.05, 400)
    lift = Estimate(value - 0.05, value - 0.1, value, 400)
    metric = Metric("own drawing recognised", null=Null("the same pixels shuffled"))
    measured = replace(metric, about_learning=True, clause="recognises {} of its drawings")
    measured = measured.measured(share, Estimate(0.05, 0.04, 0.06, 400), lift)
    measured = replace(measured, drop=Estimate(drop, drop - 0.02, drop + 0.02, 400))
    return Evidence(check="fill", sentence="s", metrics={"accuracy": measured})


def _indexed(condition: Condition, *given: Evidence) -> Indexed:
    # The whole verdict of each version is said to be `failed`: a trend is about its figure alone.
    versions = [Past(str(n), "failed", [one]) for n, one in enumerate(given, 1)]
    policy = Policy(conditions=(condition,))
    return Indexed("m", answer(decide(policy, given[-1:], _DAY), given[-1:]), versions)


def test_a_mark_says_on_which_side_of_the_bound_its_figure_is():
    found = trend(
        _indexed(Condition(metric="fill/accuracy", min=0.6), *map(_evidence, (0.8, 0.62, 0.3)))
    )
    assert [point.outcome for point in found.points] == ["passed", "not_judged", "failed"]
    assert [point.told.rsplit(", ", 1)[1] for point in found.points] == [
        "holds",
        "not settled",
        "does not hold",
    ]
    assert found.newest == "v3: 30 % (25 to 35 %)"
    assert (found.bottom, found.top, found.needs) == ("0 %", "100 %", "at least 60 %")


def test_a_bound_from_above_is_held_below_it():
    drops = [_evidence(0.5, drop) for drop in (0.0, 0.04, 0.09)]
    found = trend(_indexed(Condition(metric="fill/accuracy", max_drop=0.05), *drops))
    assert [point.outcome for point in found.points] == ["passed", "not_judged", "failed"]
    first, _, last = found.points
    assert last.y < found.bound < first.y <= HEIGHT  # up is more
    assert found.newest == "v3: 9 points (7 to 11 points)"


@pytest.mark.parametrize("versions", [1, 2, 9])
def test_marks_stand_beside_each_other_on_the_picture(versions):
    found = trend(
        _indexed(Condition(metric="fill/accuracy", min=0.6), *[_evidence(0.5)] * versions)
    )
    places = [point.x for point in found.points]
    assert places == sorted(set(places))
    assert len(places) == versions
    assert places[0] > 64
    assert places[-1] < 300


def test_the_page_has_bound_axis_newest_number_and_a_title_for_each_trend():
    model = _indexed(Condition(metric="fill/accuracy", min=0.6), _evidence(0.8), _evidence(0.3))
    page = index([model], [], "sqlite:///m.db", "2026-01-01")
    assert (
        '<p class="newest">v2: 30\u00a0% (25 to 35\u00a0%); needed: at least 60\u00a0%</p>' in page
    )
    (drawn,) = re.findall(r'<svg class="trend".*?</svg>', page, re.DOTALL)
    told = "own drawing recognised, needed at least 60 %: v1: 80 % (75 to 85 %), holds; v2: 30 % ("
    assert drawn.count(told) == 2  # for those who hear it, and for those who point at it
    assert 'class="bound"' in drawn
    assert ">100 %<" in drawn
    assert ">0 %<" in drawn
    assert drawn.count('<g class="passed">') == drawn.count('<g class="failed">') == 1


def test_an_index_of_an_undecided_model_tells_interval_and_null():
    evidence = [reports.performed(reports.DIGITS), reports.drawn(reports.DIGITS, 0.64)]
    found = answer(decide(reports.POLICY, evidence, _DAY), evidence)
    model = Indexed("m", found, [Past("1", "undecided", evidence)])
    page = index([model], [], "r", "2026-01-01").replace("\u00a0", " ")
    assert "too uncertain: 46.2 to 65.3 % in the 95 % interval of 100 images; the same" in page
