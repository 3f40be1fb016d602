"""Whole evaluations of networks in other forms: their figures are those of the plain logits."""

import json
from dataclasses import asdict, replace

import adapted_nets as nets
import numpy as np
import pytest
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from sessions import evaluated
from simple_nets import logistic

from audits import parse_config, run_audit
from audits.execution.setting import Setting
from audits.models.form import Adaptation, Form
from audits.workflows.freshness import due
from audits.workflows.preview import preview

# MLflow infers none for a network whose output is not a tensor.
SIGNATURE = ModelSignature(
    Schema([TensorSpec(np.dtype(np.float32), (-1, 1, 28, 28))]),
    Schema([TensorSpec(np.dtype(np.float32), (-1, 10))]),
)
CHECKS = [
    {"kind": "performance"},
    {"kind": "random_fill", "images": 8, "samples": 4},
    {"kind": "progressive_fill", "images": 8},
]


@pytest.fixture(scope="module")
def net():
    return logistic()


def figures(result):
    return {
        f"{one.check}/{name}": estimate.value
        for one in result.evidence
        for name, estimate in one.estimates.items()
        if name != "relative_standard_error"
    }


def audited(config):
    result = evaluated(config)
    assert result.refusal == ""
    return result


@pytest.fixture(scope="module")
def plain_figures(net, shared_registry, register, tmp_path_factory):
    uri, _ = register(net, "plain")
    store = str(tmp_path_factory.mktemp("store"))
    values = {"model": uri, "data": {"kind": "digits"}, "device": "cpu", "store": store}
    result = audited(parse_config({**values, "checks": CHECKS}))
    usual = (
        *("No input_doctor", "No check moves", "The model's process is taken for hostile."),
        "MLflow's own server names the same classes",
    )
    assert [note for note in result.notes if not note.startswith(usual)] == []
    return figures(result)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "pickled"),
    [
        (nets.DataclassOutput, True),
        (nets.Softmax, False),
        pytest.param(nets.TupleOutput, False, marks=pytest.mark.soak),
        pytest.param(nets.DictOutput, False, marks=pytest.mark.soak),
        pytest.param(nets.LogSoftmax, True, marks=pytest.mark.soak),
        (nets.OneAtATime, True),
    ],
)
def test_figures_are_those_of_the_plain_logits(kind, pickled, net, config_of, plain_figures):
    result = audited(config_of(kind(net), CHECKS, pickled=pickled, signature=SIGNATURE))
    assert figures(result) == pytest.approx(plain_figures, abs=1e-6)
    assert any(note.startswith("The model") for note in result.notes)
    assert result.setting["model"]["outputs"] != asdict(Form())


@pytest.mark.slow
@pytest.mark.parametrize("kind", [nets.Detached, nets.Classes, nets.Box])
def test_a_check_that_cannot_run_blocks_none_that_can(kind, net, config_of, plain_figures):
    config = config_of(kind(net), CHECKS, engine={"precision": "bfloat16"})
    result = run_audit(config)
    assert result.evaluation.refusal == ""
    performance, *fills = result.evidence
    assert performance.status == "ok"
    wanted = {name: v for name, v in plain_figures.items() if name.startswith("performance/")}
    assert figures(result) == pytest.approx(wanted, abs=1e-6)
    assert [fill.status for fill in fills] == ["not_applicable"] * 2
    assert all(
        "the model's gradient at its input, and the model gives only" in fill.reason
        for fill in fills
    )
    assert result.verdict.word == "undecided"
    assert any("no gradient at its input" in note for note in result.notes)
    told = preview(config)
    assert "no gradient at its input" in told
    assert "left    0 passes" in told


@pytest.mark.slow
def test_a_borrowed_gradient_does_not_pass(net, config_of):
    config = config_of(nets.Borrowing(net, logistic(noise=0.3)), CHECKS, pickled=False)
    result = run_audit(config)
    assert [one.status for one in result.evidence] == ["ok"] * len(CHECKS)
    (doubt,) = result.evaluation.doubts
    assert (result.verdict.word, result.verdict.reason) == ("undecided", doubt)
    assert "gradient at its input is not that of its answers" in doubt
    found = due(config).audit  # as it was recorded
    assert (found.doubts, found.word) == ((doubt,), "undecided")


@pytest.mark.slow
def test_a_reference_needs_to_give_predictions_alone(net, config_of, register, plain_figures):
    uri, sha256 = register(nets.Classes(logistic(noise=0.3)), "reference", pickled=True)
    config = config_of(net, CHECKS, pickled=False, reference=uri, trust_pickle_sha256=sha256)
    result = audited(config)
    found = figures(result)
    assert found["random_fill/prototype_reference_accuracy"] > 0
    assert {name: found[name] for name in plain_figures} == pytest.approx(plain_figures, abs=1e-6)
    assert result.setting["reference"]["outputs"]["scale"] == "classes"


def test_a_setting_survives_json_and_sentences_change_no_key():
    plain = Setting("cpu", "float32", "2", "AVX")
    assert plain.identity == {"device": "cpu", "dtype": "float32", "torch": "2", "speed": "AVX"}
    form = Form(scale="probabilities", tried=8)
    setting = replace(plain, gives="probabilities", model=Adaptation(outputs=form))
    assert Setting.from_json(json.loads(json.dumps(asdict(setting)))) == setting
    again = replace(setting, model=Adaptation(outputs=replace(form, tried=9, source="graph")))
    assert again.identity == setting.identity != plain.identity
    assert again.notes != setting.notes
    assert again.suits(setting)
    assert not plain.suits(setting)
