"""Notes about model and data are printed once, whatever a command does with them."""

import re

import pytest
import yaml
from commands import commands
from simple_nets import logistic

_CONFIG = {
    "data": {"kind": "digits"},
    "checks": [{"kind": "performance"}],
}


@pytest.fixture
def config(shared_registry, register, tmp_path):
    for _ in range(2):
        register(logistic(), "noted")
    file = tmp_path / "audit.yaml"
    file.write_text(yaml.safe_dump({**_CONFIG, "store": str(tmp_path / "store")}))
    policy = {"conditions": [{"metric": "performance/accuracy", "max_drop": 0.5}]}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    return file


@pytest.mark.slow
def test_a_note_is_printed_once_by_a_dry_run_and_by_a_gate(config):
    old, new = "models:/noted/1", "models:/noted/2"
    policy = config.parent / "policy.yaml"
    gate = ("gate", new, "--baseline", old, "--config", config, "--policy", policy)
    with commands() as run:
        code, out, err = run("audit", old, "--config", config, "--dry-run")
        notes = re.findall(r"^note +(.+)$", out, re.MULTILINE)
        assert code == 0, err
        assert notes, out
        assert len(notes) == len(set(notes))
        assert not any(note in err for note in notes)
        code, out, err = run(*gate, "--without-prefect")
    told = [(out + err).count(note) for note in notes]
    # A note about both models is told for the first of them; a plan has notes only if it measures.
    assert set(told) <= {0, 1}, (told, out, err)
    assert 1 in told, (notes, out, err)
