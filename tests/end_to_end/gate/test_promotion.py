"""The gate promotes only a version that passed, and only if its alias has not moved."""

from collections import Counter
from pathlib import Path
from urllib.parse import urlparse

import mlflow
import pytest
from gates import FILLS, GOOD, SIMILAR, WORSE, ask, version
from mlflow.exceptions import MlflowException

from audits import AuditError, run_audit
from audits.models import registry
from audits.models.registry import resolve
from audits.tracking.history import history
from audits.workflows.policy import policy_of


@pytest.mark.slow
def test_a_version_as_good_as_the_baseline_passes_and_is_promoted(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "live", "1")
    decision = ask(config(SIMILAR), promote="live", accept_partial=True)
    assert decision.verdict.word == "passed", decision.line
    assert decision.promotion == "live: v1 -> v3"
    assert client.get_model_version_by_alias("digits", "live").version == 3
    run = mlflow.get_run(decision.run_id)
    assert run.data.tags["audit.promotion"] == "live: v1 -> v3"
    assert run.data.metrics["performance/accuracy_drop"] == pytest.approx(0, abs=0.05)
    assert version(SIMILAR).tags["audit.verdict"] == "passed"
    # The baseline was only measured, so the gate writes no tags to it.
    assert not any(name.startswith("audit") for name in version(GOOD).tags)


@pytest.mark.slow
def test_a_worse_version_fails_on_the_drop_and_nothing_is_promoted(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "stable", "1")
    decision = ask(config(WORSE), promote="stable", accept_partial=True)
    assert decision.verdict.word == "failed"
    assert decision.line.startswith("failed: performance/accuracy_drop <= 0.05: failed with ")
    assert client.get_model_version_by_alias("digits", "stable").version == 1


@pytest.mark.slow
def test_an_alias_that_was_moved_meanwhile_is_left_where_it_is(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "contested", "1")

    def moved(config):
        client.set_registered_model_alias("digits", "contested", "2")
        return run_audit(config)

    decision = ask(
        config(SIMILAR), promote="contested", accept_partial=True, fresh=True, audit=moved
    )
    assert decision.verdict.word == "undecided"
    assert "Expected 'contested' to point to v1 as it did when the gate began, got v2" in (
        decision.line
    )
    assert client.get_model_version_by_alias("digits", "contested").version == 2


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
    decision = ask(config(SIMILAR), promote="next", accept_partial=True)
    assert decision.verdict.word == word
    assert ("MLflow did not move 'next': no answer" in decision.line) == (word == "undecided")
    assert bool(decision.promotion) == (word == "passed")


@pytest.mark.slow
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
        decision = ask(
            config(SIMILAR), promote="safe", accept_partial=True, fresh=True, audit=exchanged
        )
    finally:
        own.write_bytes(kept)
    assert decision.verdict.word == "undecided"
    assert "not promoted: Expected run" in decision.line
    assert client.get_model_version_by_alias("digits", "safe").version == 1


def test_a_promotion_over_a_version_that_was_not_compared_with_says_so(config, caplog):
    mlflow.MlflowClient().set_registered_model_alias("digits", "other", "2")
    decision = ask(config(SIMILAR), promote="other", accept_partial=True)
    assert decision.promotion == "other: v2 -> v3, which were not compared"
    assert "other is on v2, with which digits v3 is not compared" in caplog.text


@pytest.mark.slow
def test_a_promotion_asks_the_registry_once_and_for_files_twice(config, monkeypatch):
    """Counts the requests to MLflow."""
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "counted", "1")
    asked: Counter[str] = Counter()

    def counted(owner, name, key):
        original = getattr(owner, name)

        def call(*arguments, **options):
            asked[key(*arguments, **options)] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    counted(registry, "expect_in_use", lambda model: f"in use {model.uri}")
    counted(registry, "_resolve", lambda uri: f"resolve {uri}")
    copied_once = registry.copied_once

    def copied(uri, folder, copy):
        def counted_copy(target):
            asked[f"files {uri}"] += 1
            return copy(target)

        return copied_once(uri, folder, counted_copy)

    monkeypatch.setattr(registry, "copied_once", copied)
    values = config(SIMILAR, baseline="models:/digits@counted")
    decision = ask(values, promote="counted", accept_partial=True, fresh=True)
    assert decision.promotion == "counted: v1 -> v3"
    resolved = {uri: count for uri, count in asked.items() if uri.startswith("resolve")}
    assert set(resolved.values()) == {1}
    files = {uri: count for uri, count in asked.items() if uri.startswith("files models:")}
    assert files == {f"files {GOOD}": 2, f"files {SIMILAR}": 2}
    assert asked[f"in use {SIMILAR}"] == 2, "before measuring, and before the alias is moved"


def test_a_version_that_passed_in_part_is_promoted_only_if_the_user_accepts_that(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "partial", "1")
    gap = "What the model has learnt was not judged (the config has no check of it)."
    alone = ask(config(SIMILAR))
    assert (alone.verdict.word, alone.verdict.not_covered) == ("passed", gap)
    assert alone.line.startswith(f"passed, in part: {gap} All 2 conditions hold; ")
    assert alone.to_markdown().startswith("### digits v3: passed, in part\n")
    assert alone.to_json()["not_covered"] == gap
    assert mlflow.get_run(alone.run_id).data.tags["audit.reason"].startswith(gap)
    description = version(SIMILAR).description
    assert description.startswith("Audit passed, in part, ")
    assert gap in description.splitlines()[0].replace("\\", "")
    report = mlflow.artifacts.load_text(f"runs:/{alone.run_id}/report.html")
    assert '<span class="word passed">✓ PASSED, IN PART</span>' in report
    evidence = mlflow.artifacts.load_dict(f"runs:/{alone.run_id}/evidence.json")
    assert evidence["verdict"]["not_covered"] == gap
    assert [e.told for e in history("digits", "audits") if e.run_id == alone.run_id] == [
        "passed, in part"
    ]

    refused = ask(config(SIMILAR), promote="partial")
    assert refused.verdict.word == "undecided"
    assert f"undecided: not promoted: the version has passed in part. {gap} " in refused.line
    assert refused.line.endswith("or give --accept-partial to promote it all the same.")
    assert client.get_model_version_by_alias("digits", "partial").version == 1
    assert version(SIMILAR).tags["audit.verdict"] == "passed"  # the audit's verdict stays

    accepted = ask(config(SIMILAR), promote="partial", accept_partial=True)
    assert accepted.promotion == "partial: v1 -> v3"
    assert accepted.line.startswith("passed, in part: ")


@pytest.mark.soak
def test_fills_that_no_condition_judges_leave_a_verdict_partial(config):
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "unjudged", "1")
    refused = ask(config(SIMILAR, checks=FILLS), promote="unjudged")
    assert refused.verdict.word == "undecided"
    assert (
        "was not judged (no condition decides on a figure such as progressive_fill/accuracy)."
        in refused.line
    )
    lift = {"metric": "progressive_fill/accuracy", "max_drop": 0.9}
    policy = {"conditions": [lift, {"metric": "performance/accuracy", "min": 0.8}]}
    judged = ask(config(SIMILAR, checks=FILLS, policy=policy), promote="unjudged")
    assert judged.verdict.not_covered == ""
    assert judged.promotion == "unjudged: v1 -> v3", judged.line


@pytest.mark.slow
def test_no_policy_is_written_from_a_verdict_that_covers_only_a_part(config):
    ask(config(SIMILAR), fresh=True)
    with pytest.raises(AuditError, match=r"covers what the model has learnt, got a verdict passed"):
        policy_of(SIMILAR)


@pytest.mark.slow
def test_a_waived_failure_of_fills_is_not_promoted_and_starts_no_policy(config):
    least = {"metric": "progressive_fill/accuracy", "min": 0.999}
    waiver = {"condition": "progressive_fill/accuracy >= 0.999", "reason": "known"}
    policy = {
        "conditions": [least, {"metric": "performance/accuracy", "min": 0.8}],
        "waivers": [{**waiver, "until": "9999-01-01"}],
    }
    refused = ask(config(SIMILAR, checks=FILLS, policy=policy, baseline=None), promote="waived")
    outcomes = [judgement.outcome for judgement in refused.verdict.judgements]
    assert outcomes == ["failed", "passed"]
    assert "not promoted: the version has passed in part." in refused.line
    with pytest.raises(AuditError, match=r"covers what the model has learnt, got a verdict passed"):
        policy_of(SIMILAR)
