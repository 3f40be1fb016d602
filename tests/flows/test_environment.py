"""A user's Prefect server is found wherever Prefect finds it; Prefect is then not silenced."""

import os
import subprocess
import sys

import pytest

from flows.terminal.environment import quieten

_URL = "http://127.0.0.1:9/api"
_PREFECT = (
    "from prefect.settings import get_current_settings\nprint(get_current_settings().api.url)"
)
_PROFILES = f'active = "a"\n[profiles.a]\nPREFECT_API_URL = "{_URL}"\n[profiles.b]\nX = "1"\n'

_NAMED = [
    pytest.param({"PREFECT_API_URL": _URL}, {}, id="variable"),
    pytest.param({"prefect_api_url": _URL}, {}, id="variable in small letters"),
    pytest.param({}, {".env": f"PREFECT_API_URL={_URL}\n"}, id=".env"),
    pytest.param({}, {"prefect.toml": f'[api]\nurl = "{_URL}"\n'}, id="prefect.toml"),
    pytest.param(
        {}, {"pyproject.toml": f'[tool.prefect.api]\nurl = "{_URL}"\n'}, id="pyproject.toml"
    ),
    pytest.param({}, {"home/profiles.toml": _PROFILES}, id="active profile"),
    pytest.param(
        {"PREFECT_PROFILE": "a"},
        {"home/profiles.toml": _PROFILES.replace('active = "a"', 'active = "b"')},
        id="profile of the variable",
    ),
    pytest.param(
        {"PREFECT_PROFILES_PATH": "p.toml"}, {"p.toml": _PROFILES}, id="profiles elsewhere"
    ),
    pytest.param(
        {},
        {"p.toml": _PROFILES, "prefect.toml": 'profiles_path = "p.toml"\n'},
        id="profiles elsewhere by prefect.toml",
    ),
]
_NOT_NAMED = [
    pytest.param({}, {}, id="nothing"),
    pytest.param({"PREFECT_PROFILE": "b"}, {"home/profiles.toml": _PROFILES}, id="other profile"),
    pytest.param({"PREFECT_PROFILE": "ephemeral"}, {}, id="a profile of Prefect's own"),
    pytest.param(
        {}, {"pyproject.toml": "[tool.ruff]\nline-length = 9\n"}, id="other pyproject.toml"
    ),
    pytest.param({}, {".env": "SECRET=1\n"}, id="other .env"),
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A function that sets variables and writes files in a new working folder."""
    for name in list(os.environ):
        if name.upper().startswith("PREFECT_"):
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def placed(variables, files):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        for name, text in files.items():
            (tmp_path / name).write_text(text)

    return placed


@pytest.fixture
def quiet(monkeypatch):
    """A function that runs `quieten`, returns whether Prefect is silenced, and cleans up."""

    def silenced():
        before = dict(os.environ)
        try:
            quieten()
            return os.environ.get("PREFECT_LOGGING_LEVEL") == "CRITICAL"
        finally:
            os.environ.clear()
            os.environ.update(before)

    return silenced


@pytest.mark.parametrize(("variables", "files"), _NAMED)
def test_a_server_that_is_named_is_not_silenced(variables, files, place, quiet):
    place(variables, files)
    assert not quiet()


@pytest.mark.parametrize(("variables", "files"), _NOT_NAMED)
def test_without_a_server_prefect_is_silenced(variables, files, place, quiet):
    place(variables, files)
    assert quiet()


@pytest.mark.parametrize("name", [".env", "prefect.toml", "pyproject.toml", "home/profiles.toml"])
def test_a_file_that_cannot_be_read_silences_nothing(name, place, quiet, tmp_path):
    place({}, {})
    (tmp_path / name).write_bytes(b"\xff\xfe = [")
    assert not quiet()


_EACH_TIME = ("nothing", "active profile", "pyproject.toml")  # the others before a release


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "files", "url"),
    [
        pytest.param(
            *(*param.values, url),
            id=param.id,
            marks=[] if param.id in _EACH_TIME else pytest.mark.soak,
        )
        for params, url in ((_NAMED, _URL), (_NOT_NAMED, "None"))
        for param in params
    ],
)
def test_prefect_itself_finds_the_same_server(variables, files, url, place):
    place(variables, files)
    done = subprocess.run([sys.executable, "-c", _PREFECT], capture_output=True, text=True)
    assert done.stdout == f"{url}\n", done.stderr
