"""Audits in MLflow are listed as a history and compared in pairs."""

from dataclasses import replace

import mlflow
import pytest
from gates import GOOD, WORSE, audit

from audits import AuditError
from audits.tracking.history import history
from audits.workflows.compare import audit_of, compare


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
    drop = second.evidence[0].estimates["accuracy_drop"]
    assert row["b - a, paired"].startswith(f"{-drop.value:+.3f}")
    for part, name in (("data", "digest"), ("config", "seed")):
        changed = getattr(b.content, part).model_copy(update={name: "another"})
        content = b.content.model_copy(update={part: changed})
        table = compare(a, replace(b, content=content))
        assert set(table["b - a, paired"]) == {""}
    with pytest.raises(AuditError, match="Expected the run of a whole audit"):
        audit_of("0" * 32)
