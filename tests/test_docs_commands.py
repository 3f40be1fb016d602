"""Every command that the pages show is run by a test, here or by the test that a table names."""

import json
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import mlflow
import pytest
import requests
import yaml
from commands import commands
from PIL import Image
from servers import prefect_server
from simple_nets import logistic

from audits.data.sources import Digits, load
from docs import ALL, EACH, INLINE, ROOT
from flows.cli import _parser

# Commands that take too long, start servers, or need a process of their own.
ELSEWHERE = {
    "make demo-photos": "tests/end_to_end/test_demo_photos.py::test_the_reference_reads_the_fills",
    "make demo": "tests/end_to_end/test_demo.py::test_the_champion_is_the_version_that_passed",
    "make test": ".ci/run::make test",
    "mlflow run . -e audit": "tests/flows/test_cli.py::test_an_mlflow_project_runs_the_audit",
    "mlflow run . -e gate": "tests/flows/test_operations.py::test_an_mlflow_project_runs_the_gate",
    "fillblanks serve": (
        "tests/end_to_end/test_automation.py::test_served_deployments_run_and_are_scheduled"
    ),
    "prefect": "tests/test_docs_commands.py::test_deployments_for_a_work_pool_are_run_by_a_worker",
}
_CHECKS = [{"kind": "performance"}, {"kind": "progressive_fill", "images": 60}]
_POLICY = {
    "conditions": [
        {"metric": "performance/accuracy", "min": 0.85},
        {"metric": "progressive_fill/accuracy", "min_lift": 0.1},
    ]
}


def _elsewhere(command):
    """The place of the test that runs a command; None if it is run here."""
    line = shlex.join(command)
    return next((place for start, place in ELSEWHERE.items() if line.startswith(start)), None)


def _of(program):
    return [command for command in EACH if command[0] == program]


def test_the_pages_show_commands_and_each_has_a_test():
    assert len(EACH) > 30
    assert len({command[:2] for command in _of("fillblanks")}) >= 11
    assert {command[0] for command in EACH if _elsewhere(command) is None} == {"fillblanks"}
    for start, place in ELSEWHERE.items():
        assert any(shlex.join(command).startswith(start) for command in EACH), start
        file, name = place.split("::")
        named = f"def {name}(" if file.endswith(".py") else name
        assert named in (ROOT / file).read_text(), place


@pytest.mark.parametrize("command", _of("fillblanks"), ids=shlex.join)
def test_the_command_line_takes_every_command(command):
    _parser().parse_args(_without_redirection(command)[0])


def test_the_text_of_the_pages_names_commands():
    assert len(INLINE) > 20
    assert ("fillblanks", "show", "--sweep", "--output", "index.html") in INLINE
    assert ("make", "docs") in INLINE


@pytest.mark.parametrize("command", [c for c in INLINE if c[0] == "fillblanks"], ids=shlex.join)
def test_the_command_line_takes_every_command_that_the_text_names(command):
    parser, (name, *words) = _parser(), command[1:]
    (commands,) = (a.choices for a in parser._actions if isinstance(a.choices, dict))
    if name == "<command>":  # any of them
        for each in commands:
            with pytest.raises(SystemExit, match=r"^0$"):
                parser.parse_args([each, *words])
    elif any(not word.startswith("-") for word in words):
        parser.parse_args(command[1:])
    else:  # named without its arguments: the command and its options must be there
        assert set(words) <= commands[name]._option_string_actions.keys()


def _targets():
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("command", [c for c in INLINE if c[0] == "make"], ids=shlex.join)
def test_targets_that_the_text_names_exist(command):
    assert {word for word in command[1:] if "=" not in word} <= _targets()


@pytest.mark.parametrize("command", [*_of("make"), *_of("mlflow")], ids=shlex.join)
def test_targets_and_parameters_exist(command):
    if command[0] == "make":
        assert set(command[1:]) <= _targets()
        return
    entries = yaml.safe_load((ROOT / "mlproject").read_text())["entry_points"]
    given = {word.split("=")[0] for flag, word in pairwise(command) if flag == "-P"}
    assert given <= entries[command[command.index("-e") + 1]]["parameters"].keys()


@pytest.fixture(scope="module")
def versions(shared_registry, register, prefect_api):
    """Three versions of `digits`: the first is worse than the others."""
    for net in (logistic(noise=4.0), logistic(), logistic(noise=0.02)):
        register(net, "digits")


@pytest.fixture
def place(versions, tmp_path, monkeypatch):
    """A working folder as the pages expect it."""
    mlflow.MlflowClient().set_registered_model_alias("digits", "champion", "2")
    monkeypatch.chdir(tmp_path)
    digits = load(Digits(split="test"))
    seen = dict.fromkeys(range(10), 0)
    for number, label in enumerate(map(int, digits.labels)):
        if seen[label] < 12:
            file = tmp_path / "photos" / str(label) / f"{seen[label]}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = (digits.tensor([number])[0, 0] * 255).byte().numpy()
            Image.fromarray(pixels).save(file)
            seen[label] += 1
    values = {"data": {"kind": "digits"}, "checks": _CHECKS, "policy": _POLICY}
    (tmp_path / "fillblanks-demo").mkdir()
    (tmp_path / "fillblanks-demo" / "audit.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def _without_redirection(command):
    """The words behind the program's name, and the file that the output goes to, if any."""
    if ">" not in command:
        return list(command[1:]), None
    return list(command[1 : command.index(">")]), Path(command[-1])


def _small(file):
    """Gives a config that was written for minutes checks of seconds, and a policy."""
    values = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**values, "checks": _CHECKS, "policy": _POLICY}))


def _expect_done(words, code, out, err):
    """Nothing was refused: the exit code is that of a verdict, which the last line says."""
    last = out.strip().splitlines()[-1]
    if words[0] in ("audit", "gate") and "--dry-run" not in words:
        verdict = {0: "passed", 1: "failed", 2: "undecided"}[code]
        assert last.startswith(verdict), (out, err)
        assert f"{verdict}: Expected" not in last
    elif words[0] == "sweep" and "--dry-run" not in words:
        assert re.match(r"\d+ versions, \d+ audited", last), (out, err)
        assert " error" not in last, out
    else:
        assert code == 0, (out, err)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    ["README.md", "docs/operation.md", pytest.param("docs/index.md", marks=pytest.mark.soak)],
)
def test_the_commands_of_a_page_do_in_their_order_what_they_are_for(page, place):
    demo = place / "fillblanks-demo" / "audit.yaml"
    with commands() as run:
        if page != "README.md":
            # The pages go on from the demo, whose versions have been audited.
            (place / "audit.yaml").write_text(demo.read_text())
            for version in (1, 2, 3):
                assert run("audit", f"models:/digits/{version}", "--config", demo)[0] < 2
        done = 0
        for command in ALL[ROOT / page]:
            if _elsewhere(command) is not None:
                continue
            words, output = _without_redirection(command)
            code, out, err = run(*words)
            _expect_done(words, code, out, err)
            if output is not None:
                output.write_text(out)
            if words[0] == "init":
                _small(place / "audit.yaml")
            done += 1
        assert done
    assert {shown for shown in ALL if ALL[shown]} == {
        ROOT / name for name in ("README.md", "docs/index.md", "docs/operation.md")
    }


@pytest.mark.soak
def test_deployments_for_a_work_pool_are_run_by_a_worker(place, prefect_database):
    (start, *others) = _of("prefect")
    assert start == ("prefect", "server", "start")
    worker = next(command for command in others if command[1] == "worker")
    with prefect_server(place, prefect_database) as server, commands() as run:
        demo = place / "fillblanks-demo" / "audit.yaml"
        assert run("audit", "models:/digits/2", "--config", demo)[0] == 0
        api = f"{server.url}/api"
        home = str(place / "home")
        environment = {**os.environ, "PREFECT_API_URL": api, "PREFECT_HOME": home}

        def prefect(*arguments):
            done = subprocess.run(
                [sys.executable, "-m", "prefect", *arguments],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=600,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout + done.stderr

        for command in others:
            if command is not worker:
                prefect(*command[1:])
        told = prefect(*worker[1:], "--run-once")  # it takes the run that waits, and ends
        runs = requests.post(f"{api}/flow_runs/filter", json={}, timeout=10).json()
    found = {run["name"]: run["state"]["name"] for run in runs}
    assert found["gate models:/digits/1"] == "Failed", (json.dumps(found), told)
