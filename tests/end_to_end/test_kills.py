"""A killed audit goes on to the same evidence, and two audits at once leave one verdict."""

import json
import os
import random
import shutil
from pathlib import Path
from urllib.parse import urlparse

import mlflow
import pytest
import yaml
from kills import Audits

from flows.demo.network import ResNet

pytestmark = pytest.mark.soak

KILLS = int(os.environ.get("FILLBLANKS_KILLS", "1"))  # the last line of `make soak` takes 20


@pytest.fixture(scope="module")
def made(shared_registry, register, tmp_path_factory):
    """Makes audits of some short units, with a store, an experiment and a folder of their own."""
    register(ResNet(), "m")

    def audits(name, prefect):
        folder = tmp_path_factory.mktemp(name)
        values = {
            "model": "models:/m/1",
            "data": {"kind": "digits"},
            "checks": [
                {"kind": "performance"},
                # Few enough for no tuning: tuned plans may differ, and the bytes are compared.
                {"kind": "random_fill", "samples": 1500, "max_draws": 1500, "images": 6},
                {"kind": "progressive_fill", "images": 100},
            ],
            "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.0}]},
            "experiment": name,
            "store": str(folder / "store"),
        }
        (folder / "audit.yaml").write_text(yaml.safe_dump(values))
        audits = Audits(folder, "models:/m/1", folder / "audit.yaml", prefect)
        return audits, folder / "store"

    return audits


@pytest.fixture(scope="module")
def calm(made, prefect_api):
    """An undisturbed audit: its seconds, its evidence, its store."""
    audits, store = made("calm", prefect_api)
    return audits.to_the_end(), _evidence("calm", store), store


def _evidence(experiment, store):
    """evidence.json of the one finished run, without the names of store and experiment."""
    runs = mlflow.search_runs(experiment_names=[experiment], output_format="list")
    assert not [run for run in runs if run.info.status == "RUNNING"]
    (run,) = [run for run in runs if run.info.status == "FINISHED"]
    tags = mlflow.MlflowClient().get_model_version("m", "1")
    assert tags.tags["audit.verdict"] == "passed"
    assert tags.tags["audit.run"] == run.info.run_id
    assert run.info.run_id in tags.description
    assert "Audit passed" in tags.description
    evidence = (_artifacts(run) / "evidence.json").read_bytes()
    return evidence.replace(str(store).encode(), b"").replace(
        json.dumps(experiment).encode(), b'""'
    )


def _told(experiment):
    """Whether the tags of the version hold the verdict of a run of this experiment."""
    if mlflow.get_experiment_by_name(experiment) is None:
        return False
    tags = mlflow.MlflowClient().get_model_version("m", "1").tags
    runs = mlflow.search_runs(experiment_names=[experiment], output_format="list")
    # Two tags, written one after the other: a kill between them leaves one of another audit.
    named = {run.info.run_id: run.info.status for run in runs}
    return named.get(tags["audit.run"]) == "FINISHED" and tags["audit.verdict"] != "running"


def _artifacts(run):
    return Path(urlparse(run.info.artifact_uri).path)


def _parts(store):
    return {part: part.stat().st_mtime_ns for part in store.rglob("*.npz")}


def _resume(audits, store):
    """Runs a killed audit to its end; asserts that no part is written again."""
    kept = _parts(store)
    audits.to_the_end()
    now = _parts(store)
    assert {part: now[part] for part in kept} == kept


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_killed_audit_goes_on_and_comes_to_the_same_bytes(
    kill, made, calm, prefect_api, prefect_database
):
    seconds, evidence, _ = calm
    # Each kill has a random moment in its own share of the audit's time. The last tenth is left
    # out: nearly every second audit would have ended before the kill.
    share = 0.9 * (kill + random.Random(kill).random()) / KILLS
    took: float | None = seconds
    while took is not None:  # a faster machine may end the audit before the kill
        name = f"killed{kill}_{took:.3f}"
        # Every second audit starts its own server.
        audits, store = made(name, prefect_api if kill % 2 else prefect_database)
        moment = share * took
        took = audits.killed_when(lambda elapsed, moment=moment: elapsed > moment)
    if not _told(name):  # otherwise only Prefect was still running
        _resume(audits, store)
    assert _evidence(name, store) == evidence


def test_an_audit_that_was_killed_while_it_was_recorded_is_recorded_once(made, calm, prefect_api):
    _, evidence, whole = calm
    audits, store = made("recorded", prefect_api)
    shutil.copytree(whole, store)  # all is measured and only has to be recorded

    def recording(_):
        if mlflow.get_experiment_by_name("recorded") is None:
            return False
        runs = mlflow.search_runs(experiment_names=["recorded"], output_format="list")
        return any((_artifacts(run) / "evidence.json").exists() for run in runs)

    assert audits.killed_when(recording) is None
    _resume(audits, store)
    assert _evidence("recorded", store) == evidence


def test_of_two_audits_at_once_one_stands_and_the_other_says_so(made, calm, prefect_api):
    _, evidence, _ = calm
    audits, store = made("both", prefect_api)
    processes = [audits.start(), audits.start()]
    told = {process.communicate(timeout=600)[0]: process.returncode for process in processes}
    assert sorted(told.values()) == [0, 2], told
    (loser,) = [text for text, code in told.items() if code == 2]
    assert "has begun meanwhile. Its verdict stands" in loser
    assert "Traceback" not in loser
    assert _evidence("both", store) == evidence
    audits.wait_until_alone()
