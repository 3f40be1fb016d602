"""The gate reuses only audits that it has verified, and applies the policy that counts."""

import json
import math
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlparse

import mlflow
import pytest
import yaml
from executors import Each
from gates import FILLS, GOOD, SIMILAR, WORSE, AuditNeeded, ask, audit, never, version

from audits import AuditError, parse_config, run_audit
from audits.config.policy import Policy
from audits.execution import inputs
from audits.models.registry import resolve
from audits.tracking import reader
from audits.workflows.compare import audit_of
from audits.workflows.freshness import due
from audits.workflows.gate import gate
from audits.workflows.policy import policy_of
from audits.workflows.resolved import pinned, today
from audits.workflows.show import index_of_registry


def _asked(model, **options):
    """The config of the audit that the gate asks for."""
    with pytest.raises(AuditNeeded) as needed:
        gate(model, audit=never, fresh=True, **options)
    return needed.value.args[0]


@pytest.mark.slow
def test_an_audit_that_would_come_out_the_same_is_used(config):
    first = ask(config(SIMILAR))
    again = ask(config(SIMILAR), audit=never)
    assert again.reused
    assert (again.run_id, again.verdict.word) == (first.run_id, first.verdict.word)
    assert [str(j) for j in again.verdict.judgements] == [str(j) for j in first.verdict.judgements]
    _asked(SIMILAR, config=config(SIMILAR))
    for change in (
        {"seed": 1},
        {"baseline": WORSE},
        {"checks": FILLS},
        {"policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.7}]}},
    ):
        with pytest.raises(AuditNeeded):
            ask(config(SIMILAR, **change), audit=never)


@pytest.mark.slow
def test_a_release_that_looks_at_models_anew_makes_audits_due(config, monkeypatch):
    ask(config(SIMILAR))
    ask(config(SIMILAR), audit=never)
    monkeypatch.setattr(inputs, "LOOKS", inputs.LOOKS + 1)
    with pytest.raises(AuditNeeded):
        ask(config(SIMILAR), audit=never)


@pytest.mark.slow
def test_an_audit_whose_tags_do_not_say_its_verdict_yet_is_due(config):
    ask(config(SIMILAR))
    client = mlflow.MlflowClient()
    client.set_model_version_tag("digits", "3", "audit.verdict", "running")  # as if killed
    assert reader.standing(resolve(SIMILAR)) is None
    client.set_model_version_tag("digits", "3", "audit.verdict", "passed")
    assert reader.standing(resolve(SIMILAR)) is not None


@pytest.mark.slow
def test_tags_put_no_older_verdict_back(config):
    first = ask(config(SIMILAR))
    second = ask(config(SIMILAR), fresh=True)
    assert due(pinned(parse_config(config(SIMILAR)))).audit.run_id == second.run_id
    mlflow.MlflowClient().set_model_version_tag("digits", "3", "audit.run", first.run_id)
    why = f"its tags name run {first.run_id}, but run {second.run_id} is newer"
    assert due(pinned(parse_config(config(SIMILAR)))) == (None, why, None)


@pytest.mark.slow
def test_an_audit_in_another_experiment_is_not_read_without_its_name(config, caplog):
    run_id = ask(config(SIMILAR, experiment="mine")).run_id
    assert due(pinned(parse_config(config(SIMILAR, experiment="mine")))).audit is not None
    assert due(pinned(parse_config(config(SIMILAR)))).audit is None
    assert f"run {run_id} is in another experiment of MLflow" in caplog.text
    assert audit_of(SIMILAR, "mine").run_id == run_id
    with pytest.raises(AuditError, match=f"a verdict passed in run {run_id}"):  # in part
        policy_of(SIMILAR, "mine")
    assert run_id in index_of_registry("mine")
    for taken in (audit_of, policy_of):
        with pytest.raises(AuditError, match="in the experiment 'audits' that can be verified"):
            taken(SIMILAR)
    with pytest.raises(AuditError, match=r"'audits' that can be verified\. Audit it, or give"):
        gate(WORSE, baseline=SIMILAR, audit=never)
    assert run_id not in index_of_registry()


def test_what_gives_trust_is_not_taken_from_the_baselines_audit(config):
    own = {
        "trust_pickle_sha256": "0" * 64,
        "limits": {"unit_seconds": 7.0},
        "seed": 5,
    }
    audit(config(GOOD, baseline=None, policy={}, **own))
    asked = _asked(SIMILAR, baseline=GOOD)
    assert (asked.seed, asked.baseline) == (5, GOOD)
    assert asked.trust_pickle_sha256 == ()
    assert asked.limits.unit_seconds != 7.0
    assert asked.store != config(GOOD)["store"]


def test_the_default_policy_keeps_the_coverage_that_was_asked_for(config):
    asked = _asked(SIMILAR, config=config(SIMILAR, policy={"min_coverage": 0.9}))
    assert asked.policy.min_coverage == 0.9
    assert asked.policy.conditions
    with pytest.raises(AuditError, match="Expected a policy with conditions, got one without"):
        gate(SIMILAR, config=config(SIMILAR), policy=Policy(), audit=never)


@pytest.mark.slow
def test_the_baselines_own_audit_is_used_where_there_is_one(config):
    audit(config(GOOD, baseline=None, policy={}))
    seen = []

    def measure(session, check, unit):
        seen.append(session.model.uri)
        session.measure(check, unit)

    result = audit(config(SIMILAR), executor=Each(measure))
    assert set(seen) == {SIMILAR}
    assert "performance/accuracy_drop" in {
        name for e in result.evidence for name in e.named_estimates
    }


@pytest.mark.slow
def test_evidence_that_was_changed_is_not_believed(config):
    run_id = ask(config(SIMILAR)).run_id
    folder = Path(urlparse(mlflow.get_run(run_id).info.artifact_uri).path)
    original = (folder / "evidence.json").read_bytes()
    try:
        content = json.loads(original)
        content["verdict"]["word"] = "passed"
        content["checks"][0]["metrics"]["accuracy"]["value"] = 1.0
        (folder / "evidence.json").write_text(json.dumps(content))
        assert reader.standing(resolve(SIMILAR)) is None
        assert due(pinned(parse_config(config(SIMILAR)))).audit is None
    finally:
        (folder / "evidence.json").write_bytes(original)
    table = folder / "predictions.parquet"
    kept = table.read_bytes()
    table.write_bytes(kept + b"x")
    assert reader.standing(resolve(SIMILAR)) is None
    table.write_bytes(kept)
    assert reader.standing(resolve(SIMILAR)) is not None


@pytest.mark.parametrize(
    "tag",
    [
        '{"verdict": "passed", "run_id": "0123456789abcdef0123456789abcdef"}',
        '{"verdict": "passed"}',
        "passed",
    ],
)
def test_a_tag_alone_is_never_believed(tag, config):
    client = mlflow.MlflowClient()
    before = version(WORSE).tags
    for name, value in (("audit", tag), ("audit.verdict", "passed")):
        client.set_model_version_tag("digits", "2", name, value)
    with pytest.raises(AuditNeeded):
        ask(config(WORSE), audit=never)
    for name in ("audit", "audit.verdict"):
        client.set_model_version_tag("digits", "2", name, before.get(name, ""))


@pytest.mark.parametrize("named", ["0123456789abcdef0123456789abcdef", "passed", "", "../evil"])
def test_a_tag_that_names_no_run_of_ours_is_never_believed(named, config):
    client = mlflow.MlflowClient()
    before = version(WORSE).tags
    for name, value in (("audit.run", named), ("audit.verdict", "passed")):
        client.set_model_version_tag("digits", "2", name, value)
    assert reader.standing(resolve(WORSE)) is None
    with pytest.raises(AuditNeeded):
        ask(config(WORSE), audit=never)
    for name in ("audit.run", "audit.verdict"):
        client.delete_model_version_tag("digits", "2", name)
        if name in before:
            client.set_model_version_tag("digits", "2", name, before[name])


@pytest.mark.slow
@pytest.mark.parametrize("verdict", ["failed", "running", "undecided", "", "PASSED"])
def test_a_word_that_is_not_the_runs_is_no_standing_audit(verdict, config):
    ask(config(SIMILAR))
    client = mlflow.MlflowClient()
    assert reader.standing(resolve(SIMILAR)) is not None
    client.set_model_version_tag("digits", "3", "audit.verdict", verdict)
    assert reader.standing(resolve(SIMILAR)) is None
    client.set_model_version_tag("digits", "3", "audit.verdict", "passed")


@pytest.mark.slow
def test_an_audit_that_an_older_release_recorded_stands(config):
    run_id = ask(config(SIMILAR)).run_id
    client = mlflow.MlflowClient()
    tag = json.dumps({"verdict": "passed", "run_id": run_id})
    client.delete_model_version_tag("digits", "3", "audit.run")
    assert reader.standing(resolve(SIMILAR)) is None
    try:
        for told, stands in ((tag, True), (tag.replace("passed", "failed"), False)):
            client.set_model_version_tag("digits", "3", "audit", told)
            found = reader.standing(resolve(SIMILAR))
            assert (found is not None) is stands
        # Two tags that name two runs: which of them is newer nobody knows.
        client.set_model_version_tag("digits", "3", "audit.run", "0" * 32)
        client.set_model_version_tag("digits", "3", "audit", tag)
        assert reader.standing(resolve(SIMILAR)) is None
        again = ask(config(SIMILAR), fresh=True)
        assert "audit" not in version(SIMILAR).tags
        assert reader.standing(resolve(SIMILAR)).run_id == again.run_id
    finally:
        client.set_model_version_tag("digits", "3", "audit.run", run_id)


def test_the_audit_of_another_version_is_not_ones_own(config):
    run_id = ask(config(SIMILAR)).run_id
    client = mlflow.MlflowClient()
    client.set_model_version_tag("digits", "2", "audit.run", run_id)
    client.set_model_version_tag("digits", "2", "audit.verdict", "passed")
    assert reader.standing(resolve(WORSE)) is None


@pytest.mark.slow
def test_an_alias_means_what_it_meant_when_the_gate_began(config):
    client = mlflow.MlflowClient()
    for name in ("candidate", "accepted"):
        client.set_registered_model_alias("digits", name, "3")

    def moved(config):
        for name in ("candidate", "accepted"):
            client.set_registered_model_alias("digits", name, "2")
        return run_audit(config)

    decision = ask(
        config("models:/digits@candidate", baseline=None),
        baseline="models:/digits@accepted",
        fresh=True,
        audit=moved,
    )
    assert decision.model.version == "3"
    assert decision.baseline == SIMILAR


@pytest.mark.soak
def test_a_waiver_that_has_ended_makes_its_audit_count_no_more(config, monkeypatch):
    conditions = [
        {"metric": "performance/accuracy", "min": 0.8},
        {"metric": "progressive_fill/accuracy", "min": 1.0},
    ]
    waiver = {
        "condition": "progressive_fill/accuracy >= 1",
        "reason": "a linear model draws badly",
        "until": today().isoformat(),
    }
    policy = {"conditions": conditions, "waivers": [waiver]}
    waived = config(SIMILAR, baseline=None, checks=FILLS, policy=policy)
    decision = ask(waived)
    assert decision.verdict.word == "passed", decision.line
    assert "a linear model draws badly" in decision.to_markdown()
    assert "a linear model draws badly" in version(SIMILAR).description
    assert ask(waived, audit=never).reused

    tomorrow = today() + timedelta(days=1)
    for module in ("freshness", "gate", "audit"):
        monkeypatch.setattr(f"audits.workflows.{module}.today", lambda: tomorrow)
    after = ask(waived)
    assert not after.reused
    assert after.verdict.word == "failed"
    assert "its waiver ended on" in after.line


@pytest.mark.slow
def test_the_default_policy_needs_a_baseline_and_compares_with_it(config):
    with pytest.raises(AuditError, match="Give --policy or --baseline"):
        ask(config(SIMILAR, baseline=None, policy={}))
    decision = ask(config(WORSE, policy={}))
    assert decision.verdict.word == "failed"
    assert "performance/accuracy_drop <= 0.02" in decision.line


@pytest.mark.slow
def test_beside_a_baseline_that_fails_itself_a_version_passes_in_part(config):
    (performance,) = audit(config(SIMILAR, baseline=None, policy={})).evidence
    least = math.floor(performance.metrics["accuracy"].estimate.low * 100) / 100
    policy = {
        "conditions": [
            {"metric": "performance/accuracy", "max_drop": 0.05},
            {"metric": "performance/accuracy", "min": least},
            {"metric": "progressive_fill/accuracy", "min_lift": 0},
        ]
    }
    given = config(SIMILAR, baseline=WORSE, checks=FILLS, policy=policy)
    told = f"The baseline itself fails (performance/accuracy >= {least:g}: failed with"
    for reused in (False, True):
        decision = ask(given, promote="weak")
        assert decision.reused == reused
        assert decision.verdict.word == "undecided"
        assert f"not promoted: the version has passed in part. {told}" in decision.line
    assert ask(given).line.startswith(f"passed, in part: {told}")
    assert ask(given, promote="weak", accept_partial=True).promotion
    assert ask({**given, "baseline": GOOD}, promote="weak").verdict.told == "passed"


@pytest.mark.soak
def test_a_policy_that_was_written_from_a_version_passes_it(config):
    audit(config(GOOD, baseline=None, policy={}, checks=FILLS))
    policy = yaml.safe_load(policy_of(GOOD))
    assert {c["metric"] for c in policy["conditions"]} == {
        "performance/accuracy",
        "performance/f1_macro",
        "progressive_fill/accuracy",
        "progressive_fill/accuracy_moved",
        "progressive_fill/accuracy_moved_fall",
    }
    assert ask(config(SIMILAR, policy=policy, checks=FILLS)).verdict.word == "passed"
