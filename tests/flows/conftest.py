"""Fixtures for the tests of flows: commands as typed, configs, and packages of others."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bad_places import QUOTES, Place, model_files
from mlflow import MlflowClient

import flows.cli
from flows.demo.network import ResNet


@pytest.fixture(scope="module")
def untrained(shared_registry, register):
    """A registry with an untrained model `m`."""
    register(ResNet(), "m")


@pytest.fixture(scope="module")
def typed(tmp_path_factory, untrained, prefect_database):
    """A function that runs `fillblanks ...` against a registry with an untrained model."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(prefect_database, home)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment["PREFECT_HOME"] = str(home)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"

    def run(*arguments, command=("fillblanks",), cwd=home, wait=True, **changes):
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            env={**environment, **changes},
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # If the tests run in the background, SIGINT is ignored, and children inherit this.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        if not wait:
            return process
        stdout, stderr = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    return run


@pytest.fixture
def told(untrained, capfd):
    """A function that runs a command in this process; returns its exit code, stdout and stderr.

    A Python of its own, as `typed` starts, takes seconds for its imports.
    """
    variables = dict(os.environ)

    def run(*arguments):
        capfd.readouterr()
        code = flows.cli.main([str(argument) for argument in arguments])
        return (code, *capfd.readouterr())

    yield run
    os.environ.clear()  # commands set variables
    os.environ.update(variables)


@pytest.fixture
def config(demo_config, tmp_path):
    """Writes the demo's config with changes to a file; returns its path."""

    def written(file="audit.yaml", **changes):
        file = tmp_path / file
        file.write_text(yaml.safe_dump({**demo_config, **changes}))
        return file

    return written


@pytest.fixture
def impostors(tmp_path):
    """A folder of packages with our names and Prefect's, which cannot be imported."""
    for name in ("fillblanks", "audits", "flows", "prefect"):
        package = tmp_path / "impostors" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise SystemExit('the wrong package')")
    return tmp_path / "impostors"


@pytest.fixture
def installed(tmp_path):
    """A function that installs a package `other` whose check is `target`; returns its folder."""

    def install(target, source=""):
        info = tmp_path / "site" / "other-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[fillblanks.checks]\nown = {target}\n")
        (tmp_path / "site" / "other_check.py").write_text(source)
        return tmp_path / "site"

    return install


@pytest.fixture(scope="module")
def models(shared_registry, tmp_path_factory):
    """Registers a model by two names; one of the names has both kinds of quotes."""
    source = model_files(tmp_path_factory.mktemp("model") / "m").as_uri()
    client = MlflowClient()
    for name in ("m", QUOTES):
        client.create_registered_model(name)
        client.create_model_version(name, source=source)


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Place(folder)


@pytest.fixture
def refused(place, capfd):
    """A function that runs a command, which must end with 2 and one line; returns the line."""
    variables = dict(os.environ)

    def run(arguments):
        before = place.files()
        capfd.readouterr()
        assert flows.cli.main([str(argument) for argument in arguments]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert "Traceback" not in line
        assert place.files() == before
        return line

    yield run
    os.environ.clear()  # commands set variables
    os.environ.update(variables)
