"""Slices go from a manifest in CSV through a whole audit into MLflow, the report and a verdict."""

import json

import mlflow
import pandas as pd
import pytest
from commands import commands
from PIL import Image
from simple_nets import logistic

from audits import AuditError, parse_config, run_audit
from audits.data.sources import Digits, load

HTML = "</td><script>alert(1)</script>"
COLUMN = "camera / <b>ü</b>"


@pytest.fixture
def manifest(tmp_path):
    """120 digits as files, with a column of cameras; those of one camera are all black."""
    digits = load(Digits())
    chosen = digits.sampled_order(0)[:120]
    rows = []
    for number, index in enumerate(chosen.tolist()):
        camera = ["good", HTML, "broken", ""][number % 4] if number < 110 else "rare"
        pixels = (digits.tensor([index])[0, 0].numpy() * 255).round().astype("uint8")
        Image.fromarray(pixels * (camera != "broken")).save(tmp_path / f"{number}.png")
        rows.append({"path": f"{number}.png", "label": int(digits.labels[index]), COLUMN: camera})
    pd.DataFrame(rows).to_csv(tmp_path / "images.csv", index=False)
    return tmp_path / "images.csv"


@pytest.fixture
def config(register, registry, manifest, tmp_path):
    uri, _ = register(logistic(), "digits")
    return {
        "model": uri,
        "data": {"kind": "csv", "path": str(manifest)},
        "checks": [{"kind": "performance", "slices": [COLUMN]}],
        "policy": {
            "conditions": [
                {"metric": "performance/accuracy", "min": 0.4},
                {"metric": "performance/worst_slice_accuracy", "min": 0.5},
                {"metric": "performance/worst_slice_gap", "max": 0.2},
            ]
        },
        "store": str(tmp_path / "store"),
    }


def _file(run, name):
    return mlflow.artifacts.load_text(f"runs:/{run}/{name}")


def _table(run):
    folder = mlflow.artifacts.download_artifacts(f"runs:/{run}/performance_slices.csv")
    return pd.read_csv(folder, index_col="value")


@pytest.mark.slow
def test_a_broken_camera_fails_the_audit_and_is_named(config, manifest, tmp_path):
    result = run_audit(parse_config(config))
    assert result.verdict.word == "failed"
    assert [one.outcome for one in result.verdict.judgements] == ["passed", "failed", "failed"]
    (evidence,) = result.evidence
    assert "'broken' is named right least often" in evidence.sentence
    table = _table(result.run_id)
    assert table["images"].to_dict() == {
        "good": 28,
        HTML: 28,
        "broken": 27,
        "missing": 27,
        "rare": 10,
    }
    assert table.loc["broken", "accuracy"] < 0.3 < table.loc["good", "low"]
    page = _file(result.run_id, "report.html")
    assert HTML not in page
    assert "&lt;/td&gt;&lt;script&gt;alert(1)" in page
    assert "<b>ü</b>" not in page
    recorded = json.loads(_file(result.run_id, "evidence.json"))["checks"][0]
    assert len(recorded["tables"]["slices"]) == 5
    metrics = mlflow.get_run(result.run_id).data.metrics
    assert metrics["performance/worst_slice_gap"] > 0.5

    # Another value in the table is another conclusion from the same measurements.
    frame = pd.read_csv(manifest, keep_default_na=False)
    frame[COLUMN] = frame[COLUMN].replace("rare", "broken")
    frame.to_csv(manifest, index=False)

    before = set((tmp_path / "store").rglob("*.npz"))
    again = run_audit(parse_config(config))
    assert again.inputs_digest != result.inputs_digest
    assert len(set((tmp_path / "store").rglob("*.npz")) - before) == 1  # the conclusion
    assert _table(again.run_id).loc["broken", "images"] == 37

    # So are no slices, and other slices.
    before = set((tmp_path / "store").rglob("*.npz"))
    config["checks"][0] |= {"slices": ["label"]}
    run_audit(parse_config(config))
    assert len(set((tmp_path / "store").rglob("*.npz")) - before) == 1


def test_a_column_that_does_not_exist_is_one_line_and_nothing_is_recorded(config, tmp_path):
    config["checks"][0]["slices"] = ["camera / ü"]
    with pytest.raises(AuditError, match=r"a column 'camera / ü' in images.csv, found none\. Did"):
        run_audit(parse_config(config))
    file = tmp_path / "audit.yaml"
    file.write_text(json.dumps(config))
    with commands() as run:
        code, out, err = run("audit", config["model"], "--config", file)
    assert code == 2
    lines = (out + err).strip().splitlines()
    assert len(lines) == 1
    assert f"Did you mean '{COLUMN}'?" in lines[0]
    assert mlflow.search_experiments(filter_string="name = 'audits'") == []
    tags = mlflow.MlflowClient().get_model_version("digits", "1").tags
    assert not [name for name in tags if name.startswith("audit")]
