"""Bad models, failed uploads and killed audits never leave a wrong verdict."""

import json
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from nets import Constant, Crashing, Hanging
from processes import wait_until_gone
from torch import nn

from audits import AuditError, parse_config, run_audit

_PERFORMANCE = {"checks": [{"kind": "performance"}], "policy": {}}


def _tags(version):
    return mlflow.MlflowClient().get_model_version("m", version).tags


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "reason"),
    [(Hanging, "took more than 3 s and was stopped"), (Crashing, "died (exit code 3)")],
)
def test_a_model_that_hangs_or_crashes_is_undecided(net, reason, registry, register, demo_config):
    uri, sha256 = register(net(), "m", pickled=True)
    limits = {"unit_seconds": 3.0}
    result = run_audit(
        parse_config({**demo_config, "model": uri, "trust_pickle_sha256": sha256, "limits": limits})
    )
    assert result.verdict.word == "undecided"
    assert {e.status for e in result.evidence} == {"error"}
    assert reason in result.verdict.reason
    assert _tags("1")["audit.verdict"] == "undecided"


def _linear(classes=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, classes))


class _Normalised(nn.Module):
    """Each answer depends on the whole batch, as after an export in training mode."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(28 * 28, 10)

    def forward(self, x):
        return self.head((x - x.mean(0)).flatten(1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (
            nn.Sequential(_linear(), nn.Sigmoid()),
            "got independent probabilities of several labels (sigmoid)",
        ),
        (_linear(classes=7), "Expected logits of 10 classes, as matched to the data, got 7"),
        (_Normalised(), "same logits for an image alone and in a batch"),
    ],
)
def test_a_model_that_does_not_fit_is_undecided_with_one_line(
    net, reason, registry, register, demo_config
):
    uri, _ = register(net, "m")
    result = run_audit(parse_config({**demo_config, "model": uri}))
    assert result.verdict.word == "undecided"
    assert reason in result.verdict.reason
    assert "\n" not in result.verdict.reason
    run = mlflow.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["audit.reason"] == result.verdict.reason


@pytest.mark.slow
def test_an_upload_that_fails_leaves_no_passed(registry, register, demo_config, tmp_path):
    uri, _ = register(_linear(), "m")
    client = mlflow.MlflowClient()
    client.set_model_version_tag("m", "1", "audit.verdict", "passed")
    client.set_model_version_tag("m", "1", "audit.run", "0" * 32)
    client.update_model_version("m", "1", "Our best model.")
    blocked = tmp_path / "a file, no folder"
    blocked.touch()
    client.create_experiment("audits", artifact_location=(blocked / "artifacts").as_uri())
    conditions = [{"metric": "performance/accuracy", "min": 0.0}]
    config = {**demo_config, "model": uri, "policy": {"conditions": conditions}}
    with pytest.raises(OSError, match="Not a directory"):
        run_audit(parse_config({**config, "checks": [{"kind": "performance"}]}))

    tags = _tags("1")
    assert tags["audit.verdict"] == "undecided"
    (run,) = mlflow.search_runs(experiment_names=["audits"], output_format="list")
    assert run.info.status == "FAILED"
    assert tags["audit.run"] == run.info.run_id
    assert run.data.tags["mlflow.note.content"].startswith("Audit undecided, ")
    assert client.get_registered_model("m").tags["audit"] == "v1 undecided"
    description = client.get_model_version("m", "1").description
    assert description.startswith("Our best model.")
    assert "passed" not in description


@pytest.mark.slow
def test_the_description_keeps_its_words_and_one_block_of_ours(registry, register, demo_config):
    uri, _ = register(_linear(), "m")
    client = mlflow.MlflowClient()
    client.update_model_version("m", "1", "Our best model.")
    config = parse_config({**demo_config, "model": uri, **_PERFORMANCE})
    for _ in range(2):
        run_audit(config)
    description = client.get_model_version("m", "1").description
    assert description.startswith("Our best model.\n\nAudit undecided, ")
    assert description.endswith("\n\n<!-- fillblanks audit -->")
    assert description.count("Audit ") == description.count("<!--") == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "models:/m/9"}, "Expected a model at models:/m/9"),
        ({"model": "models:/m@champion"}, "Expected a model at models:/m@champion"),
        ({"model": "m/1"}, "Expected models:/<name>/<version>"),
        ({"data": {"kind": "npz", "path": "nowhere.npz"}}, "Expected a file at nowhere.npz"),
    ],
)
def test_what_is_not_found_raises_and_records_nothing(
    values, message, registry, register, demo_config
):
    uri, _ = register(_linear(), "m")
    with pytest.raises(AuditError, match=message):
        run_audit(parse_config({**demo_config, "model": uri, **values}))
    assert "audit.verdict" not in _tags("1")
    assert mlflow.get_experiment_by_name("audits") is None


_AUDIT = """
import sys, yaml
from audits import parse_config, run_audit
print(run_audit(parse_config(yaml.safe_load(open(sys.argv[1])))).verdict.word)
"""


@pytest.mark.soak
def test_a_killed_audit_resumes_without_measuring_again(
    registry, register, demo_config, tmp_path: Path
):
    uri, _ = register(Constant(), "m")
    # Six units of one image each, long enough for a kill in the middle.
    check = {"kind": "random_fill", "samples": 64_000, "max_draws": 64_000, "images": 6}
    store = tmp_path / "store"
    config = {**demo_config, "model": uri, "checks": [check], "store": str(store), "policy": {}}
    file, script = tmp_path / "config.json", tmp_path / "audit.py"
    file.write_text(json.dumps(config))
    script.write_text(_AUDIT)
    process = subprocess.Popen([sys.executable, script, file], start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while len(list(store.rglob("*.npz"))) < 3:  # a plan and two units
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    wait_until_gone(process.pid)
    kept = {part: part.stat().st_mtime_ns for part in store.rglob("*.npz")}
    assert 3 <= len(kept) < 7

    subprocess.run([sys.executable, script, file], check=True, timeout=600)
    after = {part: part.stat().st_mtime_ns for part in store.rglob("*.npz")}
    assert {part: after[part] for part in kept} == kept
    assert len(after) == 8  # a plan, six units and the conclusion
    assert _tags("1")["audit.verdict"] == "undecided"
    runs = mlflow.search_runs(experiment_names=["audits"], output_format="list")
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]
