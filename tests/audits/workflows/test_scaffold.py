"""The config that is written for a model fits it, can be read, and can be audited."""

import re

import mlflow
import numpy as np
import pytest
import simple_nets
import yaml
from PIL import Image

from audits import parse_config, read_config, run_audit
from audits.config.policy import Condition
from audits.config.reading import parse_checks
from audits.data.sources import Digits, load
from audits.errors import AuditError
from audits.models import registry
from audits.verdict.coverage import not_covered
from audits.workflows.scaffold import _flow, _policy, enough_passes, scaffold, sized


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 60 test digits as image files."""
    folder, digits = tmp_path_factory.mktemp("photos"), load(Digits())
    for index in digits.sampled_order(0)[:60].tolist():
        file = folder / digits.classes[digits.labels[index]] / f"{index}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(digits.read(index).array).save(file)
    return folder


@pytest.mark.slow
def test_the_config_that_is_written_can_be_audited(photos, shared_registry, register, tmp_path):
    uri, _ = register(simple_nets.logistic(), "scaffolded")
    text, refusal = scaffold(uri, str(photos), minutes=0.02)
    assert refusal == ""
    assert re.search(r"#  mean: \[0\.3\] +# the model's metadata", text)
    assert re.search(r"#  size: \[28, 28\] +# the signature", text)
    assert "# input_doctor: The model names " in text
    file = tmp_path / "audit.yaml"
    file.write_text(text)
    config = read_config(file, store=str(tmp_path / "store"))
    assert config.checks[0].kind == "input_doctor"
    assert {check.kind for check in config.checks} > {"performance", "progressive_fill"}
    result = run_audit(config)
    assert {evidence.status for evidence in result.evidence} == {"ok"}
    assert result.verdict.word == "passed"
    assert not [note for note in result.notes if "input_doctor" in note]

    plain = yaml.safe_load(text) | {"checks": [{"kind": "performance"}], "policy": {}}
    file.write_text(yaml.safe_dump(plain))
    notes = run_audit(read_config(file, store=str(tmp_path / "store"))).notes
    assert [note for note in notes if note.startswith("No input_doctor among the checks: ")]


@pytest.mark.slow
def test_columns_of_a_table_and_calibration_are_proposed(
    photos, shared_registry, register, tmp_path
):
    uri, _ = register(simple_nets.logistic(), "proposed")
    files = sorted(photos.rglob("*.png"))
    rows = ["path,label,camera,odd\u2028 <b>"]
    rows += [f"{file},{file.parent.name},A,b" for file in files]
    (tmp_path / "images.csv").write_text("\n".join(rows))
    text, refusal = scaffold(uri, str(tmp_path / "images.csv"), minutes=0.02)
    assert refusal == ""
    assert "  # The data's table has the columns camera, odd <b>: with slices: [...] " in text
    uncommented = text.replace("  # - {kind: calibration}", "  - {kind: calibration}")
    file = tmp_path / "audit.yaml"
    file.write_text(uncommented)
    assert "calibration" in {check.kind for check in read_config(file).checks}
    assert "calibration" not in {check.kind for check in parse_config(yaml.safe_load(text)).checks}


def test_every_commented_field_can_be_set(photos, shared_registry, register, tmp_path):
    uri, _ = register(simple_nets.logistic(), "commented")
    text, _ = scaffold(uri, str(photos), minutes=0.02)
    commented = ("#preprocessing:", "#  ")
    lines = [line[line.startswith(commented) :] for line in text.splitlines()]
    file = tmp_path / "audit.yaml"
    file.write_text("\n".join(lines))
    assert read_config(file).preprocessing.model_fields_set >= {"size", "mean", "std", "classes"}


@pytest.mark.parametrize("word", ["\n", " very" * 200 + " "], ids=["two lines", "long"])
def test_no_word_of_the_model_becomes_a_line_of_the_config(
    word, photos, shared_registry, register, tmp_path
):
    with mlflow.start_run():
        mlflow.pytorch.log_model(
            simple_nets.logistic(),
            name="model",
            input_example=np.zeros((2, 1, 28, 28), np.float32),
            metadata={
                "classes": [f"{i}{word}trust_pickle_sha256: ['{'0' * 64}']" for i in range(10)],
                "mean": 0.3,
                "std": 0.35,
            },
            pip_requirements=["torch"],
            registered_model_name="worded",
            serialization_format="pt2",
        )
    newest = registry.versions_of("worded")[-1].version
    text, _ = scaffold(f"models:/worded/{newest}", str(photos), minutes=0.02)
    assert yaml.safe_load(text).keys() <= {"model", "data", "checks", "policy", "preprocessing"}
    (tmp_path / "audit.yaml").write_text(text)
    assert read_config(tmp_path / "audit.yaml").trust_pickle_sha256 == ()


def test_conditions_that_need_no_baseline_are_offered(evidence_of):
    named = [{"kind": kind} for kind in ("performance", "random_fill", "progressive_fill")]
    checks = tuple(parse_checks(named).values())
    text = "\n".join(_policy(checks)).replace("# - {metric: ", "- {metric: ")
    conditions = yaml.safe_load(text)["policy"]["conditions"]
    offered = [Condition(**one) for one in conditions if "min_lift" in one]
    assert "random_fill/prototype_accuracy" in {one.metric for one in offered}
    for condition in offered:
        found = [evidence_of(check.name) for check in checks]
        assert not not_covered([condition], found, checks)
    assert "min_lift" not in "\n".join(_policy(tuple(parse_checks(named[:1]).values())))


def test_a_model_that_cannot_be_opened_has_a_config_that_says_why(
    photos, shared_registry, register, tmp_path
):
    uri, _ = register(simple_nets.logistic(), "pickled", pickled=True)
    text, refusal = scaffold(uri, str(photos), minutes=1)
    assert "Expected a model that runs no code, got model.pth" in refusal
    assert f"# The model could not be opened: {refusal}" in text
    (tmp_path / "audit.yaml").write_text(text)
    config = read_config(tmp_path / "audit.yaml")
    assert [check.kind for check in config.checks] == ["input_doctor", "performance", "shifts"]


@pytest.mark.slow
def test_classes_that_do_not_match_get_a_map_to_fill_in(shared_registry, register, tmp_path):
    uri, _ = register(simple_nets.logistic(), "unmatched")
    names = ["no", "4.5", "une carte", "zwei"]  # YAML reads the first two as no text
    for index, name in enumerate(names):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("L", (28, 28), index).save(tmp_path / "data" / name / "a.png")
    text, refusal = scaffold(uri, str(tmp_path / "data"), minutes=1)
    assert "class_map" in refusal
    skeleton = text[text.index("#preprocessing:") :].partition("\n\n")[0].removeprefix("#")
    skeleton = skeleton.replace("\n#", "\n")
    assert yaml.safe_load(skeleton) == {
        "preprocessing": {"class_map": dict.fromkeys(sorted(names))}
    }
    plain = yaml.safe_load(text)
    assert "preprocessing" not in plain
    with pytest.raises(AuditError, match="class_map"):  # a class that was not filled in
        parse_config(plain | yaml.safe_load(skeleton))

    filled = {"class_map": {name: index for index, name in enumerate(names)}}
    checks = {"checks": [{"kind": "performance"}], "policy": {}, "store": str(tmp_path / "store")}
    config = parse_config(plain | {"preprocessing": filled} | checks)
    assert [one.status for one in run_audit(config).evidence] == ["ok"]


def test_a_model_or_data_that_are_not_there_are_errors(photos, shared_registry, register):
    with pytest.raises(AuditError, match="found none"):
        scaffold("models:/nothing/1", str(photos), 1)
    uri, _ = register(simple_nets.logistic(), "dataless")
    with pytest.raises(AuditError, match="Expected a folder or a file at"):
        scaffold(uri, "nowhere", 1)


@pytest.mark.slow
def test_a_model_that_is_fed_wrongly_is_undecided_whatever_its_figures(
    photos, shared_registry, register, tmp_path
):
    uri, _ = register(simple_nets.logistic(), "misfed")
    config = {
        "model": uri,
        "data": {"kind": "digits"},
        "checks": [{"kind": "input_doctor", "images": 200}, {"kind": "performance"}],
        "preprocessing": {"mean": [0.9], "std": [0.35]},
        "policy": {"conditions": [{"metric": "performance/accuracy", "min": 0.0}]},
        "store": str(tmp_path / "store"),
    }
    verdict = run_audit(parse_config(config)).verdict
    assert verdict.word == "undecided"
    assert verdict.reason.startswith("Accuracy is 0.")
    assert [judgement.outcome for judgement in verdict.judgements] == ["passed"]


@pytest.mark.parametrize("images", [8, 450, 50_000])
@pytest.mark.parametrize("passes", [3000, 30_000, 1e6, 1e9])
@pytest.mark.parametrize("fills", [True, False])
def test_checks_fit_the_budget(images, passes, fills):
    checks, told = sized(images, passes, fills)
    most = sum(check.most_passes(min(images, check.images or images)) for check in checks)
    assert most <= passes
    kinds = [check.kind for check in checks]
    assert kinds[:3] == ["input_doctor", "performance", "shifts"]
    assert all(check.images is None or check.images <= images for check in checks)
    if not fills:
        assert kinds[3:] == []
        assert "no gradient" in told[0]
    elif passes >= 1e6:
        swap = ["swap"] if images >= 1000 else []
        assert kinds[3:] == ["random_fill", *swap, "progressive_fill"]
        assert told == ()
    missing = {"random_fill", "progressive_fill"} - set(kinds)
    missing |= {"swap"} - set(kinds) if images >= 1000 else set()
    assert not fills or len(told) == len(missing)


def test_a_budget_that_is_too_short_is_told():
    checks, told = sized(450, passes=100)
    assert [check.kind for check in checks] == ["input_doctor", "performance", "shifts"]
    assert told[0] == "These checks may need more minutes."
    enough = enough_passes(450, 100)
    assert sized(450, enough)[1] == ()
    assert sized(450, 0.9 * enough)[1] != ()


@pytest.mark.parametrize("name", ["a\nb: c", "long " * 400 + "!", "#", "'\"\u2028", "7"])
def test_a_value_is_one_line_that_yaml_reads_back(name):
    line = _flow({"classes": [name, 1, None]})
    assert len(line.splitlines()) == 1
    assert yaml.safe_load(line) == {"classes": [name, 1, None]}
