"""Every name that MLflow accepts is found by a sweep, audited, and found again by each command."""

import json
import os
import unicodedata
from types import SimpleNamespace

import pytest
import yaml
from commands import commands
from mlflow import MlflowClient
from simple_nets import logistic

from audits.models.registry import resolve

pytestmark = pytest.mark.slow  # an audit of each name

NAMES = [
    "someone@example.org",
    "a@b@c",
    "both ' and \"",
    "'",
    "back\\",
    unicodedata.normalize("NFC", "café"),
    unicodedata.normalize("NFD", "café"),
    "v1.2.3",
    " spaces at both ends ",
    "100 %",
    "%20",
    "a+b",
    "a#b",
    "a?b=c",
    "a_b",
    "axb",
    "latest",
    "m-" + "0" * 32,
    "1",
    "日本語 🙂",
    "[a]*",
    "x" * 250,
]


@pytest.fixture(scope="module")
def named(shared_registry, register, tmp_path_factory):
    """Registers a model under every name and sweeps them all at once.

    Gives the config's file, the answers of a dry run for each name before, and the sweep's lines.
    """
    source = resolve(register(logistic(), "plain")[0])
    client = MlflowClient()
    for name in NAMES:
        client.create_registered_model(name)
        client.create_model_version(name, f"models:/{source.model_id}")
        client.set_registered_model_alias(name, "champion", "1")
    file = tmp_path_factory.mktemp("named") / "audit.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "data": {"kind": "digits"},
                "checks": [{"kind": "performance"}],
                "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.0}]},
                "store": str(file.parent / "store"),
            }
        )
    )
    with commands() as run:
        os.environ["COLUMNS"] = "40"  # then each cell has lines of its own, also a long one
        dry = {n: run("sweep", "--config", file, "--name", n, "--dry-run")[:2] for n in NAMES}
        code, out, _ = run("sweep", "--config", file, "--without-prefect")
    n = len(NAMES) + 1
    last = out.splitlines()[-1]
    assert (code, last) == (0, f"{n} versions, {n} audited: {n} passed in part")
    return SimpleNamespace(file=file, dry=dry, swept=out)


def _joined(text):
    """Without the blanks at which a narrow table breaks its lines."""
    return "".join(text.split())


@pytest.fixture
def here():
    with commands() as run:
        yield run


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_that_mlflow_accepts_is_swept_and_shown(name, named, here):
    uri = f"models:/{name}/1"
    code, out = named.dry[name]
    told = f"version: {uri} due why: there is no complete audit that can be verified"
    assert (code, _joined(out)) == (0, _joined(told))
    swept = f"version: {uri} verdict: passed, in part audited why:"
    assert _joined(named.swept).lower().count(_joined(swept).lower()) == 1
    code, out, _ = here("sweep", "--config", named.file, "--name", name, "--without-prefect")
    assert code == 0
    assert out.splitlines()[-1] == "1 versions, 0 audited: 1 passed in part"
    code, out, _ = here("history", name, "--json")
    (entry,) = map(json.loads, out.splitlines())
    assert (code, entry["verdict"], entry["version"]) == (0, "passed", "1")
    assert entry["aliases"] == ["champion"]
    champion = f"models:/{name}@champion"
    code, out, _ = here("gate", champion, "--config", named.file, "--without-prefect")
    assert code == 0
    assert f"{name.strip()} v1 was audited before; nothing was measured." in out
    code, out, err = here("policy", "--from", champion)
    assert (code, out) == (2, "")  # the audit is found, and covers a part alone
    assert "the config has no check of it" in err
    tags = MlflowClient().get_model_version(name, "1").tags
    assert tags["audit.verdict"] == "passed"
