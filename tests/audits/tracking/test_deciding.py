"""A run has few metrics: those that the sentence tells first, and never more than six."""

from datetime import date
from types import SimpleNamespace

import pytest
import reports
from report_pages import THIRTEEN

from audits.checks.performance import Performance
from audits.config.policy import Condition, Policy
from audits.report.answer import answer
from audits.tracking.deciding import deciding_metrics
from audits.verdict.decide import decide
from audits.verdict.suggest import default_policy


def _result(policy, right=0.4):
    evidence = (
        reports.performed(reports.DIGITS),
        reports.drawn(reports.DIGITS, right),
        reports.filled(reports.DIGITS),
    )
    verdict = decide(policy, evidence, date(2026, 1, 1))
    return SimpleNamespace(verdict=verdict, evidence=evidence)


def test_of_the_thirteen_conditions_of_a_gate_six_figures_are_logged():
    policy = default_policy((Performance(), *reports.CHECKS[1:3]), 0.5)
    assert len(policy.conditions) > 10
    for given in (policy, THIRTEEN):
        for right in (0.2, 0.64, 0.97):
            assert len(deciding_metrics(_result(given, right))) == 6


def test_the_numbers_of_the_sentence_come_first():
    found = _result(THIRTEEN)
    assert [*deciding_metrics(found)][:3] == [
        "random_fill/prototype_accuracy",
        "random_fill/prototype_accuracy_null",
        "performance/accuracy",
    ]
    sentence = answer(found.verdict, found.evidence).sentence
    for value in [*deciding_metrics(found).values()][:3]:
        assert f"{100 * value:.1f}".removesuffix(".0") + " %" in sentence


@pytest.mark.parametrize("bound", [0.001, 0.9])
def test_a_drop_has_its_metric_and_its_null_beside_it(bound):
    policy = Policy(conditions=(Condition(metric="progressive_fill/accuracy", max_drop=bound),))
    assert [*deciding_metrics(_result(policy))] == [
        "progressive_fill/accuracy_drop",
        "progressive_fill/accuracy",
        "progressive_fill/accuracy_null",
        "performance/accuracy",
        "random_fill/prototype_accuracy",
    ]


def test_without_conditions_the_first_figure_of_each_check_is_logged():
    assert [*deciding_metrics(_result(Policy()))] == [
        "performance/accuracy",
        "random_fill/prototype_accuracy",
        "progressive_fill/accuracy",
    ]
