"""Trust comes from the auditor's own settings, which nobody else can write."""

import os

import mlflow
import pytest

from audits.errors import AuditError
from audits.models import trust as trusting
from audits.models.registry import Resolved
from audits.models.trust import Trust, trust_in

SHA256 = "ab" * 32


def _version(name):
    return Resolved(f"models:/{name}/3", name, "3", None)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Writes the settings file that FILLBLANKS_SETTINGS names."""
    monkeypatch.delenv(trusting.NAMES, raising=False)
    file = tmp_path / "settings.yaml"
    monkeypatch.setenv(trusting.SETTINGS, str(file))

    def write(text, mode=0o600):
        file.write_text(text)
        file.chmod(mode)
        return file

    return write


@pytest.mark.parametrize(
    ("listed", "name", "trusted"),
    [
        ("digits", "digits", True),
        ("digits", "digits2", False),
        ("digits", "my-digits", False),
        ("digits", "Digits", False),
        ("vision-*", "vision-birds", True),
        ("vision-*", "television-birds", False),
        ("prod.*.digits", "prod.eu.digits", True),
    ],
)
def test_a_pattern_is_for_the_whole_name(listed, name, trusted, settings):
    settings(f"trust: {{models: ['{listed}']}}")
    assert trust_in(_version(name)).by_name is trusted


def test_the_environment_trusts_names_too(settings, monkeypatch):
    settings("trust: {models: [other]}")
    monkeypatch.setenv(trusting.NAMES, "digits, vision-*,")
    assert [trust_in(_version(n)).by_name for n in ("digits", "vision-1", "other", "x")] == [
        *(True, True, True, False)
    ]


def test_without_settings_nothing_is_trusted(monkeypatch, tmp_path):
    for name in (trusting.SETTINGS, trusting.NAMES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert trust_in(_version("digits")) == Trust("models:/digits/3", "digits")
    folder = tmp_path / "fillblanks"
    folder.mkdir()
    (folder / "settings.yaml").write_text("trust: {models: [digits]}")
    (folder / "settings.yaml").chmod(0o600)
    assert trust_in(_version("digits")).by_name


def test_a_logged_model_is_never_trusted_by_the_name_that_its_logger_chose(settings):
    settings(f"trust: {{models: ['*'], sha256: ['{SHA256}']}}")
    logged = Resolved("models:/m-" + "0" * 32, "digits", None, "m-" + "0" * 32)
    found = trust_in(logged)
    assert not found.by_name
    assert found.name is None
    assert found.covers(SHA256)
    assert not found.covers("cd" * 32)


def test_digests_of_the_settings_and_of_the_config_are_both_trusted(settings):
    settings(f"trust: {{sha256: ['{SHA256}']}}")
    found = trust_in(_version("digits"), ["cd" * 32])
    assert found.covers(SHA256)
    assert found.covers("cd" * 32)
    assert not found.by_name


@pytest.mark.parametrize(
    ("place", "uri", "trusted"),
    [
        ("https://ours", "https://ours", True),
        ("https://ours/", "https://ours/mlflow", True),
        ("https://ours", "https://ours.evil.com", False),
        ("https://ours", "https://ours@evil.com", False),
        ("https://ours", "https://evil.com/https://ours", False),
        ("https://ours/a", "https://ours/ab", False),
    ],
)
def test_a_name_may_be_trusted_in_one_registry_alone(place, uri, trusted, settings, monkeypatch):
    settings(f"trust: {{models: [{{name: digits, registry: '{place}'}}]}}")
    before = mlflow.get_registry_uri()
    mlflow.set_registry_uri(uri)
    try:
        assert trust_in(_version("digits")).by_name is trusted
    finally:
        mlflow.set_registry_uri(before)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_settings_that_others_can_write_are_refused_in_one_line(mode, settings):
    settings("trust: {models: [digits]}", mode)
    with pytest.raises(AuditError, match=rf"nobody else can write, .* mode {mode:o}\. Run chmod"):
        trust_in(_version("digits"))


def test_settings_of_another_user_are_refused(settings):
    file = settings("trust: {models: [digits]}")
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(file, 12345, -1)
    with pytest.raises(AuditError, match="Expected settings that are yours"):
        trust_in(_version("digits"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("trust: [digits]", "trust"),
        ("trust: {model: [digits]}", "trust.model"),
        ("trust: {sha256: [abc]}", "trust.sha256.0"),
        ("trust: {models: digits}", "trust.models"),
        ("trust: {models: ['']}", "trust.models.0"),
        ("- trust", "its content"),
        ("trust: {models: [", "Expected YAML"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(text, told, settings):
    file = settings(text)
    with pytest.raises(AuditError) as refused:
        trust_in(_version("digits"))
    assert told in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_settings_file_that_is_named_and_not_there_is_told(settings, tmp_path):
    with pytest.raises(AuditError, match="Expected the file that FILLBLANKS_SETTINGS names"):
        trust_in(_version("digits"))
    settings("")
    assert not trust_in(_version("digits")).by_name
