"""Waivers and drops are judged, faulty policies are refused, and new policies are written."""

from datetime import date, timedelta

import pytest
import yaml
from metrics import metrics_of

from audits import AuditError, parse_config
from audits.config.policy import Condition, Policy, Waiver
from audits.config.reading import read_config
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import DefaultBounds
from audits.verdict.decide import decide
from audits.verdict.suggest import default_policy, policy_from

TODAY = date(2026, 1, 31)
BASE = {"model": "models:/m/1", "data": {"kind": "digits"}, "checks": [{"kind": "performance"}]}


def _evidence(**metrics):
    values = {name: Estimate(*figures, 100) for name, figures in metrics.items()}
    found = metrics_of(values, bounds=DefaultBounds())
    return [Evidence(check="performance", sentence="", metrics=found)]


def _policy(*waived, until=TODAY):
    return Policy(
        conditions=(
            Condition(metric="performance/accuracy", min=0.9),
            Condition(metric="performance/f1_macro", min=0.5),
        ),
        waivers=tuple(Waiver(condition=c, reason="known since May", until=until) for c in waived),
    )


LOW = _evidence(accuracy=(0.8, 0.75, 0.85), f1_macro=(0.8, 0.75, 0.85))


def test_a_waiver_lets_its_condition_fail_until_its_last_day_and_says_so():
    policy = _policy("performance/accuracy >= 0.9")
    verdict = decide(policy, LOW, TODAY)
    assert verdict.word == "passed"
    assert "waived until 2026-01-31: known since May" in verdict.reason
    assert verdict.judgements[0].to_json()["waiver"]["reason"] == "known since May"

    ended = decide(policy, LOW, TODAY + timedelta(days=1))
    assert ended.word == "failed"
    assert "its waiver ended on 2026-01-31" in ended.reason


def test_a_waiver_does_not_hide_that_its_condition_holds():
    verdict = decide(_policy("performance/f1_macro >= 0.5"), LOW, TODAY)
    assert verdict.word == "failed"
    assert verdict.judgements[1].waiver is None


def test_a_policy_whose_every_condition_is_waived_passes_nothing():
    policy = _policy("performance/accuracy >= 0.9", "performance/f1_macro >= 0.5")
    nothing = [
        Evidence(check="performance", sentence="", status="not_applicable", reason="no labels")
    ]
    verdict = decide(policy, nothing, TODAY)
    assert verdict.word == "undecided"
    assert "Every condition is waived" in verdict.reason


def test_a_waiver_does_not_excuse_a_check_that_crashed():
    crashed = [
        *LOW,
        Evidence(check="random_fill", sentence="", status="error", reason="out of luck"),
    ]
    assert decide(_policy("performance/accuracy >= 0.9"), crashed, TODAY).word == "undecided"


@pytest.mark.parametrize(
    ("drop", "word"),
    [
        ((0.0, -0.01, 0.01), "passed"),
        ((0.05, 0.03, 0.07), "failed"),
        ((0.02, 0.01, 0.03), "undecided"),
        ((float("nan"),) * 3, "undecided"),
    ],
)
def test_a_drop_is_judged_on_the_worse_end_of_its_interval(drop, word):
    policy = Policy(conditions=(Condition(metric="performance/accuracy", max_drop=0.02),))
    evidence = _evidence(accuracy=(0.9, 0.88, 0.92), accuracy_drop=drop)
    assert decide(policy, evidence, TODAY).word == word


def test_a_drop_that_was_not_measured_is_not_judged():
    policy = Policy(conditions=(Condition(metric="performance/accuracy", max_drop=0.02),))
    verdict = decide(policy, _evidence(accuracy=(1.0, 0.99, 1.0)), TODAY)
    assert verdict.word == "undecided"
    assert "not paired with a baseline's" in verdict.reason


def test_no_drop_below_a_baseline_counts_for_a_figure_no_better_than_its_null():
    policy = Policy(conditions=(Condition(metric="performance/accuracy", max_drop=0.02),))
    evidence = _evidence(
        accuracy=(0.1, 0.05, 0.15), accuracy_drop=(0, -0.01, 0.01), accuracy_lift=(0, -0.1, 0.1)
    )
    assert decide(policy, evidence, TODAY).word == "undecided"


def test_the_reason_of_a_pass_names_the_condition_that_was_closest():
    verdict = decide(
        _policy(), _evidence(accuracy=(0.97, 0.91, 1), f1_macro=(0.97, 0.91, 1)), TODAY
    )
    assert verdict.word == "passed"
    assert "All 2 conditions hold; closest is performance/accuracy >= 0.9" in verdict.reason


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            {"conditions": [{"metric": "performance/accuracy", "max_drop": 0.1}]},
            "there is no baseline to compare with",
        ),
        (
            {"conditions": [{"metric": "performance/accuracy_drop", "max": 0.1}]},
            "there is no baseline to compare with",
        ),
        (
            {"conditions": [{"metric": "performance/acuracy", "min": 0.9}]},
            r"performance does not give it\. Did you mean 'performance/accuracy' or",
        ),
        (
            {"conditions": [{"metric": "performance/zzz", "min": 0.9}]},
            r"performance does not give it\. It gives: accuracy, accuracy_drop, f1_macro",
        ),
        (
            {"conditions": [{"metric": "performance/accuracy", "min_lift": 0.1}]},
            "it has no null, and so no min_lift",
        ),
        (
            {"conditions": [{"metric": "progressive_fill/accuracy", "min": 0.1}]},
            "there is no check 'progressive_fill'; there are: performance",
        ),
        (
            {"waivers": [{"condition": "x >= 1", "reason": "r", "until": "2026-01-01"}]},
            "names the condition 'x >= 1', which the policy does not have",
        ),
        (
            {
                "conditions": [{"metric": "performance/accuracy", "min": 0.9}],
                "waivers": [
                    {
                        "condition": "performance/accuracy >= 0.9",
                        "reason": "",
                        "until": "2026-01-01",
                    }
                ],
            },
            "a text of up to 1,000 characters",
        ),
        (
            {"conditions": [{"metric": "performance/accuracy", "min": 0.9, "max_drop": 0.1}]},
            "expected exactly one of min, max, min_lift, max_drop",
        ),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_in_words(policy, message):
    with pytest.raises(AuditError, match=message):
        parse_config({**BASE, "policy": policy})


def test_a_drop_of_a_metric_that_is_never_paired_is_refused():
    values = {
        **BASE,
        "baseline": "models:/m/2",
        "checks": [{"kind": "progressive_fill"}],
        "policy": {"conditions": [{"metric": "progressive_fill/agreement", "max_drop": 0.1}]},
    }
    with pytest.raises(AuditError, match="not compared with a baseline, and so has no max_drop"):
        parse_config(values)


def test_a_null_that_each_cell_has_of_its_own_is_no_figure_to_judge():
    values = {
        **BASE,
        "checks": [{"kind": "ablation"}],
        "policy": {"conditions": [{"metric": "ablation/least_accuracy_null", "max": 0.1}]},
    }
    with pytest.raises(AuditError, match="ablation does not give it"):
        parse_config(values)


@pytest.mark.parametrize(
    ("condition", "compared"),
    [
        ({"metric": "performance/accuracy", "max_drop": 0.1}, True),
        ({"metric": "performance/accuracy_drop", "max": 0.1}, True),
        ({"metric": "performance/accuracy", "min": 0.1}, False),
    ],
)
def test_a_policy_compares_by_either_name_of_a_drop(condition, compared):
    values = {**BASE, "baseline": "models:/m/2", "policy": {"conditions": [condition]}}
    assert parse_config(values).compares == compared


def test_figures_of_a_reference_need_a_reference():
    condition = {"metric": "progressive_fill/reference_accuracy", "min": 0.1}
    values = {
        **BASE,
        "checks": [{"kind": "progressive_fill"}],
        "policy": {"conditions": [condition]},
    }
    with pytest.raises(AuditError, match="progressive_fill does not give it"):
        parse_config(values)
    parse_config({**values, "reference": "models:/m/2"})


def test_dates_are_read_from_yaml_as_they_are_written_there(tmp_path):
    file = tmp_path / "audit.yaml"
    file.write_text(
        yaml.safe_dump(BASE)
        + "policy:\n"
        + "  conditions: [{metric: performance/accuracy, min: 0.9}]\n"
        + "  waivers: [{condition: performance/accuracy >= 0.9, reason: r, until: 2026-01-31}]\n"
    )
    assert read_config(file).policy.waivers[0].until == TODAY


def test_a_policy_alone_has_no_condition_that_compares_and_no_waiver_of_one():
    conditions = [
        {"metric": "performance/accuracy", "max_drop": 0.02},
        {"metric": "performance/accuracy", "min": 0.9},
    ]
    waivers = [
        {"condition": "performance/accuracy_drop <= 0.02", "reason": "r", "until": TODAY},
        {"condition": "performance/accuracy >= 0.9", "reason": "r", "until": TODAY},
    ]
    values = {"conditions": conditions, "waivers": waivers, "min_coverage": 0.7}
    alone = Policy.model_validate(values, strict=False).alone
    assert [str(one) for one in alone.conditions] == ["performance/accuracy >= 0.9"]
    assert [one.condition for one in alone.waivers] == ["performance/accuracy >= 0.9"]
    assert alone.min_coverage == 0.7


def test_the_default_policy_compares_and_has_no_bound_on_consistency():
    checks = [{"kind": k} for k in ("performance", "random_fill", "progressive_fill", "ablation")]
    policy = default_policy(parse_config({**BASE, "checks": checks}).checks, 0.5)
    bounds = {str(condition) for condition in policy.conditions}
    assert "performance/accuracy >= 0.5" in bounds
    assert "progressive_fill/accuracy_drop <= 0.05" in bounds
    assert not [bound for bound in bounds if "_lift" in bound]
    absolute = [c for c in policy.conditions if c.min is not None or c.max is not None]
    assert {c.metric for c in absolute if not c.metric.endswith("_fall")} == {
        "performance/accuracy"
    }
    assert any(condition.max_drop is not None for condition in policy.conditions)
    assert policy.min_coverage > 0


def test_a_policy_from_an_audit_passes_a_version_as_good_and_fails_a_worse_one():
    shown = _evidence(accuracy=(0.95, 0.93, 0.96), f1_macro=(0.94, 0.92, 0.955))
    named = "on digits\nmin_coverage: 0.5\x1b"  # a name can hold anything
    text = policy_from("passed", shown, ["From models:/m/1", named])
    assert text.startswith("# From models:/m/1\n# on digits min_coverage: 0.5\nconditions:\n")
    policy = Policy.model_validate(yaml.safe_load(text), strict=False)
    assert {str(c) for c in policy.conditions} >= {
        "performance/accuracy >= 0.915",
        "performance/accuracy_drop <= 0.03",
    }
    assert "# 0.950 [0.930, 0.960]" in text
    same = _evidence(
        accuracy=(0.95, 0.93, 0.96),
        f1_macro=(0.94, 0.92, 0.955),
        accuracy_drop=(0, -0.01, 0.01),
        f1_macro_drop=(0, -0.01, 0.01),
    )
    assert decide(policy, same, TODAY).word == "passed"
    assert decide(policy, LOW, TODAY).word == "failed"

    with pytest.raises(AuditError, match="accepted"):
        policy_from("failed", shown, ["From models:/m/1"])
