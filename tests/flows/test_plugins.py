"""A broken check of another package is bad input, not a model that failed."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def beside(installed):
    """A function that runs `fillblanks` beside a package `other` whose check has this source."""

    def run(source, *arguments):
        path = [os.environ.get("PYTHONPATH"), str(installed("other_check:Own", source))]
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "source", "said"),
    [
        pytest.param(
            *(["schema"], "import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
            marks=pytest.mark.soak,
        ),
        # Python itself would end with code 1, which means that the model failed.
        (["audit", "models:/m/1", "--config", "x"], "raise SystemExit(1)", "SystemExit: 1"),
        pytest.param(
            *(["gate", "models:/m/1"], "from os import nowhere", "ImportError: cannot import name"),
            marks=pytest.mark.soak,
        ),
    ],
)
def test_the_plug_in_is_named_in_one_line(command, source, said, beside):
    done = beside(source, *command)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "Expected the check 'own' of package 'other' 1.0 (other_check:Own) to be importable, got "
        + said
    )
    assert line.endswith(". Mend or uninstall the package.")


@pytest.mark.parametrize("command", [["--help"], ["audit", "--help"], ["prune", "--store"]])
def test_help_and_commands_that_need_no_config_go_on_working(command, beside, tmp_path):
    (tmp_path / "parts").mkdir()
    done = beside("1 / 0", *command, *[tmp_path] * (command[-1] == "--store"))
    assert (done.returncode, done.stderr) == (0, "")
