"""A sweep of a registry of everything touches image classifiers alone."""

from pathlib import Path

import described as of
import mlflow
import pytest
import yaml
from commands import commands
from mlflow import MlflowClient
from servers import mlflow_server

from audits import AuditError, parse_config
from audits.workflows.audit import run_audit
from audits.workflows.candidates import candidates
from audits.workflows.sweep import Wanted, sweep_config, versions
from audits.workflows.sweep_summary import audit_due
from flows.sweep import sweep

_CODED = {"flavour": "pytorch", "inputs": of.tensor(-1, 3, 64, 64), "entry": {"code": "code"}}
_CONFIG = {
    "data": {"kind": "digits"},
    "checks": [{"kind": "performance"}],
    "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.0}]},
}


@pytest.fixture
def config(tmp_path):
    return {**_CONFIG, "store": str(tmp_path / "store")}


def _everything():
    """All that a sweep could leave behind in MLflow."""
    client = MlflowClient()
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = [run.info.run_id for run in client.search_runs(experiments)]
    models = [
        (m.name, m.description, dict(m.tags), m.last_updated_timestamp)
        for m in client.search_registered_models()
    ]
    versions = [
        (v.name, v.version, v.description, dict(v.tags), v.last_updated_timestamp)
        for v in client.search_model_versions()
    ]
    return experiments, sorted(runs), models, versions


def _swept(config):
    found = versions(Wanted())
    parsed = sweep_config(config, found)
    return audit_due(parsed, candidates(found, parsed))


def test_what_is_no_image_classifier_is_left_alone_and_counted(registry, config, tmp_path):
    for n, (name, (_, content)) in enumerate(of.FOREIGN.items()):
        of.register(name, of.write(tmp_path / str(n), **content))
    of.register("sklearn", of.write(tmp_path / "second", **of.FOREIGN["sklearn"][1]))
    of.register("coded", of.write(tmp_path / "coded", **_CODED))
    garbled = tmp_path / "garbled"
    garbled.mkdir()
    (garbled / "MLmodel").write_text("]")
    of.register("garbled", garbled)
    before = _everything()
    summary = _swept(config)
    assert _everything() == before
    assert not Path(config["store"]).exists()
    rows = [(row.model, row.done, row.verdict) for row in summary.rows]
    assert rows == [
        ("models:/coded/1", "skipped", "undecided"),
        ("models:/garbled/1", "skipped", "error"),
    ]
    assert "without code of its own" in summary.rows[0].why
    assert str(summary) == (
        "2 versions, 0 audited: 1 undecided, 1 error; left alone: 9 pytorch of other inputs, "
        "4 sklearn, 2 onnx of other inputs, 2 pytorch that gives no classes, 1 langchain, "
        "1 onnx that gives no classes, 1 onnx without a signature, 1 python_function, "
        "1 python_function that gives no classes, 1 pytorch without a signature, 1 spark, "
        "1 transformers (text-generation), 1 transformers without a task, 1 xgboost"
    )
    assert summary.word == "undecided"


@pytest.mark.parametrize("name", ["words", "chain", "tokens", "satellite"])
def test_a_single_audit_of_a_foreign_model_is_one_line_and_records_nothing(
    name, registry, config, tmp_path
):
    of.register(name, of.write(tmp_path / "m", **of.FOREIGN[name][1]))
    before = _everything()
    with pytest.raises(AuditError, match="Expected") as refused:
        run_audit(parse_config({**config, "model": f"models:/{name}/1"}))
    assert "\n" not in str(refused.value)
    assert "copy" not in str(refused.value)  # nobody tried to
    assert _everything() == before


@pytest.fixture
def here():
    with commands() as run:
        yield run


@pytest.fixture
def asked(here, config, tmp_path):
    """Sweeps the whole registry by the command; returns its exit code and stdout."""
    file = tmp_path / "audit.yaml"
    file.write_text(yaml.safe_dump(config))
    return lambda *options: here("sweep", "--config", file, *options)[:2]


def _due(uri):
    return f"{uri}  due  there is no complete audit that can be verified"


def _rows(lines):
    """The rows of a table as text: a line that begins with a space goes on with the row before."""
    rows = []
    for line in lines[2:]:
        if line.startswith(" "):
            rows[-1] += line
        else:
            rows.append(line)
    return [" ".join(row.split()) for row in rows]


@pytest.mark.slow
def test_a_registry_with_nothing_to_audit_is_no_fault(
    registry, asked, config, tmp_path, prefect_api
):
    for name in ("sklearn", "series"):
        of.register(name, of.write(tmp_path / name, **of.FOREIGN[name][1]))
    told = "nothing to audit; left alone: 1 pytorch of other inputs, 1 sklearn\n"
    assert asked("--dry-run") == (0, told)
    assert asked("--without-prefect") == (0, told)
    assert asked() == (0, told)
    assert sweep(config, return_state=True).is_completed()


@pytest.mark.slow
def test_a_sweep_of_one_name_takes_what_others_leave_alone(registry, asked, tmp_path, prefect_api):
    of.register("unsigned", of.write(tmp_path / "m", **of.FOREIGN["unsigned"][1]))
    left = "nothing to audit; left alone: 1 pytorch without a signature\n"
    assert asked("--dry-run") == (0, left)
    code, out = asked("--dry-run", "--name", "unsigned")
    assert (code, [row.rstrip() for row in out.splitlines()[2:]]) == (
        0,
        [_due("models:/unsigned/1")],
    )
    for how in ((), ("--without-prefect",)):
        code, out = asked("--name", "unsigned", *how)
        assert code == 2  # its files cannot be copied
        row = "models:/unsigned/1  UNDECIDED  audited  Expected the files of"
        assert out.splitlines()[2].startswith(row)


@pytest.mark.parametrize("name", ["unsigned", "words", "sklearn"])
def test_a_version_that_passed_is_looked_at_though_it_looks_foreign_now(
    name, registry, asked, tmp_path
):
    """Else whoever changes its files and its MLmodel keeps the verdict for ever."""
    of.register("m", of.write(tmp_path / "m", **of.FOREIGN[name][1]))
    client = MlflowClient()
    client.set_model_version_tag("m", "1", "audit.verdict", "passed")  # of somebody else's
    assert asked("--without-prefect")[0] == 0
    client.set_model_version_tag("m", "1", "audit.run", "a" * 32)
    client.set_model_version_tag("m", "1", "audit.verdict", "undecided")
    assert asked("--without-prefect")[0] == 0
    client.set_model_version_tag("m", "1", "audit.verdict", "passed")
    code, out = asked("--without-prefect")
    assert code == 2
    assert "models:/m/1" in out
    assert "left alone" not in out


def test_a_served_version_that_passed_is_looked_at_whatever_its_tags_say(registry, asked, tmp_path):
    of.register("m", of.write(tmp_path / "m", **of.FOREIGN["sklearn"][1]))
    client = MlflowClient()
    experiment = client.create_experiment("audits")
    client.set_registered_model_alias("m", "production", 1)
    for tags in (
        {"audit.model": "models:/m/1", "audit.verdict": "failed"},
        {"audit.model": "models:/n/1", "audit.verdict": "passed"},
    ):
        client.create_run(experiment, tags=tags)
        code, out = asked("--without-prefect")
        assert (code, "left alone: 1 sklearn" in out) == (0, True)
    client.create_run(experiment, tags={**tags, "audit.model": "models:/m/1"})
    assert asked("--without-prefect")[0] == 2
    client.delete_registered_model_alias("m", "production")
    assert asked("--without-prefect")[0] == 0


@pytest.mark.slow
def test_odd_and_unreachable_versions_do_not_stop_a_sweep(
    registry, asked, config, tmp_path, monkeypatch
):
    pytest.importorskip("boto3", reason="boto3 is not installed; run pip install 'moto[s3]'")
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = MlflowClient()
    for name, place in {"away": "s3://bucket/model", "far": "gs://bucket/model"}.items():
        client.create_registered_model(name)
        client.create_model_version(name, place)
    for name, text in {
        "listed": "metadata: [1]\nflavors: {pytorch: {data: d}}",
        "mixed": "flavors: {1: {}, spark: {}}",
        "numbered": f"flavors: {{transformers: {{task: 0x{'f' * 6_000}}}}}",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text(text)
        of.register(name, tmp_path / name)
    of.register("coded", of.write(tmp_path / "coded", **_CODED))
    expected = {
        "away": "Unable to locate credentials",
        "coded": "without code of its own",
        "far": "google",
        "listed": "Expected a mapping as the model's metadata",
        "mixed": "Expected texts as names of flavours",
        "numbered": "Expected numbers of at most 100 digits",
    }
    code, out = asked("--without-prefect")
    assert code == 2
    *lines, last = out.splitlines()
    assert last == "6 versions, 0 audited: 1 undecided, 5 error"
    for row, (name, reason) in zip(_rows(lines), expected.items(), strict=True):
        word = "UNDECIDED" if name == "coded" else "error"
        assert row.startswith(f"models:/{name}/1 {word} skipped ")
        assert reason in row
    code, out = asked("--dry-run")
    assert code == 2  # as the sweep itself
    for row, (name, reason) in zip(_rows(out.splitlines()), expected.items(), strict=True):
        word = "refused" if name == "coded" else "not known"
        assert row.startswith(f"models:/{name}/1 {word} ")
        assert reason in row
    for name in ("listed", "mixed", "away", "numbered"):
        result = run_audit(parse_config({**config, "model": f"models:/{name}/1"}))
        assert result.verdict.word == "undecided"
        assert "Expected" in result.verdict.reason


@pytest.mark.slow
def test_over_http_mlmodel_is_read_alone(tmp_path, config):
    image = {"flavour": "pytorch", "inputs": of.tensor(-1, 1, 28, 28)}
    with mlflow_server(tmp_path) as server:
        before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
        mlflow.set_tracking_uri(server.url)
        mlflow.set_registry_uri(server.url)
        try:
            client = MlflowClient()
            experiment = client.create_experiment("training")
            for name, content in {"image": image, "spark": of.FOREIGN["spark"][1]}.items():
                folder = of.write(tmp_path / name, **content)
                (folder / "model.bin").unlink()
                (folder / "model.bin").write_bytes(bytes(100))
                run = client.create_run(experiment)
                client.log_artifacts(run.info.run_id, str(folder), "model")
                client.create_registered_model(name)
                client.create_model_version(
                    name, f"{run.info.artifact_uri}/model", run_id=run.info.run_id
                )
                logged = client.create_logged_model(experiment, name="model")
                client.log_model_artifacts(logged.model_id, str(folder))
                client.create_model_version(
                    name, f"models:/{logged.model_id}", model_id=logged.model_id
                )
            found = versions(Wanted())
            parsed = sweep_config(config, found)
            chosen = candidates(found, parsed)
        finally:
            mlflow.set_tracking_uri(before[0])
            mlflow.set_registry_uri(before[1])
        log = (tmp_path / "mlflow.log").read_text()
    assert [one.uri for one in chosen.rows] == ["models:/image/1", "models:/image/2"]
    assert not any(one.unread or one.refused for one in chosen.rows)
    assert chosen.told == "left alone: 2 spark"
    asked = [line for line in log.splitlines() if '"GET' in line and "mlflow-artifacts" in line]
    assert len(asked) == 4
    assert all("/MLmodel " in line for line in asked)
