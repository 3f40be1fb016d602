"""An AuditConfig is read from YAML, cannot be changed, and names each mistake on one line."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from audits import AuditError, parse_config, read_config
from audits.checks.registered import check_classes
from audits.config.audit import AuditConfig
from audits.config.reading import dump_config

LEAST = {
    "model": "models:/digits/3",
    "data": {"kind": "digits"},
    "checks": [{"kind": "performance"}],
}
FULL = {
    "model": "models:/digits@champion",
    "data": {"kind": "npz", "path": "größe: #1.npz", "classes": "names"},
    "checks": [
        {"kind": "performance", "label": "all", "images": 100},
        {
            "kind": "random_fill",
            "mask_ratio": 0.3,
            "samples": 50,
            "max_draws": 60,
            "average": "raw",
            "binarise": "otsu",
            "blank_value": "mean",
        },
        {"kind": "progressive_fill", "groups": 3, "step_label": "true", "binarise": 1e-05},
        {"kind": "progressive_fill", "label": "grey", "normalise": "minmax", "blank_value": 0.5},
    ],
    "policy": {
        "conditions": [
            {"metric": "random_fill/accepted_draws", "min": 1e16},
            {"metric": "random_fill/prototype_accuracy", "min_lift": -0.0},
            {"metric": "grey/agreement", "max": 0.1 + 0.2},
        ],
        "min_coverage": 0.0,
    },
    "preprocessing": {"mean": [0.1, 0.2, 0.3], "std": [1], "classes": ["no", "0x1", "1e5", " "]},
    "limits": {"load_seconds": 1, "unit_seconds": 2.5, "memory_gib": 8},
    "trust_pickle_sha256": "0" * 64,
    "served": ["pytorch", "onnx"],
    "seed": (1 << 63) - 1,
    "device": "cpu",
    "experiment": "on",
    "store": "memory://parts",
}


def _written(folder, values):
    file = folder / "audit.yaml"
    file.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    return file


@pytest.mark.parametrize("values", [LEAST, FULL])
def test_a_config_written_out_and_read_again_is_the_same(values, tmp_path):
    config = read_config(_written(tmp_path, values))
    again = tmp_path / "resolved.yaml"
    again.write_text(dump_config(config), encoding="utf-8")
    assert read_config(again) == config
    assert hash(read_config(again)) == hash(config)


# PyYAML takes U+0085 and similar characters for line breaks.
_letters = st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])
_names = st.text(_letters.filter(str.isprintable), max_size=256).filter(str.strip)


@pytest.mark.slow
@given(name=_names, bound=st.floats(-1e6, 1e6))
def test_any_text_and_any_number_survives_the_yaml(name, bound):
    values = {**LEAST, "experiment": name, "preprocessing": {"mean": [bound], "range": "0-255"}}
    config = parse_config(values)
    assert parse_config(yaml.safe_load(dump_config(config))) == config


def test_the_resolved_config_says_every_default():
    dumped = yaml.safe_load(dump_config(parse_config(LEAST)))
    assert set(dumped) == set(AuditConfig.model_fields)
    sample = {"secret": False, "sample": None, "sample_seed": None}
    assert dumped["data"] == {"kind": "digits", "split": "test", "size": 28, **sample}


def test_overrides_replace_whole_keys_of_the_file(tmp_path):
    file = _written(tmp_path, FULL)
    config = read_config(file, model="models:/other/1", limits={"load_seconds": 9.0})
    assert config.model == "models:/other/1"
    assert (config.limits.load_seconds, config.limits.memory_gib) == (9.0, None)


def _check(**values):
    return {"checks": [{"kind": "random_fill", **values}]}


def _condition(**values):
    return {"policy": {"conditions": [{"metric": "performance/accuracy", **values}]}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"polcy": {}}, r"polcy: unknown key\. Did you mean 'policy'\?"),
        (_check(sampels=3), r"checks\.0\.random_fill\.sampels: unknown key\. .* 'samples'\?"),
        ({"zzzzzz": 1}, r"zzzzzz: unknown key\. Known keys: baseline, checks, data,"),
        # Another kind of check has `samples`.
        (
            {"checks": [{"kind": "shifts", "samples": 3}]},
            r"shifts\.samples: unknown key\. Known keys: images, kind, label, pixels\.$",
        ),
        (
            {"engine": {"sampels": 3}},
            r"engine\.sampels: unknown key\. Known keys: block",
        ),
        (
            _condition(min=1, metrik=1),
            r"conditions\.0\.metrik: unknown key\. Did you mean 'metric'\?",
        ),
        (
            {"isolation": "podman"},
            "isolation: .* 'process', 'bubblewrap', 'docker' or 'none', got 'podman'",
        ),
        ({"isolation": "docker"}, "expected docker_image beside isolation: docker, and only there"),
        ({"docker_image": "base"}, "got isolation: process and docker_image: base"),
        ({"isolation": "docker", "docker_image": "--privileged"}, "docker_image: .* pattern"),
        (
            {"isolation": "docker", "docker_image": "base", "environment": "uv"},
            "expected no environment with isolation: docker, got environment: uv; install",
        ),
        ({"seed": "one"}, "seed: Input should be a valid integer, got 'one'"),
        ({"seed": -1}, "seed: .* greater than or equal to 0, got -1"),
        ({"seed": 1 << 63}, "seed: .* less than 9223372036854775808"),
        ({"seed": True}, "seed: Input should be a valid integer, got True"),
        ({"model": None}, "model: Input should be a valid string, got None"),
        (_check(mask_ratio=1.0), "mask_ratio: .* less than 1, got 1.0"),
        (_check(mask_ratio=float("nan")), "expected plain YAML values"),
        (_check(samples="10"), "samples: Input should be a valid integer, got '10'"),
        (_check(label="Über"), "label: String should match pattern"),
        ({"checks": [{"kind": "saliency"}]}, "checks.0: .*'saliency'.*'performance'"),
        ({"checks": [{}]}, "checks.0: Unable to extract tag"),
        ({"checks": []}, "checks: expected at least one check, got none"),
        ({"checks": [{"kind": "performance"}] * 2}, "two checks are called 'performance'"),
        ({"data": {"kind": "tar"}}, "data: .*'tar'.*'digits'"),
        (_condition(), "exactly one of min, max, min_lift, max_drop for 'performance/accuracy'"),
        (_condition(min=0.5, max=0.9), "exactly one of min, max, min_lift"),
        ({"policy": {"conditions": [{"metric": "accuracy", "min": 1}]}}, "metric: .* pattern"),
        ({"policy": {"min_coverage": 1.5}}, "min_coverage: .* less than or equal to 1, got 1.5"),
        ({"trust_pickle_sha256": "abc"}, "trust_pickle_sha256.0: .* pattern .*, got 'abc'"),
        ({"trust_pickle_sha256": "A" * 64}, "trust_pickle_sha256.0: .* pattern"),
        ({"served": "torch"}, "served: expected pytorch or transformers or .*, got 'torch'"),
        ({"served": ["pytorch", 3]}, "served: .* or python_function, got 3"),
        ({"limits": {"load_seconds": 1e-320}}, "limits.load_seconds: .* equal to 0.1, got 1e-320"),
        ({"limits": {"unit_seconds": 0}}, "limits.unit_seconds: .* equal to 0.1, got 0"),
        ({"experiment": "x" * 257}, "name of an experiment, up to 256 characters .*, got 'xxx"),
        ({"experiment": "a\x07"}, r"name of an experiment, .* that can be printed, got 'a\\x07'"),
        ({"limits": {"memory_gib": 0}}, "limits.memory_gib: .* greater than 0, got 0"),
        (
            {"preprocessing": {"std": [0.0]}},
            r"preprocessing\.std\.0: .* equal to 0.000001, got 0.0",
        ),
        (
            {"preprocessing": {"std": 1e-320}},
            r"preprocessing\.std\.0: .* equal to 0.000001, got 1e-320",
        ),
        ({"preprocessing": {"std": 1e30}}, r"preprocessing\.std\.0: .* less than or equal to 1000"),
        ({"preprocessing": {"mean": -1e30}}, r"preprocessing\.mean\.0: .* equal to -1000000"),
        ({"preprocessing": {"mean": [True]}}, r"preprocessing\.mean\.0: .* valid number, got True"),
        ({"preprocessing": {"mean": [0.1] * 4}}, r"preprocessing\.mean: .* at most 3 items"),
        (
            {"preprocessing": {"mean": 123.7}},
            "expected range beside a mean or std above 1, got 123",
        ),
        (
            {"preprocessing": {"size": 10**9}},
            "preprocessing.size: expected sides of 1 to 8192 pixels, got 10000",
        ),
        ({"preprocessing": {"size": [1, 2, 3]}}, r"preprocessing\.size: .* at most 2 items"),
        ({"preprocessing": {"resize_to": 10**9}}, r"preprocessing\.resize_to: .* equal to 8192"),
        ({"versions": ["models:/a/1"]}, "versions only beside a check that compares the model"),
        ({"preprocessing": {"classes": []}}, r"preprocessing\.classes: .* at least 1 item"),
        (
            {"preprocessing": {"class_map": {"0": 10**30}}},
            r"preprocessing\.class_map\.0: expected the name or the index of a class .*, got 10000",
        ),
        ({"device": "tpu"}, "device: Input should be 'auto', 'cpu' or 'cuda', got 'tpu'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(values, message, tmp_path):
    with pytest.raises(AuditError, match=message) as refused:
        read_config(_written(tmp_path, {**LEAST, **values}))
    assert str(refused.value).startswith(str(tmp_path / "audit.yaml"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["model", "data", "checks"])
def test_what_has_no_default_must_be_there(key):
    with pytest.raises(AuditError, match=f"config: {key}: Field required"):
        parse_config({k: v for k, v in LEAST.items() if k != key})


def test_every_mistake_is_told_on_a_line_of_its_own():
    with pytest.raises(AuditError) as refused:
        parse_config({**LEAST, "seed": -1, "device": "tpu", "polcy": {}})
    assert len(str(refused.value).splitlines()) == 3


def _aliases(levels):
    """Lists of ten aliases of the list before, which hold 10 ** levels values."""
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(["a0: &a0 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]", *lines]).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b\n", "Expected a mapping in .*, got list"),
        (b"", "Expected a mapping in .*, got NoneType"),
        (b"model: [unclosed", "Expected YAML in .*, got: "),
        (b"a: 1\n\tb: 2", "Expected YAML in .*, got: "),
        (b"seed: !!python/object/apply:os.getpid []", "Expected YAML in .*, got: "),
        (b"model: 2024-01-01 10:00:00", "expected plain YAML values"),
        (b"model: \xff\xfe", "Expected a UTF-8 text file at"),
        (_aliases(7), r"100,000 values \(aliases written out\) and 50 levels, got"),
        (_aliases(60), r"100,000 values \(aliases written out\) and 50 levels, got"),
        (b"a: " + b"[" * 51 + b"]" * 51, "too large or too deep"),
        (b"checks: &a [*a]", "without values that contain themselves"),
        (b"# " + b"x" * (2 << 20), "of at most 2 MiB, .*, got YAML that is too large"),
        (b"seed: " + b":".join([b"1"] * 60_000), "a number has more than 1000 digits"),
        (b"seed: " + b"9" * 1_001, "a number has more than 1000 digits"),
        (b"{[1]: 2}", "found unhashable key"),
        (b"seed: 1\nseed: 2", "the key 'seed' stands twice"),
        (b"{1: a, '1': b}", "the key '1' stands twice"),
        (b"{<<: 3}", "Expected YAML in .*, got: "),
    ],
)
def test_a_file_that_is_no_config_is_refused_in_one_line(content, message, tmp_path):
    file = tmp_path / "audit.yaml"
    file.write_bytes(content)
    with pytest.raises(AuditError, match=message) as refused:
        read_config(file)
    assert "\n" not in str(refused.value)


def test_a_mapping_may_be_merged_into_another(tmp_path):
    file = tmp_path / "audit.yaml"
    file.write_text(
        "model: models:/m/1\ndata: {kind: digits}\nchecks:\n"
        "- &fill {kind: random_fill, samples: 12, patch_size: 4}\n"
        "- {<<: *fill, label: larger, patch_size: 7}\n"
    )
    first, second = read_config(file).checks
    assert (first.patch_size, second.patch_size) == (4, 7)
    assert (second.name, second.samples) == ("larger", 12)
    file.write_text("z: &z {k: 0}\nouter: {inner: &a {<<: *z, k: 1}}\nuser: {<<: *a, label: b}\n")
    with pytest.raises(AuditError, match=r"audit\.yaml: (z|outer|user|model)") as refused:
        read_config(file)
    assert "twice" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AuditError, match=r"Expected a YAML file at .*none\.yaml, found none"):
        read_config(tmp_path / "none.yaml")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(AuditError, match="Expected a UTF-8 text file at"):
        read_config(tmp_path)


def test_the_json_schema_names_every_kind_of_check():
    schema = json.loads(json.dumps(AuditConfig.model_json_schema()))
    kinds = schema["properties"]["checks"]["items"]["discriminator"]["mapping"]
    assert set(kinds) == {check.model_fields["kind"].default for check in check_classes()}
    assert schema["additionalProperties"] is False


def test_a_config_cannot_be_changed():
    config = parse_config(LEAST)
    for changed in (config, config.checks[0], config.policy, config.data):
        name = next(iter(type(changed).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(changed, name, None)


def test_passes_count_the_images_that_each_check_takes():
    checks = [
        {"kind": "performance"},
        {"kind": "random_fill", "samples": 7, "images": 10},
        {"kind": "progressive_fill", "groups": 3, "images": 1000},
    ]
    assert parse_config({**LEAST, "checks": checks}).passes(100) == 100 + 2 * 7 * 10 + 3 * 100
