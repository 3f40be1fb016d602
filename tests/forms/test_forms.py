"""Every form in which classifiers are registered is fed right, or ends with one line."""

import importlib.util
import re

import mlflow
import pytest
from forms import table
from forms.owner import owner as trained_owner

from audits import AuditError, parse_config
from audits.data import sources
from audits.execution.executors import InProcess
from audits.execution.worker import Worker
from audits.models import registry
from audits.workflows.evaluate import evaluate

pytestmark = pytest.mark.slow

_CHECKS = [
    {"kind": "input_doctor"},
    {"kind": "performance"},
    {"kind": "random_fill", "samples": 2, "images": 4, "patch_size": 8},
]

# Forms that differ from another one in one line of our code alone are tested before releases.
_BEFORE_RELEASES = {
    "pt2 of [0, 1], range in the config",
    "pt2 of 0-255, range in the config",
    "pt2 of -1..1, whose metadata say 0-1",
    "pt2 with mean and std of 0-255",
    "pt2 with mean and std in the config",
    "pickle without a signature, size in the config",
    "Lightning's autolog",
    "no class names, folders with names",
    "logits in the order of the alphabet, names in the order of the numbers",
    "pt2 of uint8 with channels last",
    "pt2 in double precision",
    "pt2 in bfloat16 that casts its input",
    "pt2 whose example had one row",
    "pt2 of 32x32, wide images, crop in the config",
    "pt2 that gives log-probabilities",
    "pt2 that gives a tuple",
    "pt2 of two classes, one logit as (N,)",
    "pickle by cloudpickle",
    "pickle in half precision",
    "pickle of DataParallel",
    "TorchScript by tracing",
    "ONNX exported by torch's older exporter",
    "ONNX that gives probabilities",
    "ONNX of one image at a time",
    "scikit-learn, classes are names",
    "LightGBM, a booster",
    "transformers, model and image processor",
    "transformers with the labels LABEL_0, LABEL_1, ...",
    "1,000 logits with one name twice, of other classes than the folders",
    "PNGs with a palette",
    "PNGs with an opaque alpha channel",
}


def _marked():
    rest = set(_BEFORE_RELEASES)
    for form in table.FORMS:
        seldom = form.name in rest
        rest.discard(form.name)
        yield pytest.param(form, marks=pytest.mark.soak if seldom else (), id=form.name)
    assert not rest, f"no such forms: {rest}"


@pytest.fixture(scope="module")
def owner():
    return trained_owner()


@pytest.fixture(scope="module")
def worker():
    """One worker for all forms."""
    with Worker() as shared:
        yield shared


@pytest.fixture
def evaluated(shared_registry, worker, tmp_path):
    """Evaluates a registered form on its images, with some lines of config."""

    def run(uri, folder, config):
        values = {
            "model": uri,
            "checks": _CHECKS,
            "device": "cpu",
            "store": str(tmp_path / "store"),
            **config,
            "data": {"path": str(folder), **config["data"]},
        }
        parsed = parse_config(values)
        images = sources.load(parsed.data)
        return evaluate(parsed, registry.resolve(uri), images, worker, InProcess())

    return run


def _told(evaluation):
    """The lines that an audit ends with if it gives no verdict."""
    asked = [question for one in evaluation.evidence for question in one.questions]
    reasons = [one.reason for one in evaluation.evidence if one.status == "error"]
    return [evaluation.refusal, *evaluation.questions, *asked, *reasons]


def _expect_line(pattern, lines):
    found = [line for line in lines if re.search(pattern, line)]
    assert found, lines
    assert all("\n" not in line for line in found)


@pytest.mark.parametrize("form", _marked())
def test_a_form_is_fed_right_or_ends_with_one_line(form, owner, evaluated, tmp_path, monkeypatch):
    if form.package and importlib.util.find_spec(form.package) is None:
        pytest.skip(f"needs {form.package}")
    name = re.sub("[^a-z0-9]+", "-", form.name.lower())
    form.log(owner, name)
    uri = f"models:/{name}/{mlflow.MlflowClient().get_latest_versions(name)[0].version}"
    if form.trusted:
        monkeypatch.setenv("FILLBLANKS_TRUST", name)
    folder = form.write_images(tmp_path / "images")
    without = {"data": form.data}
    config = {**without, **form.config}
    if form.refused:
        _expect_line(form.refused, _ended(evaluated, uri, folder, config))
        return
    if form.asked:
        _expect_line(form.asked, _ended(evaluated, uri, folder, without))
    evaluation = evaluated(uri, folder, config)
    assert [line for line in _told(evaluation) if line] == []
    doctor, performance, fill = evaluation.evidence
    assert doctor.status == performance.status == "ok"
    assert fill.status == form.fills, fill.reason
    predicted = [evaluation.classes[i] for i in performance.images["predicted"]]
    assert predicted == form.predicted(owner)
    classes = {form.shown[label] for label in form.kept}
    assert {evaluation.classes[i] for i in performance.images["label"]} == classes


def _ended(evaluated, uri, folder, config):
    """The lines with which an audit ends; data that are refused end it before the model is seen."""
    try:
        return _told(evaluated(uri, folder, config))
    except AuditError as error:
        return [str(error)]
