"""A model that was caught once gets no second try: the store remembers it, and MLflow does."""

import hashlib
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from gates import ask, audit
from simple_nets import Linear, logistic

from audits.data.sources import Digits, load
from audits.execution.refusals import Refusal
from audits.tracking.refused import RunMemory
from audits.tracking.tags import REFUSED_TAG


class _OtherInOneBatch(Linear):
    """Another class, in batches of 130, a size that is not drawn when the model is opened."""

    def forward(self, x):
        here = (x.flatten(1).sum(1, keepdim=True) * 0 + x.shape[0] - 130).abs().clamp(max=1)
        logits = super().forward(x)
        return here * logits + (1 - here) * logits.roll(1, 1)


class _OtherInLargeBatches(Linear):
    """Another class, in batches of 1,000 or more."""

    def forward(self, x):
        logits = super().forward(x)
        return logits + (x.shape[0] // 1000) * (logits.roll(1, 1) - logits)


class _RaisesAlone(Linear):
    """Raises an error for each image alone that is far from those which it has been shown."""

    def __init__(self, weight, bias, shown):
        super().__init__(weight, bias)
        self.register_buffer("shown", shown.flatten(1))

    def forward(self, x):
        far = torch.cdist(x.flatten(1), self.shown).min() > 1
        at = torch.where(far & torch.tensor(x.shape[0] == 1), 99, 0)
        return super().forward(x) + torch.zeros(10)[at.reshape(1)]


class _CountsFills(torch.nn.Module):
    """Counts the images of two values, as fills are; its answers do not change."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        if int(torch.unique(x).numel()) <= 2:
            self.calls += 1
        return self.net(x)


@pytest.fixture(scope="module")
def liar(shared_registry, register):
    """A registered model that answers otherwise in the last of 450 images' batches of 160."""
    honest = logistic()
    net = _OtherInOneBatch(honest.head.weight.data, honest.head.bias.data)
    return register(net, "liar")[0]


def _config(liar, store, **changes):
    return {
        "model": liar,
        "data": {"kind": "digits"},
        "checks": [{"kind": "performance"}],
        "engine": {"chunk": 160},
        "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.1}]},
        "store": str(store),
        **changes,
    }


@pytest.mark.slow
def test_a_model_that_was_caught_gets_no_second_try(liar, tmp_path):
    config = _config(liar, tmp_path / "store", experiment="first")
    first = audit(config)
    assert first.verdict.word == "undecided"
    assert "alone and in a batch of 130" in first.verdict.reason
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


def test_a_model_that_was_caught_when_it_was_opened_gets_no_second_try(
    shared_registry, register, tmp_path
):
    honest = logistic()
    net = _OtherInLargeBatches(honest.head.weight.data, honest.head.bias.data)
    config = _config(register(net, "large")[0], tmp_path / "store", experiment="opened")
    first = audit(config)
    assert first.verdict.word == "undecided"
    assert "images in a batch of 1,0" in first.verdict.reason
    (file,) = (tmp_path / "store" / "parts").glob("refused-*.npz")
    (line,) = _tag(first.run_id).splitlines()
    assert " a look at the opening: Expected a model that answers alike" in line

    again = audit({**config, "experiment": "other"})
    assert "Nothing was measured: " in again.verdict.reason
    assert again.verdict.reason.endswith(f"may delete {file}.")


@pytest.mark.slow
def test_a_reference_that_changes_has_no_other_model_refused(shared_registry, register, tmp_path):
    honest = logistic()
    judged, _ = register(honest, "judged")
    net = torch.jit.script(_CountsFills(logistic(noise=0.5, seed=3)).eval())
    reference, sha256 = _pickled(net, "counting")
    config = _config(
        judged,
        tmp_path / "store",
        checks=[{"kind": "performance"}, {"kind": "progressive_fill", "images": 20}],
        experiment="beside",
    )
    found = audit({**config, "reference": reference, "trust_pickle_sha256": sha256})
    assert found.verdict.word == "undecided"
    by_name = {one.check: one for one in found.evaluation.evidence}
    reason = by_name["progressive_fill"].reason
    assert f"Expected a reference, {reference}, that stays as it is" in reason
    assert "changed its buffer 'calls'" in reason
    assert _tag(found.run_id) == ""
    assert not list((tmp_path / "store" / "parts").glob("refused-*.npz"))
    assert audit(config).verdict.word == "passed"


@pytest.mark.slow
def test_an_error_for_an_image_alone_gets_no_second_try(shared_registry, register, tmp_path):
    images = load(Digits())
    tried = images.tensor(images.sampled_order(0)[:64])  # when the model is opened
    honest = logistic()
    net = _RaisesAlone(honest.head.weight.data, honest.head.bias.data, (tried - 0.3) / 0.35)
    config = _config(register(net, "raising")[0], tmp_path / "store", experiment="raising")
    first, *others = (audit(config) for _ in range(3))
    assert first.verdict.word == "undecided"
    assert "got answers and, in another form, IndexError: index 99" in first.verdict.reason
    for other in others:
        assert other.verdict.word == "undecided"
        assert "a look at the opening refused a model of these very" in other.verdict.reason


def _pickled(net, name):
    with mlflow.start_run():
        info = mlflow.pytorch.log_model(
            net,
            name="model",
            input_example=np.zeros((2, 1, 28, 28), np.float32),
            metadata={"classes": [str(i) for i in range(10)], "mean": [0.3], "std": [0.35]},
            pip_requirements=["torch"],
            registered_model_name=name,
            serialization_format="pickle",
        )
    uri = f"models:/{name}/{info.registered_model_version}"
    file = Path(mlflow.artifacts.download_artifacts(uri)) / "data" / "model.pth"
    return uri, hashlib.sha256(file.read_bytes()).hexdigest()


def _tag(run_id):
    return mlflow.get_run(run_id).data.tags.get(REFUSED_TAG, "")
