"""The answer for people: a sentence and a row for each condition, from verdict and evidence."""

from dataclasses import replace
from datetime import date

import pytest

from audits.config.policy import Condition, Policy, Waiver
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric, Null, Pairing
from audits.report.answer import answer
from audits.report.numbers import interval, number
from audits.verdict.decide import Verdict, decide
from audits.verdict.judgement import Judgement

_TODAY = date(2026, 1, 1)
_NULL = Null("the same pixels shuffled")


def _share(value: float) -> Estimate:
    return Estimate(value, value - 0.05, value + 0.05, 400)


def _evidence(recognised: float = 0.24, drop: Estimate | None = None) -> list[Evidence]:
    right = Metric("images named right", _share(0.94), clause="names {} of the images right")
    drawn = Metric(
        "own drawing recognised",
        null=_NULL,
        about_learning=True,
        pairing=Pairing("drawn", "accuracy"),
        clause="recognises {} of its own drawings",
    ).measured(_share(recognised), _share(0.06), _share(recognised - 0.06))
    drawn = replace(drawn, drop=drop or _share(0.41))
    return [
        Evidence(check="performance", sentence="s", metrics={"accuracy": right}),
        Evidence(check="fill", sentence="s", metrics={"accuracy": drawn}),
    ]


def _answer(
    *conditions: Condition,
    recognised: float = 0.24,
    drop: Estimate | None = None,
    waivers: tuple[Waiver, ...] = (),
):
    evidence = _evidence(recognised, drop)
    policy = Policy(conditions=conditions, waivers=waivers)
    return answer(decide(policy, evidence, _TODAY), evidence)


_ACCURATE = Condition(metric="performance/accuracy", min=0.8)


def test_a_failed_model_is_told_in_one_sentence_with_bound_and_null():
    found = _answer(_ACCURATE, Condition(metric="fill/accuracy", min=0.6))
    assert found.word == "failed"
    assert found.sentence == (
        "Names 94 % of the images right, but recognises only 24 % of its own drawings "
        "(needed: at least 60 %; the same pixels shuffled: 6 %)."
    )
    first, second = found.rows
    assert (first.title, first.told) == ("own drawing recognised", "failed")
    assert first.measured == "24 % (19 to 29 %)"
    assert first.against == "6 %, the same pixels shuffled"
    assert second.against == ""


def test_the_reason_of_a_check_that_does_not_apply_ends_with_one_full_stop():
    reason = "Expected a small network, got a large one. Take a smaller one."
    proof = Evidence(check="proof", sentence="", status="not_applicable", reason=reason)
    evidence = [*_evidence(), proof]
    policy = Policy(conditions=(_ACCURATE, Condition(metric="proof/proven", min=0.1)))
    found = answer(decide(policy, evidence, _TODAY), evidence)
    assert found.word == "undecided"
    assert "a large one. Take a smaller one." in found.sentence
    assert ".." not in found.sentence


def test_a_passed_model_is_told_by_the_condition_about_its_learning():
    found = _answer(_ACCURATE, Condition(metric="fill/accuracy", min_lift=0.1), recognised=0.9)
    assert found.sentence == (
        "Names 94 % of the images right, and recognises 90 % of its own drawings (84 points "
        "better than the same pixels shuffled; needed: at least 10 points)."
    )


def test_a_drop_is_told_against_the_baseline_and_has_no_null():
    found = _answer(Condition(metric="fill/accuracy", max_drop=0.05))
    (row,) = found.rows
    assert row.title == "own drawing recognised: worse than the baseline by"
    assert (row.needs, row.measured) == ("at most 5 points", "41 points (36 to 46 points)")
    assert row.against == ""
    assert "41 points worse than the baseline; needed: at most 5 points" in found.sentence


def test_a_condition_that_straddles_its_bound_is_told_with_interval_n_and_null():
    found = _answer(Condition(metric="fill/accuracy", min=0.25))
    assert found.word == "undecided"
    assert found.sentence == (
        "Names 94 % of the images right; not settled: recognises 24 % of its own drawings (needed: "
        "at least 25 %; too uncertain: 19 to 29 % in the 95 % interval of 400 images; the same "
        "pixels shuffled: 6 %)."
    )


def test_an_undecided_audit_that_is_read_back_has_its_interval_too():
    evidence = _evidence()
    verdict = decide(
        Policy(conditions=(Condition(metric="fill/accuracy", min=0.25),)), evidence, _TODAY
    )
    (one,) = verdict.judgements
    read = (Judgement(one.condition, one.outcome, one.finding),)
    again = answer(Verdict(verdict.word, verdict.reason, read, deciding=read), evidence)
    assert again.sentence == answer(verdict, evidence).sentence


@pytest.mark.parametrize(
    ("drop", "told"),
    [
        (
            Estimate(0, -0.03, 0.07, 1),
            "0 points worse than the baseline; needed: at most 5 points; too uncertain: 3 points "
            "better to 7 points worse in the 95 % interval of 1 image;",
        ),
        (
            Estimate(-0.01, -0.1, 0.06, 2000),
            "1 point better than the baseline; needed: at most 5 points; too uncertain: 10 points "
            "better to 6 points worse in the 95 % interval of 2,000 images;",
        ),
    ],
)
def test_an_open_drop_is_told_as_better_and_worse_and_has_the_null_of_its_metric(drop, told):
    found = _answer(Condition(metric="fill/accuracy", max_drop=0.05), drop=drop)
    assert found.word == "undecided"
    assert told in found.sentence
    assert found.sentence.endswith("; the same pixels shuffled: 6 %).")


def test_other_reasons_for_no_judgement_are_told_in_words():
    enough = Condition(metric="fill/accuracy", min=0.01)
    found = _answer(enough, recognised=0.08)  # the null is 6 %
    assert "no better than its null, so it does not count: " in found.sentence
    # Among many conditions a single failure that is not clear may be chance.
    others = [Condition(metric="performance/accuracy", min=n / 100) for n in range(1, 80)]
    found = _answer(Condition(metric="fill/accuracy", min=0.295), *others)
    assert found.word == "undecided"
    assert "may be chance, as one of several conditions: " in found.sentence
    assert "in the 95 % interval of 400 images" in found.sentence
    evidence = _evidence()
    covered = Metric("images that count", _share(0.3), is_coverage=True)
    evidence[1].metrics["coverage"] = covered
    policy = Policy(conditions=(Condition(metric="fill/accuracy", min=0.1),))
    found = answer(decide(policy, evidence, _TODAY), evidence)
    assert "too few images count: 19 to 29 % in the 95 % interval" in found.sentence


def test_a_waived_condition_does_not_make_the_sentence():
    condition = Condition(metric="fill/accuracy", min=0.6)
    waiver = Waiver(condition=str(condition), reason="known", until=date(2026, 2, 1))
    found = _answer(_ACCURATE, condition, waivers=(waiver,))
    assert found.word == "passed, 1 waived"
    assert found.sentence == "Names 94 % of the images right (needed: at least 80 %)."
    assert [row.told for row in found.rows] == ["failed, waived until 2026-02-01", "passed"]


def test_a_figure_that_was_not_measured_is_told_with_the_reason():
    (row,) = _answer(Condition(metric="other/accuracy", min=0.6)).rows
    assert row.title == "other/accuracy"
    assert row.measured == "the audit has no check 'other'"


def test_an_open_question_is_the_sentence():
    evidence = _evidence()
    verdict = decide(Policy(conditions=(_ACCURATE,)), evidence, _TODAY, ["Which order?"])
    assert answer(verdict, evidence).sentence == "Which order?"


@pytest.mark.parametrize(
    ("value", "unit", "figure", "told"),
    [
        (0.244, "share", "value", "24.4 %"),
        (1.0, "share", "null", "100 %"),
        (-0.0001, "difference", "value", "0 points"),
        (0.01, "share", "drop", "1 point"),
        (1234.0, "count", "value", "1,234.0"),
        (0.1234, "ratio", "value", "0.123"),
    ],
)
def test_numbers_are_told_in_their_unit(value, unit, figure, told):
    assert number(value, unit, figure) == told


def test_the_decider_is_told_in_words_with_its_condition():
    failed = Condition(metric="fill/accuracy", min=0.6)
    assert _answer(_ACCURATE, failed).decider == (
        "own drawing recognised, needed at least 60 %, measured 24 % (19 to 29 %) "
        "(fill/accuracy >= 0.6)"
    )
    both = _answer(failed, Condition(metric="performance/accuracy", min=0.999))
    assert "; 1 more failed (fill" in both.decider
    passed = _answer(_ACCURATE, Condition(metric="fill/accuracy", min=0.1))
    assert passed.decider.startswith("images named right, needed at least 80 %, measured 94 % ")
    assert passed.decider.endswith("; 1 more condition holds (performance/accuracy >= 0.8)")


def test_an_interval_has_its_unit_once():
    assert interval(Estimate(0.24, 0.181, 0.31, 9), "share") == "18.1 to 31 %"
