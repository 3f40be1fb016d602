"""Whoever can write to MLflow can write any record of an audit: it is not used, or does no harm.

FILLBLANKS_FUZZ is the number of random changes; `make soak` tries 2,000.
"""

import contextlib
import io
import os
import random

import pandas as pd
import pytest
from records import URI, changed, of_this_model

from audits import AuditError, parse_config
from audits.config.policy import Condition, Policy
from audits.models.registry import resolve
from audits.tracking import reader
from audits.verdict.decide import decide
from audits.workflows.compare import compare
from audits.workflows.policy import policy_of
from audits.workflows.recorded import TAKEN, config_of
from audits.workflows.resolved import today

CASES = int(os.environ.get("FILLBLANKS_FUZZ", "40"))
POLICY = Policy(
    conditions=(
        Condition(metric="performance/accuracy", min=0.5),
        Condition(metric="progressive_fill/accuracy", min_lift=0.1),
        Condition(metric="random_fill/prototype_accuracy", max_drop=0.1),
    )
)


def _look(uri=URI):
    """Everything that reads a record. Each gives an answer or AuditError; True if it is used."""
    found = reader.standing(resolve(uri))
    for act in (
        lambda: policy_of(uri),
        lambda: parse_config(of_this_model(config_of(resolve(uri)))),
    ):
        with contextlib.suppress(AuditError):
            act()
    if found is None:
        return False
    compare(found, found)
    checks = tuple(found.content.config.known_checks.values())
    decide(POLICY, found.evidence, today(), found.questions, found.skipped, checks)
    return True


def test_a_record_that_is_whole_is_used(record):
    record.put(record.content)
    assert _look()
    assert "progressive_fill/accuracy, min_lift" in policy_of(URI)
    assert set(config_of(resolve(URI))) == set(TAKEN)


def test_a_record_of_a_model_that_could_not_be_opened_is_read(record):
    record.put(changed(record.content, ("data", "digest"), None))
    assert _look()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("model",), True),
        (("model", "files"), []),
        (("model", "uri"), None),
        (("config",), None),
        (("config", "checks"), None),
        (("config", "isolation"), []),
        (("config", "policy"), None),
        (("config", "seed"), 10**400),
        (("config", "data"), {}),
        (("config", "data", "sample_seed"), "x"),
        (("data",), None),
        (("data",), {}),
        (("data", "skipped"), [[]]),
        (("data", "name"), "\ud800"),
        (("verdict", "conditions"), [{}]),
        (("verdict", "word"), []),
        (("questions",), [[]]),
        (("checks",), [[]]),
        (("checks", 0, "check"), "a/b"),
        (("checks", 0, "check"), "progressive_fill"),
        (("checks", 0, "check"), "x\nconditions: []\n"),
        (("checks", 0, "metrics", "accuracy", "estimate", "value"), 1e300),
        (("checks", 0, "metrics", "accuracy", "estimate", "n"), 10**400),
        (("checks", 0, "metrics", "accuracy", "rests_on"), "nothing"),
        (("checks", 0, "metrics", "accuracy", "null"), {}),
        (("checks", 0, "tables"), {"x": 1}),
        (("schema_version",), []),
        (("notes",), eval("[" * 60 + "]" * 60)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_damaged_record_is_no_audit_that_can_be_verified(path, value, record):
    record.put(changed(record.content, path, value))
    assert not _look()
    with pytest.raises(AuditError, match="none in the experiment 'audits' that can be verified"):
        policy_of(URI)
    with pytest.raises(AuditError, match="none in the experiment 'audits' that can be verified"):
        config_of(resolve(URI))


@pytest.mark.parametrize("raw", [b"[" * 200_000, b"null", b"\xff", b"1" * 9_000, b"{}", b""])
def test_evidence_that_is_no_mapping_is_no_audit_that_can_be_verified(raw, record):
    record.put(raw)
    assert not _look()


@pytest.mark.parametrize("word", [[], {}, None, 1, "failed", [["passed"]]])
def test_a_damaged_tag_names_no_audit(word, record):
    record.put(record.content)
    record.says(word)
    try:
        assert reader.standing(resolve(URI)) is None
    finally:
        record.says("passed")


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.assign(**{"performance/label": "x"}),
        lambda table: table.assign(**{"performance/label": 10**12}),
        lambda table: table.assign(**{"performance/predicted": -(10**6)}),
        lambda table: table.drop(columns="performance/label"),
        lambda table: table.set_axis(range(len(table.columns)), axis=1),
        lambda table: table.iloc[:0],
    ],
    ids=["text", "huge", "negative", "missing", "numbers", "empty"],
)
def test_damaged_figures_of_images_are_not_compared(change, record):
    parquet = (record.files / "predictions.parquet").read_bytes()
    stream = io.BytesIO()
    change(pd.read_parquet(io.BytesIO(parquet))).to_parquet(stream)
    try:
        record.put(record.content, stream.getvalue())
        _look()
        found = reader.standing(resolve(URI))
        drops = compare(found, found).set_index("metric")["b - a, paired"] if found else {}
        assert drops.get("performance/accuracy", "") in ("", "not finite")
    finally:
        record.put(record.content, parquet)


@pytest.mark.slow
def test_a_random_change_of_a_record_breaks_nothing(record):
    values = [None, [], {}, "x", -1, 10**400, True, [[]], {"a": 1}, "\ud800", 1e308, 0.5, "a/b\n"]
    drawn = random.Random() if os.environ.get("FILLBLANKS_EXAMPLES") == "soak" else random.Random(0)
    paths = [path for path in _paths(record.content) if "tables" not in path]
    for _ in range(CASES):
        path, value = drawn.choice(paths), drawn.choice(values)
        record.put(changed(record.content, path, value))
        try:
            _look()
        except Exception as error:
            raise AssertionError(f"{value!r} at {path} broke a reader") from error


def _paths(value, path=()):
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else []
    inside = list(enumerate(value))[:3] if isinstance(value, list) else inside
    for key, inner in inside:
        yield from _paths(inner, (*path, key))
