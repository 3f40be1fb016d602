"""Commands end with the right exit code, and bad input is one line on stderr."""

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings

import flows.cli

_ROOT = Path(__file__).parents[2]
_PERFORMANCE = {"checks": [{"kind": "performance"}]}


def _policy(least):
    return {"conditions": [{"metric": "performance/accuracy", "min": least}]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "code", "word"),
    [(_policy(0.0), 0, "passed, in part"), (_policy(0.99), 1, "failed"), ({}, 2, "undecided")],
)
def test_the_exit_code_is_the_verdict(policy, code, word, told, config):
    file = config(policy=policy, **_PERFORMANCE)
    got, stdout, stderr = told("audit", "models:/m/1", "--config", file, "--without-prefect")
    assert got == code, stderr
    first, *_, last = stdout.splitlines()
    assert first.lower() == f"m v1: {word}"
    assert first.split()[2].strip(",").isupper()
    assert last.startswith(f"{word}: ")
    assert "Traceback" not in stderr
    assert "mlflow ui" in stdout


@pytest.mark.slow
@pytest.mark.parametrize("temporary", [pytest.param(False, marks=pytest.mark.soak), True])
def test_a_command_that_is_typed_ends_with_that_code(
    temporary, typed, config, impostors, prefect_api
):
    file = config(policy=_policy(0.99), **_PERFORMANCE)
    # Without a Prefect server the command starts a temporary server, which takes seconds.
    server = {} if temporary else {"PREFECT_API_URL": prefect_api}
    # The command and its processes must not import packages from the working folder.
    done = typed("audit", "models:/m/1", "--config", file, cwd=impostors, **server)
    assert done.returncode == 1, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first == "m v1: FAILED"
    assert last.startswith("failed: ")
    assert "Traceback" not in done.stderr
    assert "without Prefect" not in done.stderr
    assert "mlflow ui" in done.stdout


def test_bad_input_is_one_line_and_not_a_pass(told, config):
    checks = [{"kind": "performance", "b": 1}]
    file = config(checks=checks, policy={})
    code, stdout, stderr = told("audit", "models:/m/1", "--config", file)
    assert (code, stdout) == (2, "")
    (line,) = stderr.splitlines()
    assert "unknown key" in line


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://127.0.0.1:9", "Expected an MLflow server at http://127.0.0.1:9, got no answer"),
        ("sqlite:///nowhere.db", "Expected MLflow's database at"),
    ],
)
def test_a_registry_that_is_not_there_is_one_line(uri, message, told, config, elsewhere, tmp_path):
    file = config(policy={}, **_PERFORMANCE)
    elsewhere(uri)
    code, _, stderr = told("audit", "models:/m/1", "--config", file)
    assert code == 2
    assert message in stderr
    assert len(stderr.splitlines()) == 1
    assert not list(tmp_path.glob("*.db"))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A function that makes a URI MLflow's, and an empty folder the working one, for a test."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()

    def go(uri):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)

    yield go
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["configured", "without"])
def test_data_that_are_not_there_are_one_line(how, told, config, prefect_api):
    nowhere = {"kind": "npz", "path": "nowhere.npz"}
    file = config(data=nowhere, policy={}, **_PERFORMANCE)
    more = ["--without-prefect"] if how == "without" else []
    server = prefect_api if how == "configured" else None
    with temporary_settings({PREFECT_API_URL: server}):
        code, stdout, stderr = told("audit", "models:/m/1", "--config", file, *more)
    assert (code, stdout) == (2, "")
    (line,) = stderr.splitlines()
    assert line.startswith("Expected a file at nowhere.npz")


def test_the_model_of_the_config_is_taken_if_none_is_typed(told, config):
    nowhere = {"kind": "npz", "path": "nowhere.npz"}
    file = config(data=nowhere, policy={}, model="models:/another/7", **_PERFORMANCE)
    code, _, stderr = told("audit", "--config", file, "--dry-run")
    assert code == 2
    assert "another" in stderr
    code, _, stderr = told("audit", "models:/typed/7", "--config", file, "--dry-run")
    assert "typed" in stderr
    assert "another" not in stderr


@pytest.mark.slow
def test_a_dry_run_counts_passes_and_records_nothing(told, config):
    file = config()
    code, stdout, stderr = told("audit", "models:/m/latest", "--config", file, "--dry-run")
    assert code == 0, stderr
    assert "random_fill: 50 images in 1 unit, 1,600 to 6,400 passes\n" in stdout
    assert "needs gradients; pictures: image, masked, update, prototype" in stdout
    assert "needs predictions; pictures: none" in stdout
    assert f"{450 + 50 * (16 + 16) + 450 * (4 + 2):,} to " in stdout
    assert not list(Path(yaml.safe_load(file.read_text())["store"]).rglob("*.npz"))


def test_the_schema_is_a_json_schema_that_names_every_check(capsys):
    assert flows.cli.main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["type"] == "object"
    kinds = {d.get("properties", {}).get("kind", {}).get("const") for d in schema["$defs"].values()}
    assert {"performance", "random_fill", "progressive_fill", "digits", "folder"} <= kinds


def test_help_does_not_load_what_it_does_not_need():
    code = (
        "import sys, contextlib\n"
        "from flows.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print({'torch', 'mlflow', 'prefect', 'pandas', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage: fillblanks" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.soak
def test_no_process_loads_what_only_another_one_needs():
    code = (
        "import sys\n"
        "import audits.tracking.history\n"
        "print({'torch', 'sklearn', 'scipy.stats'} & set(sys.modules))\n"
        "import audits.execution.child\n"
        "print({'torchvision', 'matplotlib'} & set(sys.modules))\n"
        "import audits.workflows.audit\n"
        "print({'torch._dynamo', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-3:] == ["set()", "set()", "set()"]


def test_a_package_that_is_not_installed_is_named_in_one_line():
    code = (
        "import sys\n"
        "sys.modules['pydantic'] = None  # as if it were not installed\n"
        "from flows.cli import main\n"
        "sys.exit(main(['schema']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Expected the package pydantic to be installed, found none. Run "
        "pip install 'fillblanks[audit]'.\n"
    )


@pytest.mark.soak  # test_operations.py has a project that runs the gate
def test_an_mlflow_project_runs_the_audit(typed, config, tmp_path, prefect_api):
    file = config(policy=_policy(0.0), **_PERFORMANCE)
    parameters = ["-P", "model_uri=models:/m/1", "-P", f"config={file}", "--env-manager", "local"]
    done = typed(
        *("run", _ROOT, "-e", "audit", *parameters),
        command=("mlflow",),
        cwd=tmp_path,
        PREFECT_API_URL=prefect_api,
    )
    assert done.returncode == 0, done.stderr
    assert "m v1: PASSED, in part\n" in done.stdout
