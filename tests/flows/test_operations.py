"""Gate, sweep, history and the other commands print their results and end with the right code."""

import json
import logging
import os
import re
from html import unescape
from pathlib import Path

import mlflow
import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings
from simple_nets import logistic

from flows.cli import main

_ROOT = Path(__file__).parents[2]
_PERFORMANCE = {"checks": [{"kind": "performance"}]}
_OPERATION = (_ROOT / "docs" / "operation.md").read_text()


@pytest.fixture
def served(typed, prefect_api):
    """As `typed`, with the tests' Prefect server, since a temporary server takes seconds."""
    return lambda *arguments, **options: typed(*arguments, PREFECT_API_URL=prefect_api, **options)


@pytest.fixture
def here(typed, prefect_api, monkeypatch, capsys):
    """Runs a command in this process; returns exit code, stdout and stderr."""
    for name in ("audits", "flows"):
        for attribute in ("handlers", "propagate", "level"):
            logger = logging.getLogger(name)
            monkeypatch.setattr(logger, attribute, getattr(logger, attribute))
    monkeypatch.setattr("flows.cli.watch", lambda: None)  # or the watcher watches the tests

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert max(map(len, _table_lines(out)), default=0) <= 80
        return code, out, err

    return run


def _table_lines(out):
    """The lines of stdout that belong to tables: addresses, paths and JSON have any length."""
    whole = (
        "/",
        "Run ",
        "In ",
        "To see the run: ",
        "{",
        "passed",
        "failed",
        "undecided",
        "m v1 was audited",
    )
    return [line for line in out.splitlines() if not line.startswith(whole)]


def _policy(least):
    return {"conditions": [{"metric": "performance/accuracy", "min": least}]}


@pytest.mark.soak
def test_the_gate_says_last_which_condition_decided(here, config, tmp_path):
    file, summary = config(**_PERFORMANCE), tmp_path / "summary.md"
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump(_policy(0.99)))
    command = ["gate", "models:/m/1", "--baseline", "models:/m/1", "--config", file]
    command += ["--summary", summary, "--policy", policy]
    code, stdout, stderr = here(*command)
    assert code == 1, stderr
    assert stdout.splitlines()[-1].startswith("failed: performance/accuracy >= 0.99: failed")
    assert "No condition compares with the baseline" in stderr
    assert "The baseline is the model itself" in stderr

    code, stdout, _ = here(*command, "--json")
    decision = json.loads(stdout)
    assert (code, decision["verdict"], decision["reused"]) == (1, "failed", True)
    assert summary.read_text().count("### m v1: failed") == 2


@pytest.mark.slow
def test_a_gate_that_cannot_be_had_is_undecided_in_every_form(here, tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    command = ["gate", "models:/m/9", "--baseline", "models:/m/1", "--summary", summary]
    code, stdout, stderr = here(*command)
    assert code == 2
    assert stdout.startswith("undecided: Expected a model at models:/m/9")
    assert "Expected a model at models:/m/9" in unescape(summary.read_text())
    assert "Traceback" not in stderr

    def torn(*_, **__):
        raise RuntimeError("the cable was cut")

    monkeypatch.setattr("flows.gate.gated", torn)
    command[1] = "models:/m/1"
    code, stdout, stderr = here(*command, "--json")
    decision = json.loads(stdout)
    assert (code, decision["verdict"]) == (2, "undecided")
    assert decision["reason"] == "RuntimeError: the cable was cut"
    assert "the cable was cut" in summary.read_text()
    assert "Traceback" in stderr

    command[-1] = tmp_path / "nowhere" / "summary.md"
    code, stdout, stderr = here(*command, "--json")
    assert (code, json.loads(stdout)["verdict"]) == (2, "undecided")
    assert "Expected a file to write the summary to" in stderr
    assert "Traceback" not in stderr

    command[-1] = tmp_path / "pipe"  # which nobody reads
    os.mkfifo(command[-1])
    code, stdout, stderr = here(*command, "--json")
    assert (code, json.loads(stdout)["verdict"]) == (2, "undecided")
    assert "Expected a file to write the summary to" in stderr

    monkeypatch.undo()  # a disk that is full takes no summary, and the decision is printed
    command[1], command[-1] = "models:/m/9", "/dev/full"
    code, stdout, stderr = here(*command, "--json")
    assert (code, json.loads(stdout)["verdict"]) == (2, "undecided")
    assert stderr.count("No space left on device") == 1


@pytest.mark.soak
def test_an_mlflow_project_runs_the_gate(served, config, tmp_path):
    file = config(policy=_policy(0.999), **_PERFORMANCE)
    parameters = ["-P", "model_uri=models:/m/1", "-P", f"config={file}", "--env-manager", "local"]
    done = served("run", _ROOT, "-e", "gate", *parameters, command=("mlflow",), cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "failed: performance/accuracy >= 0.999" in done.stdout


@pytest.mark.soak
def test_the_github_workflow_of_the_docs_gates_and_promotes(served, register, config, tmp_path):
    (text,) = re.findall(r"```yaml\n(name: audit\n.*?)```", _OPERATION, re.DOTALL)
    steps = yaml.safe_load(text)["jobs"]["gate"]["steps"]
    (gate,) = [step for step in steps if "fillblanks gate" in step.get("run", "")]
    assert gate["env"] == {"VERSION": "${{ inputs.version }}"}
    for net in (logistic(), logistic(noise=4.0), logistic(noise=0.02)):
        register(net, "w")
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("w", "champion", "1")
    config(checks=[{"kind": "performance"}, {"kind": "progressive_fill", "images": 50}])
    conditions = [
        {"metric": "performance/accuracy", "max_drop": 0.03},
        {"metric": "progressive_fill/accuracy", "min_lift": 0.1},
    ]
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({"conditions": conditions}))

    def job(version):
        return served(
            command=("bash", "-e", "-c", gate["run"].replace("models:/digits", "models:/w")),
            cwd=tmp_path,
            VERSION=version,
            GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"),
        )

    assert job("--help").returncode == 2
    worse = job("models:/w/2")
    assert (worse.returncode, worse.stdout.splitlines()[-1][:6]) == (1, "failed"), worse.stderr
    assert client.get_model_version_by_alias("w", "champion").version == 1
    good = job("models:/w/3")
    assert good.returncode == 0, good.stderr
    assert "Promoted, champion: v1 -> v3\n" in good.stdout
    assert client.get_model_version_by_alias("w", "champion").version == 3
    assert re.findall("### (.*)", (tmp_path / "summary.md").read_text())[-2:] == [
        "w v2: failed",
        "w v3: passed",
    ]


@pytest.mark.slow
def test_history_compare_policy_and_prune_print_what_they_found(here, config, tmp_path):
    file = config(policy=_policy(0.0), **_PERFORMANCE)
    assert here("audit", "models:/m/1", "--config", file)[0] == 0

    def printed(*arguments):
        code, stdout, _ = here(*arguments)
        assert code == 0
        return stdout

    newest = json.loads(printed("history", "m", "--json").splitlines()[0])
    assert (newest["verdict"], newest["version"]) == ("passed", "1")
    assert newest["not_covered"].startswith("What the model has learnt was not judged (")
    assert f"  v1       PASSED, in part  {newest['run_id']}" in printed("history", "m")
    code, stdout, stderr = here("history", "m", "--json", "--last", "1")
    assert (code, json.loads(stdout), stderr) == (0, newest, "")
    compared = printed("compare", "models:/m/1", newest["run_id"])
    assert f"b: models:/m/1, PASSED, in part, run {newest['run_id']}\n" in compared
    rows = compared.splitlines()
    figures = rows[rows.index(next(row for row in rows if row.startswith("performance/"))) + 1]
    assert re.match(r"accuracy +[01]\.\d{3} +[01]\.\d{3} +\+0\.000 ", figures)
    code, _, stderr = here("policy", "--from", "models:/m/1")
    assert (code, "covers what the model has learnt, got a verdict passed" in stderr) == (2, True)
    store = yaml.safe_load(file.read_text())["store"]
    assert "2 parts" in printed("prune", "--store", store, "--days", "0")
    code, _, stderr = here("prune", "--store", tmp_path / "nowhere")
    assert (code, "Expected a store at" in stderr) == (2, True)


@pytest.mark.slow
def test_a_sweep_says_what_is_due_and_its_exit_code_is_the_worst_verdict(here, config):
    file = config(policy=_policy(0.999), **_PERFORMANCE)
    code, stdout, _ = here("sweep", "--config", file, "--name", "m", "--dry-run")
    assert (code, "models:/m/1  due  " in stdout) == (0, True)
    code, stdout, stderr = here("sweep", "--config", file, "--name", "m")
    assert code == 1, stderr
    assert stdout.splitlines()[-1] == "1 versions, 1 audited: 1 failed"
    nowhere = {"kind": "npz", "path": "nowhere.npz"}
    file = config(data=nowhere, policy={}, **_PERFORMANCE)
    code, stdout, _ = here("sweep", "--config", file, "--name", "m", "--dry-run")
    assert code == 2
    assert "models:/m/1  not known  Expected a file" in stdout


@pytest.mark.slow
def test_serving_needs_a_prefect_server(told, config):
    file = config(**_PERFORMANCE, policy={})
    with temporary_settings({PREFECT_API_URL: None}):
        code, _, stderr = told("serve", "--config", file, "--cron", "0 3 * * *")
    assert code == 2
    assert "Expected a Prefect server" in stderr


@pytest.mark.slow
def test_show_writes_the_report_of_an_audit_and_an_index_of_the_registry(here, config, tmp_path):
    file = config(policy=_policy(0.0), **_PERFORMANCE)
    assert here("audit", "models:/m/1", "--config", file)[0] == 0
    page, index = tmp_path / "page.html", tmp_path / "index.html"
    code, stdout, _ = here("show", "models:/m/1", "--output", page)
    assert (code, stdout) == (0, f"{page}\n")
    assert "PASSED, IN PART" in page.read_text()
    code, _, stderr = here("show", "models:/m/1", "--output", page)
    assert (code, "found one. Give --force to replace it." in stderr) == (2, True)
    code, stdout, _ = here("show", "--sweep", "--output", index)
    assert (code, stdout) == (0, f"{index}\n")
    assert "performance/accuracy" in index.read_text()

    run_id = mlflow.search_runs(experiment_names=["audits"])["run_id"][0]
    assert here("show", run_id, "--output", page, "--force")[0] == 0
    own = page.read_bytes()
    page.write_bytes(own.replace(b"PASSED", b"FAILED"))
    artifacts = tmp_path / "report.html"
    artifacts.write_bytes(page.read_bytes())
    mlflow.MlflowClient().log_artifact(run_id, str(artifacts))
    code, _, stderr = here("show", run_id, "--output", page, "--force")
    assert (code, "its report.html is not the one that was logged" in stderr) == (2, True)
    mlflow.MlflowClient().delete_tag(run_id, "audit.report_sha256")
    code, _, stderr = here("show", run_id, "--output", page, "--force")
    assert (code, "of an older release" in stderr) == (2, True)
    with pytest.raises(SystemExit, match="2"):
        here("show", "models:/m/1", "--sweep")
