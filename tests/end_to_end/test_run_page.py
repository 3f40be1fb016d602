"""What a person sees of an audit in MLflow: note, colour, parameters, few metrics, pictures."""

import json
import re

import mlflow
import pytest
from mlflow.artifacts import load_dict, load_image, load_text
from mlflow.entities import Metric, Param
from simple_nets import logistic

from audits import parse_config, run_audit
from audits.config.policy import Policy
from audits.tracking.payload import payload_of
from audits.tracking.upload import RecordingError, read_back

pytestmark = pytest.mark.slow

_FILL = {"kind": "progressive_fill", "images": 20}
_DRAW = {"kind": "random_fill", "images": 20, "samples": 8}
_POLICY = {
    "conditions": [
        {"metric": "performance/accuracy", "min": 0.5},
        {"metric": "progressive_fill/accuracy", "min": 0.99},
    ]
}


@pytest.fixture(scope="module")
def audited(shared_registry, register, tmp_path_factory):
    """An audit that failed, and its run."""
    register(logistic(), "m")
    register(logistic(), "m")
    config = {
        "model": "models:/m/2",
        "data": {"kind": "digits"},
        "checks": [{"kind": "performance"}, _DRAW, _FILL],
        "policy": _POLICY,
        "store": str(tmp_path_factory.mktemp("store")),
    }
    result = run_audit(parse_config(config))
    assert result.verdict.word == "failed"
    return result, mlflow.get_run(result.run_id)


def test_the_note_of_the_run_is_the_block_of_the_version(audited):
    result, run = audited
    version = mlflow.MlflowClient().get_model_version("m", "2")
    note = run.data.tags["mlflow.note.content"]
    assert version.description == f"{note}\n\n<!-- fillblanks audit -->"
    assert note.startswith("Audit failed, ")
    assert f"({result.page}/artifacts/report.html)" in note
    strip = load_image(f"runs:/{result.run_id}/strip.png")
    assert strip.width <= 800
    assert strip.height <= 220


def test_colours_differ_by_verdict_and_parameters_are_short(audited):
    _, run = audited
    assert run.data.tags["mlflow.runColor"] == "#b2182b"
    assert run.data.params.keys() == {"data", "n", "policy", "seed", "plan"}
    assert run.data.params["n"] == "450"
    assert re.fullmatch("2 conditions, [0-9a-f]{8}", run.data.params["policy"])
    page = load_text(f"runs:/{run.info.run_id}/report.html")
    assert f'digest of policy</th><td class="id">{run.data.params["policy"][-8:]}' in page
    # Each card of pictures has them all, above the picture.
    assert len(", ".join(f"{k}={v}" for k, v in run.data.params.items())) < 130


def test_the_metrics_are_those_that_decide_and_evidence_has_all(audited):
    result, run = audited
    assert run.data.metrics.keys() == {
        "performance/accuracy",
        "progressive_fill/accuracy",
        "progressive_fill/accuracy_null",
        "random_fill/prototype_accuracy",
        "cost/seconds",
        "cost/passes",
    }
    evidence = load_dict(f"runs:/{result.run_id}/evidence.json")
    assert "composite_f1_macro" in str(evidence["checks"][1]["metrics"].keys())
    assert "composite" in load_text(f"runs:/{result.run_id}/report.html")


def test_the_table_has_a_row_a_class_with_pictures(audited):
    result, run = audited
    table = load_dict(f"runs:/{result.run_id}/classes.json")
    assert table["columns"] == [
        "class",
        "image",
        "drawing",
        "drawing recognised",
        "filled",
        "filled recognised",
    ]
    assert sorted(row[0] for row in table["data"]) == [str(n) for n in range(10)]
    drawing = table["data"][0][2]
    assert load_image(f"runs:/{result.run_id}/{drawing['filepath']}").width > 99
    logged = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    assert {"path": "classes.json", "type": "table"} in logged


@pytest.fixture(scope="module")
def payload(audited):
    """All that the audit logs, made once, since its pictures take seconds."""
    return payload_of(audited[0])


@pytest.fixture
def logged_again(audited, payload, tmp_path):
    """A function that logs the audit to a new run without one of its artifacts."""
    client = mlflow.MlflowClient()

    def logged(lost, parameters):
        folder = tmp_path / "artifacts"
        mlflow.artifacts.download_artifacts(run_id=audited[0].run_id, dst_path=str(folder))
        for gone in folder.glob(lost) if lost else ():
            gone.unlink()
        run_id = client.create_run(
            client.create_experiment(str(tmp_path), (tmp_path / "again").as_uri())
        ).info.run_id
        figures = {**payload.metrics, **payload.cost}
        client.log_batch(
            run_id,
            metrics=[Metric(name, value, 0, 0) for name, value in figures.items()],
            params=[Param(name, value) for name, value in parameters.items()],
        )
        client.log_artifacts(run_id, str(folder))
        return run_id, payload

    return logged


def test_a_run_that_holds_everything_is_complete(logged_again, payload):
    read_back(*logged_again("", payload.parameters))


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("strip.png", "strip.png"),
        ("classes.json", "classes.json"),
        ("table_images/classes/*.webp", "30 files in table_images/classes"),
        ("images/*.png", "files in images"),
    ],
)
def test_a_run_from_which_something_is_missing_is_not_complete(lost, told, logged_again, payload):
    run_id, payload = logged_again(lost, payload.parameters)
    with pytest.raises(RecordingError, match=f"without {told}|without .*{told}"):
        read_back(run_id, payload)


def test_a_run_without_a_parameter_is_not_complete(logged_again, payload):
    parameters = {**payload.parameters, "seed": "1"}
    with pytest.raises(RecordingError, match="without seed"):
        read_back(*logged_again("", parameters))


def test_tags_are_short_and_say_verdict_date_and_run(audited):
    result, run = audited
    client = mlflow.MlflowClient()
    tags = client.get_model_version("m", "2").tags
    assert tags.keys() == {"audit.verdict", "audit.date", "audit.run"}
    assert (tags["audit.verdict"], tags["audit.run"]) == ("failed", result.run_id)
    assert f"Audit failed, {tags['audit.date']}." in run.data.tags["mlflow.note.content"]
    assert client.get_registered_model("m").tags == {"audit": "v2 failed"}
    client.set_model_version_tag("m", "1", "audit.verdict", "x" * 4000)
    run_audit(result.config.with_policy(Policy()))
    told = client.get_registered_model("m").tags["audit"]
    assert told == "v2 undecided"  # the other word is somebody else's
    client.delete_model_version_tag("m", "1", "audit.verdict")
