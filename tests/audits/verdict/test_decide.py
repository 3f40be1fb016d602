"""A verdict is passed only if the evidence shows every condition."""

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.config.policy import Condition, Policy
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric, Null
from audits.verdict.decide import decide

TODAY = date(2026, 1, 1)  # any day will do: no policy here has a waiver

_number = st.sampled_from([math.nan, math.inf, -math.inf]) | st.floats(-1, 2).map(
    lambda x: round(x, 3)
)
_estimates = st.builds(
    lambda numbers, n: Estimate(numbers[1], numbers[0], numbers[2], n),
    st.tuples(_number, _number, _number) | st.tuples(_number, _number, _number).map(sorted),
    st.sampled_from([0, 1, 100]),
)
_maybe = st.none() | _estimates
_metrics = st.fixed_dictionaries(
    {},
    optional={
        "accuracy": st.builds(
            Metric,
            title=st.just("right"),
            estimate=_estimates,
            null=st.none() | st.builds(Null, st.just("chance"), _maybe),
            lift=_maybe,
            drop=_maybe,
        ),
        "coverage": st.builds(
            Metric, title=st.just("covered"), estimate=_estimates, is_coverage=st.just(True)
        ),
    },
)
_evidence = st.builds(
    Evidence,
    check=st.sampled_from(["fill", "performance"]),
    sentence=st.just("A sentence."),
    status=st.sampled_from(["ok", "ok", "ok", "error", "not_applicable"]),
    reason=st.just("why"),
    metrics=_metrics,
)
_conditions = st.builds(
    lambda metric, bound, value: Condition(metric=metric, **{bound: value}),
    st.sampled_from(["fill/accuracy", "performance/accuracy", "fill/absent", "other/accuracy"]),
    st.sampled_from(["min", "max", "min_lift", "max_drop"]),
    st.floats(-0.5, 1.5).map(lambda x: round(x, 3)),
)


def _shows(condition, evidence):
    """Whether the evidence shows the condition, computed without the code under test."""
    check, metric = condition.judged_metric.split("/")
    for one in evidence:
        if one.check == check:
            estimate = one.estimates.get(metric)
            if one.status != "ok" or estimate is None or estimate.n == 0:
                return False
            if not all(map(math.isfinite, (estimate.low, estimate.value, estimate.high))):
                return False
            if condition.max is not None or condition.max_drop is not None:
                return estimate.high <= condition.bound
            return estimate.low >= condition.bound
    return False


@given(
    st.lists(_conditions, max_size=3, unique_by=str),
    st.lists(_evidence, max_size=2, unique_by=lambda e: e.check),
)
def test_only_conditions_that_are_all_shown_ever_pass(conditions, evidence):
    verdict = decide(Policy(conditions=tuple(conditions)), evidence, TODAY)
    assert len(verdict.judgements) == len(conditions)
    assert "\n" not in verdict.reason
    assert verdict.reason
    outcomes = [j.outcome for j in verdict.judgements]
    if "failed" in outcomes:
        assert verdict.word == "failed"
    elif "not_judged" in outcomes:
        assert verdict.word == "undecided"
    if verdict.word == "passed":
        assert conditions
        assert all(_shows(condition, evidence) for condition in conditions)
        assert all(e.status != "error" for e in evidence)


GOOD = (0.95, 0.92, 0.97, 400)
BAD = (0.3, 0.25, 0.35, 400)
MIN = Policy(conditions=(Condition(metric="fill/accuracy", min=0.9),))


@pytest.mark.parametrize(
    ("status", "metrics", "finding"),
    [
        ("ok", {}, "has no such metric"),
        ("ok", {"f1": GOOD}, "has no such metric, it has f1"),
        ("ok", {"accuracy": (math.nan, 0.92, 0.97, 400)}, "its value is nan over 400 images"),
        ("ok", {"accuracy": (0.95, math.nan, 0.97, 400)}, "its value is 0.95"),
        ("ok", {"accuracy": (0.95, 0.92, math.inf, 400)}, "its value is 0.95"),
        ("ok", {"accuracy": (0.95, 0.92, 0.97, 0)}, "it was measured on no image"),
        ("ok", {"accuracy": (0.1, 0.92, 0.97, 400)}, "its value is 0.1"),
        ("error", {"accuracy": GOOD}, "fill ended with an error: it burnt"),
        ("not_applicable", {"accuracy": GOOD}, "fill does not apply: it burnt"),
        (
            "ok",
            {"accuracy": GOOD, "coverage": (0.4, 0.35, 0.45, 400)},
            "coverage 0.400 [0.350, 0.450] may be below 0.5",
        ),
        (
            "ok",
            {"accuracy": GOOD, "coverage": (math.nan,) * 3 + (0,)},
            "coverage nan [nan, nan] may be below 0.5",
        ),
    ],
)
def test_what_is_not_shown_is_undecided_with_a_reason(status, metrics, finding, evidence_of):
    verdict = decide(MIN, [evidence_of(status=status, reason="it burnt", **metrics)], TODAY)
    assert verdict.word == "undecided"
    assert verdict.judgements[0].outcome == "not_judged"
    assert finding in verdict.reason
    assert verdict.reason.startswith("fill/accuracy >= 0.9: not judged")


def test_a_check_that_the_audit_lacks_is_undecided(evidence_of):
    verdict = decide(MIN, [evidence_of("other", accuracy=GOOD)], TODAY)
    assert verdict.word == "undecided"
    assert "no check 'fill'" in verdict.reason


def test_no_condition_is_no_pass(evidence_of):
    assert decide(Policy(), [evidence_of(accuracy=GOOD)], TODAY).word == "undecided"
    assert decide(Policy(), [], TODAY).word == "undecided"


@pytest.mark.parametrize("accuracy", [GOOD, (0.1, 0.05, 0.15, 400)])
def test_with_an_open_question_nothing_is_passed_or_failed(accuracy, evidence_of):
    evidence = evidence_of(accuracy=accuracy)
    assert decide(MIN, [evidence], TODAY).word != "undecided"
    asked = decide(MIN, [evidence], TODAY, ["Which range? Set preprocessing.range."])
    assert (asked.word, asked.reason) == ("undecided", "Which range? Set preprocessing.range.")
    assert len(asked.judgements) == 1
    doubtful = evidence.model_copy(update={"questions": ("Which classes?",)})
    assert decide(MIN, [doubtful], TODAY).reason == "Which classes?"


def test_with_a_doubt_nothing_is_passed_and_a_failure_stays(evidence_of):
    for accuracy, word in (
        (GOOD, "undecided"),
        ((0.92, 0.88, 0.95, 100), "undecided"),  # not judged
        ((0.1, 0.05, 0.15, 400), "failed"),
    ):
        evidence = [evidence_of(accuracy=accuracy)]
        found = decide(MIN, evidence, TODAY, doubts=["Another network draws."])
        assert (found.word, found.reason == "Another network draws.") == (word, word != "failed")
        assert (found.deciding == ()) == (word != "failed")


def test_left_out_images_stand_behind_every_reason(evidence_of):
    for accuracy in (GOOD, (0.1, 0.05, 0.15, 400), (0.92, 0.88, 0.95, 100)):
        evidence = [evidence_of(accuracy=accuracy)]
        plain = decide(MIN, evidence, TODAY)
        told = decide(MIN, evidence, TODAY, skipped=["2 of 9 files are left out."])
        assert told.word == plain.word
        assert told.reason == f"{plain.reason.rstrip('.')}. 2 of 9 files are left out."


def test_everything_shown_passes(evidence_of):
    verdict = decide(MIN, [evidence_of(accuracy=GOOD, coverage=(0.6, 0.5, 0.7, 400))], TODAY)
    assert verdict.word == "passed"
    assert verdict.reason == "fill/accuracy >= 0.9: passed with 0.950 [0.920, 0.970]"


@pytest.mark.parametrize(
    ("bound", "low", "high", "word"),
    [
        ({"min": 0.5}, 0.5, 0.7, "passed"),
        ({"min": 0.5}, 0.499, 0.7, "undecided"),
        ({"min": 0.5}, 0.3, 0.5, "undecided"),
        ({"min": 0.5}, 0.3, 0.499, "failed"),
        ({"max": 0.5}, 0.3, 0.5, "passed"),
        ({"max": 0.5}, 0.3, 0.501, "undecided"),
        ({"max": 0.5}, 0.501, 0.7, "failed"),
        ({"min": 0.0}, 0.0, 0.1, "passed"),
        ({"max": 0.0}, 0.1, 0.2, "failed"),
    ],
)
def test_the_worse_end_of_the_interval_decides(bound, low, high, word, evidence_of):
    policy = Policy(conditions=(Condition(metric="fill/accuracy", **bound),))
    evidence = evidence_of(accuracy=((low + high) / 2, low, high, 100))
    assert decide(policy, [evidence], TODAY).word == word


def test_a_lift_is_judged_by_the_lift_and_not_by_the_value(evidence_of):
    policy = Policy(conditions=(Condition(metric="fill/accuracy", min_lift=0.2),))
    evidence = evidence_of(accuracy=GOOD, accuracy_lift=(0.0, -0.04, 0.04, 400))
    verdict = decide(policy, [evidence], TODAY)
    assert verdict.word == "failed"
    assert "fill/accuracy_lift >= 0.2" in verdict.reason


def test_a_drop_below_zero_is_told_as_an_improvement(evidence_of):
    policy = Policy(conditions=(Condition(metric="fill/accuracy", max_drop=0.02),))
    for value, told in (
        (-0.03, "-0.030 [-0.040, -0.020] (an improvement)"),
        (0.01, "0.010 [0.000"),
    ):
        evidence = evidence_of(
            accuracy=GOOD, accuracy_drop=(value, value - 0.01, value + 0.01, 400)
        )
        finding = decide(policy, [evidence], TODAY).judgements[0].finding
        assert finding.startswith(told)
        assert ("improvement" in finding) == (value < 0)


def test_failed_beats_undecided_and_tells_only_what_failed(evidence_of):
    conditions = tuple(
        Condition(metric=m, min=0.9) for m in ("fill/accuracy", "gone/accuracy", "fill/f1")
    )
    evidence = evidence_of(accuracy=GOOD, f1=(0.2, 0.1, 0.3, 50))
    verdict = decide(Policy(conditions=conditions), [evidence], TODAY)
    assert verdict.word == "failed"
    assert [j.outcome for j in verdict.judgements] == ["passed", "not_judged", "failed"]
    assert verdict.reason == "fill/f1 >= 0.9: failed with 0.200 [0.100, 0.300]"


@pytest.mark.parametrize("metric", ["f1_weighted", "agreement", "prototype_f1_macro", "coverage"])
def test_nothing_said_of_a_fill_no_better_than_its_null_counts(metric, evidence_of):
    policy = Policy(conditions=(Condition(metric=f"fill/{metric}", min=0.8),))
    known = {"accuracy": GOOD, "prototype_accuracy": GOOD, metric: GOOD}
    own = "prototype_accuracy" if metric.startswith("prototype") else "accuracy"
    rests_on = {metric: own}
    lifts = {"accuracy_lift": (0.5, 0.4, 0.6, 400), "prototype_accuracy_lift": (0.5, 0.4, 0.6, 400)}
    evidence = evidence_of(rests_on=rests_on, **known, **lifts)
    assert decide(policy, [evidence], TODAY).word == "passed"
    lifts[f"{own}_lift"] = (0.0, -0.1, 0.1, 400)
    verdict = decide(policy, [evidence_of(rests_on=rests_on, **known, **lifts)], TODAY)
    assert verdict.word == "undecided"
    wanted = f"does not count: fill/{own} is no better than its null, chance: the lift is 0.000"
    assert wanted in verdict.reason


def test_low_coverage_hides_no_failure(evidence_of):
    evidence = evidence_of(accuracy=(0.2, 0.1, 0.3, 50), coverage=(0.1, 0.0, 0.2, 50))
    assert decide(MIN, [evidence], TODAY).word == "failed"


def test_least_coverage_is_the_policys(evidence_of):
    evidence = evidence_of(accuracy=GOOD, coverage=(0.4, 0.35, 0.45, 400))
    assert decide(MIN.model_copy(update={"min_coverage": 0.35}), [evidence], TODAY).word == "passed"


def test_straddling_says_how_many_more_images_would_settle_it(evidence_of):
    verdict = decide(MIN, [evidence_of(accuracy=(0.92, 0.88, 0.95, 100))], TODAY)
    assert verdict.word == "undecided"
    # The standard error is .0213 at the bound and .0176 at the value. 1.96 of the first plus .84 of
    # the second, .0567, must shrink to .02, which takes about 6.85 times the images.
    assert "straddles the bound; with about 585 more images it would be passed in 80 %" in (
        verdict.reason
    )
    below = decide(MIN, [evidence_of(accuracy=(0.88, 0.85, 0.92, 100))], TODAY)
    assert "more images it would be failed in 80 % of cases" in below.reason


def test_a_value_on_the_bound_is_never_settled(evidence_of):
    verdict = decide(MIN, [evidence_of(accuracy=(0.9, 0.88, 0.95, 100))], TODAY)
    assert "no number of images would settle it" in verdict.reason


def test_an_error_outside_the_policy_prevents_passed(evidence_of):
    evidence = [
        evidence_of(accuracy=GOOD),
        evidence_of("other", status="error", reason="it took more than 3 s"),
    ]
    verdict = decide(MIN, evidence, TODAY)
    assert verdict.word == "undecided"
    assert verdict.reason == "other did not finish: it took more than 3 s"


def test_a_check_outside_the_policy_that_does_not_apply_is_no_hindrance(evidence_of):
    evidence = [evidence_of(accuracy=GOOD), evidence_of("other", status="not_applicable")]
    assert decide(MIN, evidence, TODAY).word == "passed"


def test_several_conditions_that_hold_are_counted(evidence_of):
    both = (*MIN.conditions, Condition(metric="fill/accuracy", max=0.99))
    verdict = decide(Policy(conditions=both), [evidence_of(accuracy=GOOD)], TODAY)
    assert verdict.word == "passed"
    assert verdict.reason.startswith("All 2 conditions hold; closest is fill/accuracy")


@pytest.mark.parametrize(
    ("conditions", "baseline", "gap"),
    [
        ([{"max_drop": 0.05}, {"min": 0.5}], BAD, True),
        ([{"max_drop": 0.05}, {"min": 0.5}], GOOD, False),
        ([{"max_drop": 0.05}, {"min": 0.5}], (0.45, 0.35, 0.55, 400), False),  # may be good enough
        ([{"max_drop": 0.05}], BAD, False),  # no condition judges it
        ([{"min": 0.5}], BAD, False),  # no condition compares with it
    ],
)
def test_to_be_no_worse_than_a_baseline_that_fails_is_a_part_alone(
    conditions, baseline, gap, evidence_of
):
    policy = Policy(conditions=tuple(Condition(metric="fill/accuracy", **c) for c in conditions))
    evidence = evidence_of(accuracy=GOOD, accuracy_drop=(-0.3, -0.4, -0.2, 400))
    verdict = decide(policy, [evidence], TODAY, baseline=[evidence_of(accuracy=baseline)])
    assert verdict.word == "passed"
    assert bool(verdict.not_covered) == gap
    assert verdict.told == ("passed, in part" if gap else "passed")
    assert verdict.reason.startswith("The baseline itself fails (fill/accuracy >= 0.5: ") == gap
