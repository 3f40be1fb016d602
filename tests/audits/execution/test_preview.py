"""A preview reports the plan and the cost of an audit, and records nothing."""

from pathlib import Path

import mlflow
import planned_nets
import pytest
import simple_nets

from audits import AuditError
from audits.workflows.preview import preview

PERFORMANCE, FILL = {"kind": "performance"}, {"kind": "random_fill"}
FEW = {**FILL, "images": 20, "samples": 8}
MANY = {**FILL, "samples": 90}  # on 450 images, just enough passes to be tuned


def _files(folder):
    """The time at which each file of a store was written, by name."""
    return {file.name: file.stat().st_mtime_ns for file in Path(folder).rglob("*.npz")}


def test_a_preview_tells_plan_and_cost_and_records_nothing(config_of):
    config = config_of(
        planned_nets.Linear(), [PERFORMANCE, FEW], engine={"chunk": 16}, experiment="previewed"
    )
    lines = dict(line.split(maxsplit=1) for line in preview(config).splitlines())
    assert lines["plan"].startswith("full, contiguous; 16 images in a pass, ")
    assert lines["left"].startswith("770 to 1,730 passes, about ")
    assert lines["left"].endswith(" GiB of memory")
    assert mlflow.get_experiment_by_name("previewed") is None
    version = config.model.rsplit("/", 1)[1]
    assert mlflow.MlflowClient().get_model_version("m", version).tags == {}
    assert _files(config.store) == {}


RUNS = "a model that runs, but"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "check", "message"),
    [
        (RuntimeError("It broke.\nBadly."), FEW, f"{RUNS} RuntimeError: It broke"),
        (RuntimeError("It broke.\nBadly."), MANY, f"{RUNS} RuntimeError: It broke"),
        (ValueError("It broke.\nBadly."), FEW, f"{RUNS} ValueError: It broke"),
        (None, FEW, r"it took more than 8 s and was stopped"),
    ],
    ids=["raises", "raises in tuning", "raises ValueError", "hangs"],
)
def test_a_preview_of_a_model_that_does_not_run_says_so_in_one_line(
    error, check, message, config_of
):
    config = config_of(
        planned_nets.Broken(error), [check], limits={"unit_seconds": 1.0, "load_seconds": 8.0}
    )
    with pytest.raises(AuditError, match=message) as refused:
        preview(config)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_preview_tries_neighbours_of_the_contract_whether_or_not_a_check_does(config_of):
    config = config_of(simple_nets.logistic(), [PERFORMANCE])
    table = [line for line in preview(config).splitlines() if line.startswith("doctor ")]
    assert table[0].split() == ["doctor", "fed", "as", "accuracy", "gain", "confidence", "cure"]
    assert table[1].startswith("doctor  as configured ")
    assert any(line.startswith("doctor  inverted ") for line in table)
    assert table[-1].endswith(" other ways of feeding it is clearly better.")
    assert _files(config.store) == {}

    wrong = {"preprocessing": {"mean": [0.9], "std": [0.35]}}
    config = config_of(simple_nets.logistic(), [{"kind": "input_doctor", "images": 200}], **wrong)
    told = preview(config)
    assert "doctor  Accuracy is 0." in told
    assert "(200 images, " in told
