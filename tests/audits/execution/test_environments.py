"""A model runs with the packages of its own requirements, layered over the auditor's."""

import importlib.metadata
import re
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bubblewrapped import needs_bubblewrap
from simple_nets import logistic

from audits import AuditError, run_audit
from audits.execution import environments
from audits.execution.cell import Cell, Held, held
from audits.execution.worker import Worker

CHECKS = [{"kind": "performance", "images": 10}]
_PACKAGE = "layered_example"


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder of wheels instead of an index; the auditor has release 1.0, the folder 2.0 too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    _wheel(tmp_path, "2.0")
    with zipfile.ZipFile(_wheel(tmp_path, "1.0")) as archive:
        archive.extractall(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    return tmp_path


@pytest.fixture(params=["virtualenv", pytest.param("uv", marks=pytest.mark.slow)])
def kind(request, packages, monkeypatch):
    """Each kind of environment. uv does not look below, and the wheels have none of ours."""
    if request.param == "uv":
        pytest.importorskip("uv", reason="uv is not installed; run pip install uv")
        monkeypatch.setattr(environments, "_ours", list)
    return request.param


def _wheel(folder: Path, release: str) -> Path:
    info = f"{_PACKAGE}-{release}.dist-info"
    file = folder / f"{_PACKAGE}-{release}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{_PACKAGE}.py", f"RELEASE = {release!r}\n")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {_PACKAGE}\nVersion: {release}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            f"{info}/RECORD",
            f"{_PACKAGE}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
        )
    return file


@pytest.mark.slow
def test_the_process_sees_the_models_release_and_the_auditors_other_packages(kind):
    import layered_example

    assert layered_example.RELEASE == "1.0"
    python = environments.built(kind, [f"{_PACKAGE}==2.0"])
    cell = Cell("0", "It runs code.", (), python=python)
    with Worker() as worker:
        found = worker.call(held, seconds=300, cell=cell, gives=Held)
        release = worker.call(importlib.metadata.version, _PACKAGE, seconds=300, cell=cell)
        torch = worker.call(importlib.metadata.version, "torch", seconds=300, cell=cell)
        assert worker.call(importlib.metadata.version, _PACKAGE, seconds=300) == "1.0"
    assert release == "2.0"
    assert torch == importlib.metadata.version("torch")
    assert not list(Path(python.executable).parents[1].rglob("torch"))
    with Worker() as worker:
        plain = worker.call(held, seconds=300, cell=Cell("0", "It runs code.", ()), gives=Held)
    assert found == plain, "the cell holds less in another environment"


@pytest.mark.slow
@needs_bubblewrap
def test_bubblewrap_starts_the_python_of_an_environment(kind):
    python = environments.built(kind, [f"{_PACKAGE}==2.0"])
    cell = Cell("0", "It runs code.", (), python=python, isolation="bubblewrap")
    with Worker() as worker:
        found = worker.call(held, seconds=300, cell=cell, gives=Held)
        assert worker.call(importlib.metadata.version, _PACKAGE, seconds=300, cell=cell) == "2.0"
    assert not found.refused
    assert found.files
    assert found.reading


@pytest.mark.slow
def test_an_environment_is_built_once_and_an_interrupted_one_again(kind, monkeypatch):
    commands = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda c, **v: commands.append(c) or run(c, **v))

    def builds():
        made = sum("venv" in map(str, command) for command in commands)
        commands.clear()
        return made

    lines = [f"{_PACKAGE}==2.0"]
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: environments.built(kind, lines), range(2))
    assert first == second
    assert builds() == 1
    folder = Path(first.executable).parents[1]
    (folder / "finished").unlink()
    (folder / "left").touch()
    environments.built(kind, lines)
    assert builds() == 1
    assert not (folder / "left").exists()


def test_what_the_installer_says_is_one_line_and_a_file(kind, packages):
    with pytest.raises(AuditError) as refused:
        environments.built(kind, [f"{_PACKAGE}==3.0"])
    told = str(refused.value)
    assert "\n" not in told
    wanted = r"layered[-_]example==3\.0"
    assert re.search(f"but: error: .*{wanted}", told, re.IGNORECASE)
    (record,) = (packages / "cache" / "fillblanks" / "environments").glob("*.log")
    assert str(record) in told
    assert re.search(wanted, record.read_text())


def test_the_command_uv_is_named_if_it_is_not_there(packages, monkeypatch):
    monkeypatch.setenv("PATH", str(packages))
    monkeypatch.setattr(sys, "executable", str(packages / "python"))
    with pytest.raises(AuditError, match=r"Expected the command uv .* Run pip install uv, or set"):
        environments.built("uv", [f"{_PACKAGE}==2.0"])


def test_releases_of_mlflow_and_of_this_package_are_ours():
    lines = ["mlflow==3.1", "mlflow-skinny==3.1", "fillblanks==0.0.1", "mlflow-export", "timm"]
    assert environments.wanted(lines) == ["mlflow-export", "timm"]


@pytest.mark.soak
def test_a_model_that_is_trusted_by_name_runs_in_its_environment(config_of, packages, monkeypatch):
    monkeypatch.setenv("FILLBLANKS_TRUST", "m")
    config = config_of(logistic(), CHECKS, environment="virtualenv", trust_pickle_sha256=None)
    result = run_audit(config)
    assert result.evidence[0].status == "ok", result.verdict.reason
    assert any("the packages of its requirements.txt" in note for note in result.notes)
    other = config.model_copy(update={"environment": None})
    assert run_audit(other).inputs_digest != result.inputs_digest


@pytest.mark.slow
def test_a_model_that_is_not_trusted_by_name_gets_no_environment(config_of, packages):
    result = run_audit(config_of(logistic(), CHECKS, environment="virtualenv"))
    assert result.evidence[0].status == "ok"
    assert any("only for a model whose name is trusted" in note for note in result.notes)
    assert not (packages / "cache" / "fillblanks" / "environments").exists()
