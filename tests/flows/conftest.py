"""Fixtures of the command line: what is typed, and the config it names."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.demo.network import ResNet


@pytest.fixture(scope="module")
def typed(tmp_path_factory, shared_registry, register):
    """A function that runs `fillblanks ...` against a registry with an untrained model."""
    register(ResNet(), "m")
    home = tmp_path_factory.mktemp("home")
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
            # Where the tests run in the background, SIGINT is ignored, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        if not wait:
            return process
        stdout, stderr = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    return run


@pytest.fixture
def config(demo_config, tmp_path):
    """Writes the demo's config with changes to a file; returns its path."""

    def written(**changes):
        file = tmp_path / "audit.yaml"
        file.write_text(yaml.safe_dump({**demo_config, **changes}))
        return file

    return written
