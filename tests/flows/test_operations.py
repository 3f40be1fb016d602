"""Gate, sweep, history and the others as they are typed; the Prefect server is shared."""

import json
from pathlib import Path

import pytest
import yaml
from prefect.settings import get_current_settings

from flows.cli import main

_ROOT = Path(__file__).parents[2]
_PERFORMANCE = {"checks": [{"kind": "performance"}]}


@pytest.fixture
def served(typed, prefect_server):
    """As `typed`, with the tests' Prefect server: a temporary one takes its time."""
    url = get_current_settings().api.url
    return lambda *arguments, **options: typed(*arguments, PREFECT_API_URL=url, **options)


def _policy(least):
    return {"conditions": [{"metric": "performance/accuracy", "min": least}]}


def test_the_gate_says_last_which_condition_decided(served, config, tmp_path):
    file, summary = config(**_PERFORMANCE), tmp_path / "summary.md"
    options = ["--baseline", "models:/m/1", "--config", file, "--summary", summary]
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump(_policy(0.99)))
    done = served("gate", "models:/m/1", *options, "--policy", policy)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1].startswith("failed: performance/accuracy >= 0.99: failed")
    assert "No condition compares with the baseline" in done.stderr
    assert "The baseline is the model itself" in done.stderr

    again = served("gate", "models:/m/1", *options, "--policy", policy, "--json")
    decision = json.loads(again.stdout)
    assert (again.returncode, decision["verdict"], decision["reused"]) == (1, "failed", True)
    assert summary.read_text().count("### m v1: failed") == 2


def test_a_gate_that_cannot_be_had_is_undecided_in_every_form(served, tmp_path):
    summary = tmp_path / "summary.md"
    done = served("gate", "models:/m/9", "--baseline", "models:/m/1", "--summary", summary)
    assert done.returncode == 2
    assert done.stdout.startswith("undecided: Expected a model at models:/m/9")
    assert "Expected a model at models:/m/9" in summary.read_text()
    assert "Traceback" not in done.stderr
    told = served("gate", "models:/m/9", "--baseline", "models:/m/1", "--json").stdout
    assert json.loads(told)["verdict"] == "undecided"


def test_an_mlflow_project_runs_the_gate(served, config, tmp_path):
    file = config(policy=_policy(0.0), **_PERFORMANCE)
    parameters = ["-P", "model_uri=models:/m/1", "-P", f"config={file}", "--env-manager", "local"]
    done = served("run", _ROOT, "-e", "gate", *parameters, command=("mlflow",), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "passed: performance/accuracy >= 0" in done.stdout
    file = config(policy=_policy(0.999), **_PERFORMANCE)
    done = served("run", _ROOT, "-e", "gate", *parameters, command=("mlflow",), cwd=tmp_path)
    assert done.returncode == 1, done.stderr


def test_history_compare_policy_and_prune_print_what_they_found(served, config, tmp_path, capsys):
    file = config(policy=_policy(0.0), **_PERFORMANCE)
    assert served("audit", "models:/m/1", "--config", file).returncode == 0

    def printed(*arguments):
        assert main(list(map(str, arguments))) == 0
        return capsys.readouterr().out

    newest = json.loads(printed("history", "m", "--json").splitlines()[0])
    assert (newest["verdict"], newest["version"]) == ("passed", "1")
    assert "v1: passed" in printed("history", "m")
    assert "performance/accuracy" in printed("compare", "models:/m/1", newest["run_id"])
    assert yaml.safe_load(printed("policy", "--from", "models:/m/1"))["conditions"]
    store = yaml.safe_load(file.read_text())["store"]
    assert "2 parts" in printed("prune", "--store", store, "--days", "0")
    assert main(["prune", "--store", str(tmp_path / "nowhere")]) == 2
    assert "Expected a store at" in capsys.readouterr().err


def test_a_sweep_says_what_is_due_and_its_exit_code_is_the_worst_verdict(served, config):
    file = config(policy=_policy(0.999), **_PERFORMANCE)
    dry = served("sweep", "--config", file, "--name", "m", "--dry-run")
    assert (dry.returncode, "models:/m/1: due" in dry.stdout) == (0, True)
    done = served("sweep", "--config", file, "--name", "m")
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == "1 versions, 1 audited: 1 failed"


def test_serving_needs_a_prefect_server(typed, config):
    done = typed("serve", "--config", config(**_PERFORMANCE, policy={}), "--cron", "0 3 * * *")
    assert done.returncode == 2
    assert "Expected a Prefect server" in done.stderr
