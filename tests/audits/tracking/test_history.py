"""The history of a model has every audit once, newest first, however many there are."""

import random

import pytest
from mlflow import MlflowClient

from audits import AuditError
from audits.tracking import history as module
from audits.tracking.history import history
from audits.tracking.tags import ALIASES_TAG, MODEL_TAG, VERDICT_TAG


@pytest.mark.parametrize("few", [4, 200])
def test_many_audits_are_listed_once_and_in_order(few, registry, monkeypatch):
    monkeypatch.setattr(module, "_FEW", few)  # with 4, the others come in stretches of time
    monkeypatch.setattr(module, "_PAGE", 3)
    client = MlflowClient()
    experiment = client.create_experiment("audits")
    draw = random.Random(0)
    # Some began in the same millisecond, and most long after the first.
    times = [1_000, 1_000, 1_000, *(1_700_000_000_000 + draw.randrange(8) for _ in range(30))]
    wanted = {}
    for number, time in enumerate(times):
        tags = {MODEL_TAG: f"models:/a_b/{number}", VERDICT_TAG: "passed"}
        run = client.create_run(experiment, start_time=time, tags=tags)
        wanted[run.info.run_id] = time
        client.set_terminated(run.info.run_id)
    client.create_run(experiment, tags={MODEL_TAG: "models:/axb/1"})
    found = history("a_b", "audits")
    assert [entry.run_id for entry in found] != list(wanted)
    assert {entry.run_id for entry in found} == wanted.keys()
    assert len(found) == len(wanted)
    assert [wanted[entry.run_id] for entry in found] == sorted(times, reverse=True)
    for last in (1, 2, 7, len(found), len(found) + 1):
        assert history("a_b", "audits", last) == found[:last]
    with pytest.raises(AuditError, match="Expected audits of 'b'"):
        history("b", "audits", 5)
    with pytest.raises(AuditError, match="Expected audits of 'b'"):
        history("b", "audits")


@pytest.mark.parametrize("aliases", ["{", "5", "[" * 100_000])
def test_tags_and_times_that_somebody_else_wrote_are_passed_over(aliases, registry):
    client = MlflowClient()
    experiment = client.create_experiment("audits")
    tags = {MODEL_TAG: "models:/a/1", ALIASES_TAG: aliases[:4_000]}
    client.create_run(experiment, start_time=10**17, tags=tags)
    (found,) = history("a", "audits")
    assert (found.aliases, found.began_at) == ((), "")
