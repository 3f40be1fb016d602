"""The demo tells its two versions apart, and a second run measures nothing again."""

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from audits.models.pt2 import check_archive
from flows.audit import audited
from flows.demo.story import demo

pytestmark = pytest.mark.slow  # trains two networks


@pytest.fixture(scope="module")
def shown(tmp_path_factory, prefect_api, shared_registry):
    folder = tmp_path_factory.mktemp("demo")
    first = demo(folder, audit=audited)
    parts = {file: file.stat().st_mtime_ns for file in (folder / "store").rglob("*.npz")}
    second = demo(folder, audit=audited)
    return folder, first, second, parts


def _metrics(result):
    return {name: m for e in result.evidence for name, m in e.named_estimates.items()}


def test_accuracy_cannot_tell_the_versions_apart_and_the_verdict_can(shown):
    _, ((_, plain), (_, noise)), _, _ = shown
    accuracies = [_metrics(r)["performance/accuracy"].value for r in (plain, noise)]
    assert min(accuracies) > 0.95
    assert abs(accuracies[0] - accuracies[1]) < 0.03
    assert (plain.verdict.word, noise.verdict.word) == ("failed", "passed")
    assert "progressive_fill/accuracy" in plain.verdict.reason
    assert "performance" not in plain.verdict.reason


def test_a_second_run_trains_and_measures_nothing_again(shown):
    folder, first, second, parts = shown
    assert [r.model for _, r in second] == [r.model for _, r in first]
    assert [r.digest for _, r in second] == [r.digest for _, r in first]
    now = {file: file.stat().st_mtime_ns for file in (folder / "store").rglob("*.npz")}
    assert parts == now
    assert len(parts) > 0


def test_the_champion_is_the_version_that_passed(shown):
    _, _, ((_, plain), (_, noise)), _ = shown
    found = mlflow.MlflowClient().get_model_version_by_alias("digits", "champion")
    assert str(found.version) == noise.model.version != plain.model.version


def test_the_run_holds_what_the_tags_promise(shown):
    _, _, ((_, plain), (_, noise)), _ = shown
    client = mlflow.MlflowClient()
    for result in (plain, noise):
        version = client.get_model_version("digits", result.model.version)
        run = client.get_run(version.tags["audit.run"])
        assert version.tags["audit.verdict"] == result.verdict.word
        assert version.tags["audit.date"] in version.description
        assert run.info.status == "FINISHED"
        assert run.info.run_name == f"digits v{result.model.version}"
        assert {a.path for a in client.list_artifacts(run.info.run_id)} >= {
            "contact_sheet.png",
            "strip.png",
            "report.html",
            "evidence.json",
            "audit.yaml",
            "predictions.parquet",
        }
        assert run.inputs.model_inputs[0].model_id == result.model.model_id
        logged = client.get_logged_model(result.model.model_id)
        keys = {metric.key for metric in logged.metrics}
        assert {"performance/accuracy", "progressive_fill/accuracy"} <= keys


def test_the_evidence_is_the_same_when_nothing_has_changed(shown):
    _, first, second, _ = shown
    client = mlflow.MlflowClient()
    for (_, a), (_, b) in zip(first, second, strict=True):
        files = [Path(client.download_artifacts(r.run_id, "evidence.json")) for r in (a, b)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_the_evidence_names_the_archive_that_was_loaded(shown, tmp_path):
    _, first, *_ = shown
    client = mlflow.MlflowClient()
    for _, result in first:
        tags = client.get_model_version("digits", result.model.version).tags
        file = client.download_artifacts(tags["audit.run"], "evidence.json")
        folder = tmp_path / result.model.version
        mlflow.artifacts.download_artifacts(result.model.uri, dst_path=str(folder))
        (archive,) = folder.rglob("model.pt2")
        assert json.loads(Path(file).read_text())["model"]["loaded"] == check_archive(archive)


def test_everything_lies_in_the_one_folder(shown):
    folder, *_ = shown
    assert {path.name for path in folder.iterdir()} == {
        "audit.yaml",
        "mlartifacts",
        "mlflow.db",
        "pictures",
        "store",
    }
    assert {path.name for path in (folder / "pictures").iterdir()} == {
        "digits_v1.png",
        "digits_v2.png",
    }


@pytest.mark.soak
def test_the_demo_needs_no_prefect(shown):
    folder, *_ = shown
    before = {path.name for path in folder.iterdir()}
    code = (
        "import sys\n"
        "from flows.cli import main\n"
        "if __name__ == '__main__':\n"
        "    code = main(['demo', '--folder', sys.argv[1], '--without-prefect'])\n"
        "    print(code, [name for name in sys.modules if name.split('.')[0] == 'prefect'])"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
    assert {path.name for path in folder.iterdir()} == before
