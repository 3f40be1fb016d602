"""The gate against a real registry: drops, reuse, promotion, waivers, what cannot be believed."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlparse

import mlflow
import pytest
import yaml
from mlflow.exceptions import MlflowException
from simple_nets import logistic

from audits import AuditError, parse_config, past, run_audit
from audits.compare import audit_of, compare
from audits.due import due
from audits.gate import gate
from audits.history import history
from audits.pinned import pinned, today
from audits.policy import Policy
from audits.registry import resolve
from audits.starting_policy import policy_from

GOOD, WORSE, SIMILAR = "models:/digits/1", "models:/digits/2", "models:/digits/3"
FILLS = [{"kind": "performance"}, {"kind": "progressive_fill", "images": 50}]


@pytest.fixture(scope="module")
def digits(shared_registry, register):
    for net in (logistic(), logistic(noise=4.0), logistic(noise=0.02)):
        register(net, "digits")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(tmp_path_factory.mktemp("store"))


@pytest.fixture
def config(digits, store):
    def made(model, **changes):
        policy = {
            "conditions": [
                {"metric": "performance/accuracy", "max_drop": 0.05},
                {"metric": "performance/accuracy", "min": 0.8},
            ]
        }
        values = {
            "model": model,
            "baseline": GOOD,
            "data": {"kind": "digits"},
            "checks": [{"kind": "performance"}],
            "policy": policy,
            "store": store,
        }
        return {**values, **changes}

    return made


def ask(config, **options):
    return gate(config["model"], config=config, **options)


def audit(config, **options):
    return run_audit(parse_config(config), **options)


def _version(uri):
    return mlflow.MlflowClient().get_model_version("digits", uri.rsplit("/", 1)[-1])


class AuditNeeded(Exception):
    """Raised in place of an audit, with the config that it would have had."""


def _never(config):
    raise AuditNeeded(config)


def _asked(model, **options):
    """The config of the audit that the gate wants."""
    with pytest.raises(AuditNeeded) as needed:
        gate(model, audit=_never, fresh=True, **options)
    return needed.value.args[0]


def test_a_version_as_good_as_the_baseline_passes_and_is_promoted(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "live", "1")
    decision = ask(config(SIMILAR), promote="live")
    assert decision.verdict.word == "passed", decision.line
    assert decision.promotion == "live: v1 -> v3"
    assert client.get_model_version_by_alias("digits", "live").version == 3
    run = mlflow.get_run(decision.run_id)
    assert run.data.tags["audit.promotion"] == "live: v1 -> v3"
    assert run.data.metrics["performance/accuracy_drop"] == pytest.approx(0, abs=0.05)
    assert _version(SIMILAR).tags["audit.verdict"] == "passed"
    # Nothing is said of the baseline, which was only measured.
    assert not any(name.startswith("audit") for name in _version(GOOD).tags)


def test_a_worse_version_fails_on_the_drop_and_nothing_is_promoted(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "stable", "1")
    decision = ask(config(WORSE), promote="stable")
    assert decision.verdict.word == "failed"
    assert decision.line.startswith("failed: performance/accuracy_drop <= 0.05: failed with ")
    assert client.get_model_version_by_alias("digits", "stable").version == 1


def test_an_audit_that_would_come_out_the_same_is_used(config):
    first = ask(config(SIMILAR))
    again = ask(config(SIMILAR), audit=_never)
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
            ask(config(SIMILAR, **change), audit=_never)


def test_an_audit_whose_tags_do_not_say_its_verdict_yet_is_due(config):
    ask(config(SIMILAR))
    client = mlflow.MlflowClient()
    client.set_model_version_tag("digits", "3", "audit.verdict", "running")  # killed before the end
    assert past.standing(resolve(SIMILAR)) is None
    client.set_model_version_tag("digits", "3", "audit.verdict", "passed")
    assert past.standing(resolve(SIMILAR)) is not None


def test_what_gives_trust_is_not_taken_from_the_baselines_audit(config):
    own = {"trust_pickle_sha256": "0" * 64, "limits": {"unit_seconds": 7.0}, "seed": 5}
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
        gate(SIMILAR, config=config(SIMILAR), policy=Policy(), audit=_never)


def test_the_baselines_own_audit_is_used_where_there_is_one(config):
    audit(config(GOOD, baseline=None, policy={}))
    seen = []

    def measure(session, check, unit):
        seen.append(session.model.uri)
        session.measure(check, unit)

    result = audit(config(SIMILAR), measure=measure)
    assert set(seen) == {SIMILAR}
    assert "performance/accuracy_drop" in {
        name for e in result.evidence for name in e.named_metrics
    }


def test_evidence_that_was_changed_is_not_believed(config):
    run_id = ask(config(SIMILAR)).run_id
    folder = Path(urlparse(mlflow.get_run(run_id).info.artifact_uri).path)
    original = (folder / "evidence.json").read_bytes()
    try:
        content = json.loads(original)
        content["verdict"]["word"] = "passed"
        content["checks"][0]["metrics"]["accuracy"]["value"] = 1.0
        (folder / "evidence.json").write_text(json.dumps(content))
        assert past.standing(resolve(SIMILAR)) is None
        assert due(pinned(parse_config(config(SIMILAR)))).audit is None
    finally:
        (folder / "evidence.json").write_bytes(original)
    table = folder / "predictions.parquet"
    kept = table.read_bytes()
    table.write_bytes(kept + b"x")
    assert past.standing(resolve(SIMILAR)) is None
    table.write_bytes(kept)
    assert past.standing(resolve(SIMILAR)) is not None


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
    before = _version(WORSE).tags
    for name, value in (("audit", tag), ("audit.verdict", "passed")):
        client.set_model_version_tag("digits", "2", name, value)
    with pytest.raises(AuditNeeded):
        ask(config(WORSE), audit=_never)
    for name in ("audit", "audit.verdict"):
        client.set_model_version_tag("digits", "2", name, before.get(name, ""))


def test_the_audit_of_another_version_is_not_ones_own(config):
    run_id = ask(config(SIMILAR)).run_id
    client = mlflow.MlflowClient()
    tag = json.dumps({"verdict": "passed", "run_id": run_id})
    client.set_model_version_tag("digits", "2", "audit", tag)
    assert past.standing(resolve(WORSE)) is None


def test_an_alias_that_was_moved_meanwhile_is_left_where_it_is(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "contested", "1")

    def moved(config):
        client.set_registered_model_alias("digits", "contested", "2")
        return run_audit(config)

    decision = ask(config(SIMILAR), promote="contested", fresh=True, audit=moved)
    assert decision.verdict.word == "undecided"
    assert "Expected 'contested' to point to v1 as it did when the gate began, got v2" in (
        decision.line
    )
    assert client.get_model_version_by_alias("digits", "contested").version == 2


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


@pytest.mark.parametrize(("lost", "word"), [("the answer", "passed"), ("the request", "undecided")])
def test_a_promotion_is_told_by_where_the_alias_is(lost, word, config, monkeypatch):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "next", "1")
    move = mlflow.MlflowClient.set_registered_model_alias

    def unheard(*arguments):
        if lost == "the answer":
            move(*arguments)
        raise MlflowException("no answer")

    monkeypatch.setattr(mlflow.MlflowClient, "set_registered_model_alias", unheard)
    decision = ask(config(SIMILAR), promote="next")
    assert decision.verdict.word == word
    assert ("MLflow did not move 'next': no answer" in decision.line) == (word == "undecided")
    assert bool(decision.promotion) == (word == "passed")


def test_weights_that_were_exchanged_after_the_audit_are_not_promoted(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "safe", "1")
    folders = [
        Path(urlparse(mlflow.get_logged_model(resolve(uri).model_id).artifact_location).path)
        for uri in (SIMILAR, WORSE)
    ]
    own, other = (folder / "data" / "model.pt2" for folder in folders)
    kept = own.read_bytes()

    def exchanged(config):
        result = run_audit(config)
        own.write_bytes(other.read_bytes())
        return result

    try:
        decision = ask(config(SIMILAR), promote="safe", fresh=True, audit=exchanged)
    finally:
        own.write_bytes(kept)
    assert decision.verdict.word == "undecided"
    assert "not promoted: Expected run" in decision.line
    assert client.get_model_version_by_alias("digits", "safe").version == 1


def test_a_promotion_over_a_version_that_was_not_compared_with_says_so(config, caplog):
    mlflow.MlflowClient().set_registered_model_alias("digits", "other", "2")
    decision = ask(config(SIMILAR), promote="other")
    assert decision.promotion == "other: v2 -> v3, which were not compared"
    assert "other is on v2, with which digits v3 is not compared" in caplog.text


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
    assert "a linear model draws badly" in _version(SIMILAR).description
    assert ask(waived, audit=_never).reused

    tomorrow = today() + timedelta(days=1)
    for module in ("due", "gate", "run"):
        monkeypatch.setattr(f"audits.{module}.today", lambda: tomorrow)
    after = ask(waived)
    assert not after.reused
    assert after.verdict.word == "failed"
    assert "its waiver ended on" in after.line


def test_the_default_policy_needs_a_baseline_and_compares_with_it(config):
    with pytest.raises(AuditError, match="Give --policy or --baseline"):
        ask(config(SIMILAR, baseline=None, policy={}))
    decision = ask(config(WORSE, policy={}))
    assert decision.verdict.word == "failed"
    assert "performance/accuracy_drop <= 0.02" in decision.line


def test_a_policy_that_was_written_from_a_version_passes_it(config):
    audit(config(GOOD, baseline=None, policy={}, checks=FILLS))
    policy = yaml.safe_load(policy_from(past.standing(resolve(GOOD))))
    assert {c["metric"] for c in policy["conditions"]} == {
        "performance/accuracy",
        "performance/f1_macro",
        "progressive_fill/accuracy",
    }
    assert ask(config(SIMILAR, policy=policy, checks=FILLS)).verdict.word == "passed"


def test_history_lists_audits_with_the_alias_of_then(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "then", "1")
    result = audit(config(GOOD, baseline=None, policy={}))
    client.delete_registered_model_alias("digits", "then")
    newest = history("digits", "audits")[0]
    assert (newest.run_id, newest.version) == (result.run_id, "1")
    assert "then" in newest.aliases
    assert newest.verdict == "undecided"
    assert newest.reason == result.verdict.reason
    with pytest.raises(AuditError, match="Expected audits of 'digit_'"):
        history("digit_", "audits")


def test_compare_puts_two_audits_side_by_side_in_pairs(config):
    first = audit(config(GOOD, baseline=None, policy={}))
    second = audit(config(WORSE, policy={}))
    a, b = audit_of(first.run_id), audit_of(WORSE)
    row = compare(a, b).set_index("metric").loc["performance/accuracy"]
    drop = second.evidence[0].metrics["accuracy_drop"]
    assert row["b - a, paired"].startswith(f"{-drop.value:+.3f}")
    for part, name in (("data", "digest"), ("config", "seed")):
        content = {**b.content, part: {**b.content[part], name: "another"}}
        table = compare(a, replace(b, content=content))
        assert set(table["b - a, paired"]) == {""}
    with pytest.raises(AuditError, match="Expected the run of a whole audit"):
        audit_of("0" * 32)
