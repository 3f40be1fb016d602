"""Audits that are killed at random moments, and what is left of them: nothing but their work."""

import os
import shutil

import mlflow
import pytest
import yaml
from kills import Audits, evidence_bytes, kill_and_resume
from simple_nets import logistic

KILLS = int(os.environ.get("FILLBLANKS_KILLS", "3"))  # `make soak` takes 20


@pytest.fixture
def audit_file(registry, register, tmp_path):
    """Writes a config of many short units; the store is part of it."""
    register(logistic(), "m")

    def written(name):
        folder = tmp_path / name
        folder.mkdir()
        values = {
            "model": "models:/m/1",
            "data": {"kind": "digits"},
            "checks": [
                {"kind": "performance"},
                {"kind": "random_fill", "samples": 64_000, "max_draws": 64_000, "images": 6},
                {"kind": "progressive_fill"},
            ],
            "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.5}]},
            "experiment": name,
            "store": str(folder / "store"),
        }
        (folder / "audit.yaml").write_text(yaml.safe_dump(values))
        return folder

    return written


def test_a_killed_audit_goes_on_and_comes_to_the_same_bytes(audit_file):
    calm, disturbed = audit_file("calm"), audit_file("disturbed")
    seconds = Audits(calm, "models:/m/1", calm / "audit.yaml").to_the_end()
    (disturbed / "store" / "parts").mkdir(parents=True)
    for plan in (calm / "store" / "parts").glob("plan-*"):  # the same, so that bytes can be
        shutil.copy(plan, disturbed / "store" / "parts")
    audits = Audits(disturbed, "models:/m/1", disturbed / "audit.yaml")
    kill_and_resume(audits, disturbed / "store", kills=KILLS, longest=seconds, seed=0)

    (undisturbed,) = evidence_bytes("calm")
    found = {
        evidence.replace(b'"experiment": "disturbed"', b'"experiment": "calm"').replace(
            str(disturbed / "store").encode(), str(calm / "store").encode()
        )
        for evidence in evidence_bytes("disturbed")
    }
    assert found == {undisturbed}
    tags = mlflow.MlflowClient().get_model_version("m", "1").tags
    assert tags["audit.verdict"] == "passed"
