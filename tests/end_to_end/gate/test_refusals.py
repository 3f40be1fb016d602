"""A model that was caught once gets no second try: the store remembers it, and MLflow does."""

import mlflow
import pytest
from gates import ask, audit
from simple_nets import Linear, logistic

from audits.execution.refusals import Refusal
from audits.tracking.refused import RunMemory
from audits.tracking.tags import REFUSED_TAG


class _OtherInOneBatch(Linear):
    """Another class, in batches of 18."""

    def forward(self, x):
        here = (x.flatten(1).sum(1, keepdim=True) * 0 + x.shape[0] - 18).abs().clamp(max=1)
        logits = super().forward(x)
        return here * logits + (1 - here) * logits.roll(1, 1)


@pytest.fixture(scope="module")
def liar(shared_registry, register):
    """A registered model that answers otherwise in the last of 450 images' batches of 48."""
    honest = logistic()
    net = _OtherInOneBatch(honest.head.weight.data, honest.head.bias.data)
    return register(net, "liar")[0]


def _config(liar, store, **changes):
    return {
        "model": liar,
        "data": {"kind": "digits"},
        "checks": [{"kind": "performance"}],
        "engine": {"chunk": 48},
        "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.1}]},
        "store": str(store),
        **changes,
    }


def test_a_model_that_was_caught_gets_no_second_try(liar, tmp_path):
    config = _config(liar, tmp_path / "store", experiment="first")
    first = audit(config)
    assert first.verdict.word == "undecided"
    assert "alone and in a batch of 18" in first.verdict.reason
    (line,) = _tag(first.run_id).splitlines()
    assert line.startswith(f"{first.evaluation.model_digest} performance: ")

    # In batches of another size it would not be caught.
    honest = {**config, "engine": {"chunk": 45}}
    in_store = audit({**honest, "experiment": "second"})
    assert in_store.verdict.word == "undecided"
    (file,) = (tmp_path / "store" / "parts").glob("refused-*.npz")
    assert "performance refused a model of these very files" in in_store.verdict.reason
    assert in_store.verdict.reason.endswith(f"may delete {file}.")
    assert _tag(in_store.run_id) == ""  # only the run that caught it is to be cleared

    fresh = {**honest, "store": str(tmp_path / "fresh")}
    decision = ask(fresh)
    assert decision.verdict.word == "undecided"
    assert f"may delete the tag {REFUSED_TAG} of run {first.run_id}." in decision.verdict.reason
    assert "\n" not in decision.line

    mlflow.MlflowClient().delete_tag(first.run_id, REFUSED_TAG)
    passed = ask(fresh)
    assert (passed.verdict.word, passed.reused) == ("passed", False)
    assert ask(fresh).reused

    # A refusal that another run tells has the standing audit looked at again.
    RunMemory("first", first.run_id).add(
        first.evaluation.model_digest, Refusal("2026-01-01", "random_fill", "it lied")
    )
    again = ask(fresh)
    assert (again.verdict.word, again.reused) == ("undecided", False)
    assert "random_fill refused a model of these very files: it lied." in again.verdict.reason


def _tag(run_id):
    return mlflow.get_run(run_id).data.tags.get(REFUSED_TAG, "")
