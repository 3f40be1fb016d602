"""The check of examples/own_check works in a real audit as an installed package."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from simple_nets import logistic

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "own_check"

AUDIT = """
import json, sys
from audits import read_config, run_audit

result = run_audit(read_config(sys.argv[1]))
found = next(e for e in result.evidence if e.check == "brightness")
figures = {name: [e.value, e.low, e.high, e.n] for name, e in found.estimates.items()}
word, reason = result.verdict.word, result.verdict.reason
print(json.dumps({"word": word, "reason": reason, "figures": figures}))
"""


@pytest.fixture
def installed(tmp_path):
    """A folder for PYTHONPATH in which the package is installed."""
    folder = tmp_path / "site"
    information = folder / "fillblanks_brightness-0.1.0.dist-info"
    information.mkdir(parents=True)
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    (information / "METADATA").write_text(f"Name: {project['name']}\nVersion: 0.1.0\n")
    points = project["entry-points"]["fillblanks.checks"]
    lines = [f"{name} = {target}" for name, target in points.items()]
    (information / "entry_points.txt").write_text("\n".join(["[fillblanks.checks]", *lines]))
    (folder / "brightness.py").write_text((PACKAGE / "brightness.py").read_text())
    return folder


@pytest.mark.slow
def test_a_check_of_another_package_is_audited_and_judged(installed, tmp_path, registry, register):
    uri, _ = register(logistic(), "m")
    config = {
        "model": uri,
        "data": {"kind": "digits"},
        "checks": [{"kind": "brightness", "share": 0.5, "images": 100}],
        "policy": {
            "conditions": [
                {"metric": "brightness/loss", "max": 0.9},
                {"metric": "brightness/accuracy", "min_lift": 0.9},
            ]
        },
        "store": str(tmp_path / "store"),
    }
    file = tmp_path / "audit.yaml"
    file.write_text(json.dumps(config))
    script = tmp_path / "script.py"
    script.write_text(AUDIT)
    environment = {"PYTHONPATH": f"{installed}:{ROOT}", "MLFLOW_TRACKING_URI": registry}
    done = subprocess.run(
        [sys.executable, str(script), str(file)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    figures = found["figures"]
    assert figures.keys() == {
        *("accuracy", "accuracy_null", "accuracy_lift", "loss"),
    }
    value, null, lift = (figures[f"accuracy{end}"][0] for end in ("", "_null", "_lift"))
    assert null == 0.1  # ten images a class
    assert lift == pytest.approx(value - null)
    assert found["word"] == "failed"
    assert "brightness/accuracy_lift >= 0.9: failed" in found["reason"]


@pytest.mark.soak
def test_the_example_can_be_built_installed_and_found(tmp_path):
    # A copy, since a build leaves files beside its sources.
    source = shutil.copytree(PACKAGE, tmp_path / "own_check")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--disable-pip-version-check", "--target", site, source]
    installed = subprocess.run(command, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    code = (
        "from audits import parse_config\n"
        "values = {'model': 'models:/m/1', 'data': {'kind': 'digits'}, "
        "'checks': [{'kind': 'brightness'}]}\n"
        "check = type(parse_config(values).checks[0])\n"
        "print(check.__qualname__, __import__(check.__module__).__file__)"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{site}:{ROOT}"},
    )
    assert found.stdout == f"Brightness {site / 'brightness.py'}\n", found.stderr


def test_the_example_imports_from_the_public_module_alone():
    modules = re.findall(r"^(?:from|import) (\S+)", (PACKAGE / "brightness.py").read_text(), re.M)
    ours = [m for m in modules if m.split(".")[0] in ("audits", "fillblanks", "flows")]
    assert ours == ["audits.plugin"]


def test_the_page_shows_the_example_as_it_is():
    page = (ROOT / "docs" / "adding_a_check.md").read_text()
    assert f"```python\n{(PACKAGE / 'brightness.py').read_text()}```" in page
