"""A Prefect server shows an audit's answer, progress and place in MLflow, and who was measured."""

import re
import time

import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import TaskRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings
from simple_nets import logistic

from audits import parse_config
from flows.artifacts import ProgressShown, _key, show
from flows.audit import audit, audited


@pytest.fixture(scope="module")
def config(shared_registry, register, tmp_path_factory):
    """A version 2 that has version 1 as its baseline."""
    for net in (logistic(noise=0.02), logistic()):
        register(net, "a {b}_c")
    return {
        "model": "models:/a {b}_c/2",
        "baseline": "models:/a {b}_c/1",
        "data": {"kind": "digits"},
        "checks": [{"kind": "performance"}, {"kind": "progressive_fill", "images": 20}],
        "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.5}]},
        "store": str(tmp_path_factory.mktemp("store")),
    }


def _task_names():
    with get_client(sync_client=True) as client:
        newest = TaskRunSort.EXPECTED_START_TIME_DESC
        return {run.name for run in client.read_task_runs(sort=newest)}


@pytest.mark.slow
def test_answer_progress_and_models_are_told(prefect_api, config):
    result = audited(parse_config(config))
    key = _key("audit", result.model.uri)
    shown = Artifact.get(key)
    assert shown.data.startswith("Audit passed, in part, ")
    assert "| images named right |" in re.sub(r" +", " ", shown.data)
    assert "](" not in shown.data  # the tracking URI of this test is no page
    assert shown.description == str(result.model)
    assert Artifact.get(key.replace("audit-", "audit-run-")) is None
    for uri in (config["model"], config["baseline"]):
        assert Artifact.get(_key("audit-progress", uri)).data == 100
    wanted = {
        f"{title}: {name}"
        for title in ("a {b}_c v2", "baseline a {b}_c v1")
        for name in ("performance 0", "performance conclusion", "progressive_fill 0")
    }
    deadline = time.monotonic() + 60  # the server learns of task runs a little later
    while missing := wanted - _task_names():
        assert time.monotonic() < deadline, missing
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "name", "kind"),
    [
        ({"policy": {}}, "Undecided", "CANCELLED"),
        (
            {"policy": {"conditions": [{"metric": "performance/accuracy", "min": 1}]}},
            "Failed",
            "FAILED",
        ),
    ],
)
def test_undecided_does_not_look_like_failed(changes, name, kind, prefect_api, config):
    values = {**config, "baseline": None, "checks": [{"kind": "performance"}], **changes}
    state = audit(config["model"], values, return_state=True)
    assert (state.name, state.type.value) == (name, kind)
    assert state.message.startswith("a {b}_c v2: ")
    result = audited(parse_config(values))
    assert result.verdict.word == name.lower()


@pytest.mark.slow
def test_a_server_of_mlflow_is_linked(prefect_api, config):
    result = audited(parse_config({**config, "baseline": None}))
    show(result, "https://me:secret@host/mlflow")
    link = Artifact.get(_key("audit-run", result.model.uri))
    assert f"(https://host/mlflow/{result.page})" in link.data
    answer = Artifact.get(_key("audit", result.model.uri)).data
    assert f"[Report](https://host/mlflow/{result.page}/artifacts/report.html)" in answer
    assert "secret" not in link.data + answer


@pytest.mark.soak
def test_a_server_that_is_away_is_told_and_is_no_error(prefect_api, config, caplog):
    result = audited(parse_config({**config, "baseline": None}))
    caplog.clear()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        show(result, "https://host")
        progress = ProgressShown(result.model.uri, "m v1", 10)
        progress.finished(10)
    told = [line for line in caplog.messages if line.startswith("Prefect does not show the audit")]
    assert len(told) == 2


def test_keys_differ_if_models_do():
    names = [
        "digits/1",
        "digits/2",
        "a_b/1",
        "a-b/1",
        "数字/1",
        "图像/1",
        "A/1",
        "a/1",
        "x" * 999 + "/1",
    ]
    keys = [_key("audit", f"models:/{name}") for name in names]
    assert len(set(keys)) == len(names)
    assert all(re.fullmatch("[a-z0-9-]+", key) for key in keys)
    assert keys[0] == "audit-digits-1"
    assert max(map(len, keys)) < 100
