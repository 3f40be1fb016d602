"""A check whose metrics differ from its declaration ends with an error, without figures."""

from types import SimpleNamespace

import pytest

from audits.checks.performance import Performance
from audits.errors import Contradicted
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.execution.setting import Setting
from audits.workflows.evaluate import _asked_again, _run_check

CHECK = Performance()
DECLARED = CHECK.declared_metrics(reference=False)
GOOD = {name: metric.measured(Estimate(0.9, 0.8, 1.0, 50)) for name, metric in DECLARED.items()}


class Gives:
    """An executor whose check concludes with these metrics."""

    def __init__(self, metrics):
        self._metrics = metrics

    def map_units(self, session, check, units):
        pass

    def conclude(self, session, check):
        return Evidence(check=check.name, sentence="A sentence.", metrics=self._metrics)


def _run(metrics, gives="gradients"):
    config = SimpleNamespace(declared={CHECK.name: DECLARED})
    setting = Setting("cpu", "float32", "2", "AVX", gives=gives)
    session = SimpleNamespace(config=config, setting=setting, units=lambda check: [])
    caught = []
    found = _run_check(session, CHECK, Gives(metrics), lambda *told: caught.append(told))
    assert not caught
    return found


def test_metrics_as_they_were_declared_are_evidence():
    assert _run(GOOD).status == "ok"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"more": Metric("more", Estimate(1, 1, 1, 50))}, "'more' was not declared"),
        ({"accuracy": Metric("right", Estimate(1, 1, 1, 50))}, "'accuracy' is not described"),
    ],
)
def test_other_metrics_are_an_error(change, told):
    evidence = _run({**GOOD, **change})
    assert evidence.status == "error"
    assert told in evidence.reason
    assert not evidence.metrics
    assert "Mend declared_metrics or conclude" in evidence.reason


def test_a_metric_that_is_missing_is_an_error():
    evidence = _run({name: metric for name, metric in GOOD.items() if name != "f1_macro"})
    assert (evidence.status, evidence.metrics) == ("error", {})
    assert "'f1_macro' was declared and is missing" in evidence.reason


@pytest.mark.parametrize("gives", ["gradients", "logits", "probabilities", "predictions"])
def test_a_check_that_needs_more_than_the_model_gives_does_not_apply(gives, monkeypatch):
    assert _run(GOOD, gives).status == "ok"
    monkeypatch.setattr(Performance, "needs", "probabilities")
    evidence = _run(GOOD, gives)
    if gives != "predictions":
        assert evidence.status == "ok"
        return
    assert (evidence.status, evidence.metrics) == ("not_applicable", {})
    assert evidence.reason == (
        "it needs the model's probabilities, and the model gives only predicted classes."
    )


def test_a_model_that_contradicts_itself_is_told():
    class Contradicts(Gives):
        def map_units(self, session, check, units):
            raise Contradicted("unit 0: it lied")

    config = SimpleNamespace(declared={CHECK.name: DECLARED})
    setting = Setting("cpu", "float32", "2", "AVX")
    session = SimpleNamespace(config=config, setting=setting, units=lambda check: [])
    caught = []
    found = _run_check(session, CHECK, Contradicts(GOOD), lambda *told: caught.append(told))
    assert (found.status, found.reason) == ("error", "unit 0: it lied")
    assert [(check, str(error)) for check, error in caught] == [("performance", "unit 0: it lied")]


def test_a_model_that_changes_when_it_is_asked_again_is_told():
    def ask(function, gives):
        raise Contradicted("It changed its buffer.")

    caught = []
    asked = _asked_again(SimpleNamespace(ask=ask), [], lambda *told: caught.append(told))
    assert asked == ("It changed its buffer.",)
    assert caught == [("a look at the end", "It changed its buffer.")]
