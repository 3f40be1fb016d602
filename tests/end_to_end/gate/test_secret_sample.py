"""A gate on a secret sample draws it anew, and an audit on one stays current."""

import mlflow
import pytest
from gates import GOOD, SIMILAR, AuditNeeded, ask, audit, never

from audits import parse_config
from audits.models.registry import resolve
from audits.tracking import reader
from audits.workflows.freshness import due
from audits.workflows.gate import gate
from audits.workflows.resolved import pinned

SECRET = {"kind": "digits", "secret": True, "sample": 200}


def _seed(run_id):
    return reader.read(mlflow.get_run(run_id)).content.config.data.sample_seed


def _notes(run_id):
    return mlflow.artifacts.load_dict(f"{mlflow.get_run(run_id).info.artifact_uri}/evidence.json")[
        "notes"
    ]


@pytest.mark.slow
def test_both_models_are_measured_on_one_sample_that_is_new_each_time(config):
    secret = config(SIMILAR, data=SECRET)
    first, second = (ask(secret, fresh=True) for _ in range(2))
    assert _seed(first.run_id) != _seed(second.run_id)
    one, other = (reader.read(mlflow.get_run(run.run_id)) for run in (first, second))
    assert one.content.data.digest != other.content.data.digest
    assert one.content.data.images == 200
    assert any("secret sample, drawn for this audit" in note for note in _notes(first.run_id))
    # The drop is paired, which takes the same images of both models.
    assert one.evidence[0].metrics["accuracy"].drop.n == 200


@pytest.mark.slow
def test_an_audit_on_a_secret_sample_is_used_until_something_else_changes(config):
    secret = config(SIMILAR, data=SECRET)
    first = ask(secret, fresh=True)
    again = ask(secret, audit=never)
    assert again.reused
    assert again.run_id == first.run_id
    assert due(pinned(parse_config(secret))).audit is not None
    for data in ({"kind": "digits"}, {**SECRET, "sample": 100}, {**SECRET, "size": 30}):
        with pytest.raises(AuditNeeded):
            ask(config(SIMILAR, data=data), audit=never)
    with pytest.raises(AuditNeeded):
        ask(secret | {"seed": 3}, audit=never)


@pytest.mark.slow
def test_a_seed_repeats_an_audit_that_is_no_secret_one_then(config):
    secret = config(SIMILAR, data=SECRET)
    first = audit(secret)
    again = audit(config(SIMILAR, data={**SECRET, "sample_seed": first.config.data.sample_seed}))
    assert again.evaluation.data_digest == first.evaluation.data_digest
    assert [e.estimates for e in again.evidence] == [e.estimates for e in first.evidence]
    assert any("was not secret" in note for note in again.notes)
    why = due(pinned(parse_config(secret))).why  # the model may have been made for that sample
    assert why == "its images are not a secret sample of 200 images, which the config asks for"


@pytest.mark.slow
def test_the_sample_of_the_baselines_audit_is_not_taken_over(config):
    audit(config(GOOD, baseline=None, policy={}, data=SECRET))
    assert reader.standing(resolve(GOOD)).content.config.data.sample_seed is not None
    with pytest.raises(AuditNeeded) as needed:
        gate(SIMILAR, baseline=GOOD, audit=never, fresh=True)
    data = needed.value.args[0].data
    assert (data.secret, data.sample, data.sample_seed) == (True, 200, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"checks": [{"kind": "shifts", "images": 20}]}, False),
        ({"data": {"kind": "digits", "secret": True, "sample": 100}}, False),
        ({"data": {"kind": "digits", "secret": True, "sample": 100, "sample_seed": 1}}, True),
    ],
    ids=["neither", "shifts", "secret", "repeated"],
)
def test_an_audit_says_if_a_model_may_know_its_images(changes, told, config):
    notes = audit(config(SIMILAR, baseline=None, policy={}, **changes)).notes
    assert any("knows these images by heart" in note for note in notes) == told
    assert any("add `- kind: shifts` to checks" in note for note in notes) == told
