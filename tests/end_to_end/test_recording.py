"""MLflow holds the right verdict if audits overlap or are interrupted, or their data change."""

import mlflow
import numpy as np
import pytest
import torch
from child_calls import forget_the_data
from executors import Each
from torch import nn

from audits import AuditError, parse_config, run_audit
from audits.models.registry import resolve
from audits.tracking import reader
from audits.tracking.recorder import OvertakenError

_PASSING = {
    "checks": [{"kind": "performance"}],
    "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.0}]},
}


@pytest.fixture
def config(register, registry, demo_config):
    uri, _ = register(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), "m")
    return {**demo_config, **_PASSING, "model": uri}


def _version():
    return mlflow.MlflowClient().get_model_version("m", "1")


@pytest.mark.slow
def test_of_two_audits_at_once_the_later_one_stands_and_the_other_says_so(config):
    failing = {
        **config,
        "policy": {"conditions": [{**_PASSING["policy"]["conditions"][0], "min": 1}]},
    }
    later = []

    def overtaken(session, check, unit):
        session.measure(check, unit)
        later.append(run_audit(parse_config(failing)))

    with pytest.raises(OvertakenError, match="another one"):
        run_audit(parse_config(config), executor=Each(overtaken))
    tags = _version().tags
    assert tags["audit.verdict"] == later[0].verdict.word == "failed"
    assert tags["audit.run"] == later[0].run_id
    assert "Audit passed" not in _version().description


@pytest.mark.slow
def test_an_audit_that_is_interrupted_after_it_was_overtaken_leaves_the_others_verdict(config):
    later = []

    def interrupted(session, check, unit):
        later.append(run_audit(parse_config(config)))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_audit(parse_config(config), executor=Each(interrupted))
    tags = _version().tags
    assert tags["audit.verdict"] == "passed"
    assert tags["audit.run"] == later[0].run_id
    assert "interrupted" not in _version().description


@pytest.mark.slow
def test_a_finished_run_of_which_the_version_was_not_told_is_ended_by_the_next(config):
    unsaid = run_audit(parse_config(config)).run_id
    client = mlflow.MlflowClient()
    client.set_model_version_tag("m", "1", "audit.verdict", "running")  # as if killed
    run_audit(parse_config(config))
    assert client.get_run(unsaid).info.status == "KILLED"


@pytest.mark.soak
@pytest.mark.parametrize("tag", ["not JSON", "[]", '{"verdict": "running", "run_id": "gone"}'])
def test_a_tag_that_somebody_wrote_does_not_stop_an_audit(tag, config):
    mlflow.MlflowClient().set_model_version_tag("m", "1", "audit", tag)
    assert run_audit(parse_config(config)).verdict.word == "passed"
    assert _version().tags["audit.verdict"] == "passed"
    assert reader.standing(resolve(config["model"])) is not None


@pytest.mark.slow
def test_tags_of_model_and_version_that_somebody_wrote_stay(config, caplog):
    client = mlflow.MlflowClient()
    cleared = '{"verdict": "cleared", "by": "legal"}'
    client.set_model_version_tag("m", "1", "audit", cleared)
    for signed in ("signed off", "v1 approved by legal"):
        client.set_registered_model_tag("m", "audit", signed)
        run_audit(parse_config(config))
        assert client.get_registered_model("m").tags["audit"] == signed
        assert f"The tag audit of m was left as it is: '{signed}' is no list" in caplog.text
        assert _version().tags["audit"] == cleared
    client.delete_registered_model_tag("m", "audit")
    for value in ("v1 undecided", "v1 passed"):
        client.set_registered_model_tag("m", "audit", value)
        run_audit(parse_config(config))
        assert client.get_registered_model("m").tags["audit"] == "v1 passed"


@pytest.mark.slow
def test_an_interrupted_audit_is_undecided_and_keeps_its_reason(config):
    def interrupted(session, check, unit):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_audit(parse_config(config), executor=Each(interrupted))
    assert _version().tags["audit.verdict"] == "undecided"
    assert "interrupted" in _version().description
    (run,) = mlflow.search_runs(experiment_names=["audits"], output_format="list")
    assert "interrupted" in run.data.tags["audit.reason"]
    assert run.info.status == "FAILED"


@pytest.mark.slow
def test_a_model_that_is_renamed_meanwhile_is_undecided_by_its_new_name(config):
    client = mlflow.MlflowClient()

    def renamed(session, check, unit):
        client.rename_registered_model("m", "renamed")
        session.measure(check, unit)

    with pytest.raises(AuditError, match="Expected"):
        run_audit(parse_config(config), executor=Each(renamed))
    tags = client.get_model_version("renamed", "1").tags
    assert tags["audit.verdict"] == "undecided"


@pytest.mark.slow
def test_data_that_change_under_an_audit_are_no_evidence(config, tmp_path):
    file = tmp_path / "data.npz"

    def write(seed):
        torch.manual_seed(seed)
        images = torch.rand(20, 28, 28).numpy()
        classes = [str(n) for n in range(10)]
        np.savez(file, x=images, y=np.arange(20) % 10, names=classes)

    def changed(session, check, unit):
        session._keys.images(unit)
        write(seed=1)
        session._model._worker.call(forget_the_data, seconds=60)
        session.measure(check, unit)

    write(seed=0)
    config["data"] = {"kind": "npz", "path": str(file), "classes": "names"}
    result = run_audit(parse_config(config), executor=Each(changed))
    assert result.verdict.word == "undecided"
    assert "images have changed" in result.verdict.reason
    assert not list((tmp_path / "store").rglob("*.npz"))
