"""A drop says nothing about a network if neither it nor its baseline is better than the null."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from audits.config.policy import Condition, Policy, Waiver
from audits.evidence.codec import from_json, to_json
from audits.evidence.declaration import faults_in
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric, Null, Pairing
from audits.evidence.pairing import with_drops, without_drops
from audits.report.answer import answer
from audits.verdict.decide import decide

TODAY = date(2026, 1, 1)
NONE, SOME = Estimate(0.01, -0.04, 0.06, 400), Estimate(0.3, 0.25, 0.35, 400)
FILL = Metric(
    "drawings recognised", null=Null("shuffled"), pairing=Pairing("predicted", "accuracy")
)
RIGHT = Metric("images named right", Estimate(0.9, 0.88, 0.92, 400))
DROP = Condition(metric="fills/accuracy", max_drop=0.05)
ACCURACY = Condition(metric="plain/accuracy", min=0.5)


def _fills(lift=NONE, baseline=NONE, drop=NONE):
    measured = FILL.measured(Estimate(0.1, 0.07, 0.13, 400), Estimate(0.1, 0.07, 0.13, 400), lift)
    metric = replace(measured, drop=drop, baseline_lift=baseline)
    return Evidence(check="fills", sentence="", metrics={"accuracy": metric})


def _decided(*evidence, conditions=(ACCURACY, DROP), waivers=()):
    plain = Evidence(check="plain", sentence="", metrics={"accuracy": RIGHT})
    policy = Policy(conditions=conditions, waivers=waivers)
    return decide(policy, [plain, *evidence], TODAY)


@pytest.mark.parametrize("drop", [NONE, Estimate(0.3, 0.2, 0.4, 400), Estimate(0.0, 0.0, 0.0, 400)])
def test_without_a_lift_in_either_the_drop_does_not_decide(drop):
    verdict = _decided(_fills(drop=drop))
    assert verdict.word == "passed"
    assert [one.outcome for one in verdict.judgements] == ["passed", "says_nothing"]
    assert [one.decides for one in verdict.judgements] == [True, False]
    assert "fills/accuracy_drop says nothing about this network" in verdict.reason
    assert verdict.deciding == verdict.judgements[:1]


@pytest.mark.parametrize(
    ("lift", "baseline", "drop", "word"),
    [
        (NONE, SOME, Estimate(0.3, 0.2, 0.4, 400), "failed"),
        (NONE, SOME, Estimate(0.0, -0.01, 0.01, 400), "undecided"),
        (SOME, NONE, Estimate(0.0, -0.01, 0.01, 400), "passed"),
        (SOME, SOME, Estimate(0.3, 0.2, 0.4, 400), "failed"),
        (NONE, None, Estimate(0.0, -0.01, 0.01, 400), "undecided"),
        (Estimate(float("nan"), *[float("nan")] * 2, 0), NONE, NONE, "undecided"),
        (NONE, Estimate(float("nan"), *[float("nan")] * 2, 0), NONE, "undecided"),
    ],
)
def test_with_a_lift_or_an_unknown_one_the_drop_is_judged_as_ever(lift, baseline, drop, word):
    verdict = _decided(_fills(lift, baseline, drop))
    assert verdict.word == word
    assert "says_nothing" not in [one.outcome for one in verdict.judgements]


def test_an_unmeasured_drop_is_not_passed_over():
    assert _decided(_fills(drop=None)).word == "undecided"


def test_a_policy_that_asks_for_a_lift_is_not_silenced():
    wanted = Condition(metric="fills/accuracy", min_lift=0.1)
    assert _decided(_fills(), conditions=(ACCURACY, DROP, wanted)).word == "failed"


def test_silence_alone_passes_nothing():
    verdict = _decided(_fills(), conditions=(DROP,))
    assert verdict.word == "undecided"
    assert verdict.reason.startswith("No condition decides. fills/accuracy_drop says nothing")
    waiver = Waiver(condition=str(ACCURACY), reason="r", until=TODAY)
    bad = replace(RIGHT, estimate=Estimate(0.1, 0.08, 0.12, 400))
    plain = Evidence(check="plain", sentence="", metrics={"accuracy": bad})
    policy = Policy(conditions=(ACCURACY, DROP), waivers=(waiver,))
    assert decide(policy, [plain, _fills()], TODAY).word == "undecided"


def test_a_metric_that_rests_on_another_is_silent_with_it():
    evidence = _fills()
    consistency = Metric("stability", NONE, pairing=FILL.pairing, rests_on="accuracy", drop=NONE)
    metrics = {**evidence.metrics, "stability": consistency}
    condition = Condition(metric="fills/stability", max_drop=0.05)
    evidence = evidence.model_copy(update={"metrics": metrics})
    verdict = _decided(evidence, conditions=(ACCURACY, condition))
    assert [one.outcome for one in verdict.judgements] == ["passed", "says_nothing"]


def test_people_are_told_in_a_sentence():
    evidence = _fills()
    sentence = answer(_decided(evidence), [evidence]).sentence
    assert "1 condition on fills says nothing about this network" in sentence


def test_the_lift_of_the_baseline_goes_into_the_evidence_and_out_again():
    table = pd.DataFrame({"label": [0, 1, 1], "predicted": [0, 1, 0]}, index=np.arange(3))
    own = _fills(SOME, None, None).model_copy(update={"images": table})
    other = _fills(NONE, None, None).model_copy(update={"images": table})
    found = with_drops(own, other, ["a", "b"], ["a", "b"])
    assert found.metrics["accuracy"].baseline_lift == NONE
    assert from_json(to_json(found), table).metrics["accuracy"].baseline_lift == NONE
    assert without_drops(found).metrics == own.metrics
    older = to_json(found)
    del older["metrics"]["accuracy"]["baseline_lift"]
    assert from_json(older, table).metrics["accuracy"].baseline_lift is None


@pytest.mark.parametrize(
    ("lift", "fall", "outcome"),
    [
        (NONE, 0.02, "says_nothing"),
        (NONE, 0.8, "says_nothing"),
        (SOME, 0.02, "passed"),  # though too few images are covered
        (SOME, 0.8, "failed"),
    ],
)
def test_a_guard_says_nothing_of_a_fill_without_a_lift_and_needs_no_coverage(lift, fall, outcome):
    evidence = _fills(lift, None, None)
    guard = Metric("lost", Estimate(fall, fall - 0.02, fall + 0.02, 400), better="lower")
    covered = Metric("covered", Estimate(0.3, 0.25, 0.35, 400), is_coverage=True)
    guard = replace(guard, unit="difference", guards="accuracy")
    metrics = {**evidence.metrics, "fall": guard, "coverage": covered}
    verdict = _decided(
        evidence.model_copy(update={"metrics": metrics}),
        conditions=(ACCURACY, Condition(metric="fills/fall", max=0.5)),
    )
    assert verdict.judgements[1].outcome == outcome
    assert verdict.word == ("failed" if outcome == "failed" else "passed")


@pytest.mark.parametrize(
    ("drop", "outcome"),
    [
        (Estimate(0.0, 0.0, 0.0, 400), "passed"),
        (Estimate(0.02, -0.01, 0.05, 400), "passed"),
        (Estimate(0.02, -0.01, 0.06, 400), "not_judged"),
        (Estimate(0.3, 0.25, 0.35, 400), "not_judged"),
        (Estimate(float("nan"), *[float("nan")] * 2, 0), "not_judged"),
        (None, "not_judged"),
    ],
)
def test_a_drop_needs_no_more_coverage_than_the_baseline_has(drop, outcome):
    evidence = _fills(SOME, SOME, Estimate(0.0, -0.01, 0.01, 400))
    covered = Metric("covered", Estimate(0.3, 0.25, 0.35, 400), is_coverage=True, drop=drop)
    evidence = evidence.model_copy(update={"metrics": {**evidence.metrics, "coverage": covered}})
    alone = Condition(metric="fills/accuracy", min=0.05)
    judged = _decided(evidence, conditions=(DROP, alone)).judgements
    assert judged[0].outcome == outcome
    assert judged[1].outcome == "not_judged"  # nobody is beside it


def test_a_guard_of_a_metric_without_a_null_is_a_fault():
    declared = {"accuracy": RIGHT, "fall": Metric("lost", better="lower", guards="accuracy")}
    assert faults_in(declared) == ["'fall' guards 'accuracy', which is no metric with a null"]
