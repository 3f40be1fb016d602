"""A sweep audits the versions that are due, skips the others, and survives a broken model."""

import json

import mlflow
import pytest
from nets import Crashing
from prefect.artifacts import Artifact
from simple_nets import logistic

from audits import AuditError
from audits.models.registry import pinned
from audits.workflows.freshness import due
from audits.workflows.sweep import Wanted, sweep_config, versions
from flows.artifacts import show_sweep
from flows.sweep import swept


@pytest.fixture(scope="module")
def models(shared_registry, register):
    register(logistic(), "a@b")
    _, sha256 = register(Crashing(), "broken", pickled=True)
    register(logistic(), "digits")
    register(logistic(noise=4.0), "digits")
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("digits", "champion", "1")
    client.set_model_version_tag("digits", "2", "stage", "prod")
    client.set_model_version_tag("digits", "2", "audit", "[" * 4900)  # a tag of another tool
    return sha256


@pytest.fixture(scope="module")
def config(tmp_path_factory, models):
    return {
        "model": "models:/digits/1",
        "data": {"kind": "digits"},
        "checks": [{"kind": "performance"}],
        "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.85}]},
        "trust_pickle_sha256": models,
        "store": str(tmp_path_factory.mktemp("store")),
    }


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["models:/a@b/1", "models:/broken/1", "models:/digits/1", "models:/digits/2"]),
        (Wanted(name="digits"), ["models:/digits/1", "models:/digits/2"]),
        (Wanted(alias="champion"), ["models:/digits/1"]),
        (Wanted(tags={"stage": "prod"}), ["models:/digits/2"]),
    ],
)
def test_versions_are_found_by_name_alias_and_tag(wanted, found, models):
    assert [pinned(version).uri for version in versions(wanted)] == found


@pytest.mark.parametrize(
    "wanted", [Wanted(name="digit"), Wanted(alias="champ"), Wanted("digits", tags={"stage": "x"})]
)
def test_a_filter_that_finds_nothing_is_no_sweep_in_which_all_is_well(wanted, models):
    with pytest.raises(AuditError, match="Expected versions with"):
        versions(wanted)


@pytest.mark.slow
def test_a_broken_model_does_not_stop_the_rest_and_what_is_not_due_is_skipped(config, prefect_api):
    first = swept(config, Wanted())
    assert [(row.model, row.done, row.verdict) for row in first.rows] == [
        ("models:/a@b/1", "audited", "passed, in part"),
        ("models:/broken/1", "audited", "undecided"),
        ("models:/digits/1", "audited", "passed, in part"),
        ("models:/digits/2", "audited", "failed"),
    ]
    assert first.word == "failed"
    assert str(first) == "4 versions, 4 audited: 2 passed in part, 1 failed, 1 undecided"
    shown = json.loads(Artifact.get("audit-sweep").data)
    wanted = [
        ("a\\@b", "1", "passed, in part", "audited"),
        ("broken", "1", "undecided", "audited"),
        ("digits", "1", "passed, in part", "audited"),
        ("digits", "2", "failed", "audited"),
    ]
    named = ("name", "version", "verdict", "this sweep")
    assert [tuple(row[heading] for heading in named) for row in shown] == wanted
    deciding = [row["deciding condition"] for row in shown]
    assert deciding[0].startswith(r"performance/accuracy \>= 0.85: passed with 0.9")
    assert "the process that held the model died" in deciding[1]
    assert deciding[3].startswith(r"performance/accuracy \>= 0.85: failed with 0.")
    # The tracking URI of this test is no page, so that the run stands where a link would.
    assert [row["link"] for row in shown] == [row.run_id for row in first.rows]
    assert "the process that held the model died" in first.rows[1].why
    again = swept(config, Wanted(name="digits"))
    assert [(row.done, row.verdict) for row in again.rows] == [
        ("skipped", "passed, in part"),
        ("skipped", "failed"),
    ]
    assert "audited in run" in again.rows[0].why
    shown = json.loads(Artifact.get("audit-sweep").data)
    assert [row["this sweep"][:23] for row in shown] == ["skipped: audited in run"] * 2
    assert [row["link"] for row in shown] == [row.run_id for row in first.rows[2:]]
    show_sweep(again, "https://me:secret@host/mlflow")
    newest = Artifact.get("audit-sweep")
    report = f"https://host/mlflow/{again.rows[0].page}/artifacts/report.html"
    assert json.loads(newest.data)[0]["link"] == f"[report]({report})"
    assert newest.description == str(again)
    # The sweep also fails if a version that is not due has failed before.
    assert again.word == "failed"
    assert swept(config, Wanted(alias="champion")).word == "passed"

    other = sweep_config({**config, "seed": 1, "policy": {}}, versions(Wanted("digits")))
    assert "not those of its audit" in due(other).why
