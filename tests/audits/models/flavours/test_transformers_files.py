"""A folder of transformers is read as MLflow's loader reads it, or refused in one line."""

import json
import shutil

import pytest
import yaml

from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.flavours.transformers_files import labels_in
from audits.models.preprocessing import Preprocessing

pytest.importorskip("transformers")
from pipelines import NAMES, edit, reconfigure

PLAIN = Preprocessing()


def _other_class(folder):
    reconfigure(folder, pipeline_model_type="ViTForImageClassification")


def _from_a_hub(folder):
    reconfigure(folder, source_model_name="someone/else", source_model_revision="main")


def _from_elsewhere(folder):
    reconfigure(folder, local_base_model_path="/elsewhere")


def _unlisted(folder):
    reconfigure(folder, components=[])


def _two_processors(folder):
    components = folder / "components"
    shutil.copytree(components / "image_processor", components / "feature_extractor")
    reconfigure(folder, components=["image_processor", "feature_extractor"])


def _code_in_a_component(folder):
    (folder / "components" / "image_processor" / "own.py").write_text("")


def _processor_file(folder):
    return folder / "components" / "image_processor" / "preprocessor_config.json"


def _nested_beside(folder):
    """transformers takes this file before the other."""
    file = _processor_file(folder)
    other = {"image_processor": {**json.loads(file.read_text()), "image_std": [0.9] * 3}}
    (file.parent / "processor_config.json").write_text(json.dumps(other))


def _beside_the_network(folder):
    shutil.copy(_processor_file(folder), folder / "model")


def _without_file(folder):
    _processor_file(folder).rename(folder / "components" / "image_processor" / "config.json")


def _other_processor_class(folder):
    reconfigure(folder, image_processor_type="EfficientNetImageProcessor")


def _without_processor_class(folder):
    reconfigure(folder, image_processor_type=None)


def _timm_by_type(folder):
    edit(folder / "model" / "config.json", model_type="timm_wrapper")


def _unknown_key(folder):
    reconfigure(folder, prompt_template="x")


def _quantised(folder):
    edit(folder / "model" / "config.json", quantization_config={"quant_method": "hqq"})


def _other_weights(folder):
    edit(folder / "model" / "config.json", transformers_weights="other.safetensors")


def _kernels_of_a_hub(folder):
    edit(folder / "model" / "config.json", attn_implementation="someone/kernels")


def _adapter(folder):
    """transformers loads it if the package peft is installed."""
    (folder / "model" / "adapter_config.json").write_text("{}")


def _versioned_config(folder):
    (folder / "model" / "config.4.0.0.json").write_text("{}")


def _names_a_config(folder):
    edit(folder / "model" / "config.json", configuration_files=["config.4.0.0.json"])


def _small_dtype(folder):
    reconfigure(folder, torch_dtype="torch.float8_e4m3fn")


def _turned_labels(folder):
    file = folder / "model" / "config.json"
    names = json.loads(file.read_text())["id2label"]
    edit(file, label2id={name: len(names) - 1 - int(index) for index, name in names.items()})


def _deeper(folder):
    (folder / "sub").mkdir()
    (folder / "model").rename(folder / "sub" / "model")
    reconfigure(folder, model_binary="sub/model")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_other_class, "one network in MLmodel and in config.json, got 'ViTForImage"),
        (_from_a_hub, "got source_model_revision, by which MLflow loads another"),
        (_from_elsewhere, "got local_base_model_path, by which MLflow loads another"),
        (_unlisted, "the components that MLmodel lists"),
        (_two_processors, "with one image processor at most"),
        (_code_in_a_component, "can run any code"),
        (_turned_labels, "one index of '.*' in config.json, got 0 in id2label and"),
        (_deeper, "at the top of its folder, got 'sub/model'"),
        (_nested_beside, "one file of an image processor, got .*/preprocessor_config.json, image"),
        (_beside_the_network, "one file of an image processor, got .* model/preprocessor"),
        (_without_file, "Expected preprocessor_config.json of the component image_processor"),
        (_other_processor_class, "one image processor in MLmodel and in preprocessor_config.json"),
        (_without_processor_class, "one image processor in MLmodel and in preprocessor_config"),
        (_timm_by_type, "model_type and architectures of one network"),
        (_unknown_key, "under transformers in MLmodel, got prompt_template"),
        (_quantised, "weights that are loaded as they are, got quantization_config"),
        (_other_weights, "weights that are loaded as they are, got transformers_weights"),
        (_kernels_of_a_hub, "got attn_implementation 'someone/kernels'"),
        (_adapter, "weights that are loaded as they are, got adapter_config.json"),
        (_versioned_config, "one config of the network, config.json, got config.4.0.0.json"),
        (_names_a_config, "one config of the network, config.json, got configuration_files"),
        (_small_dtype, "torch_dtype of float16, .* got 'torch.float8"),
    ],
)
def test_a_folder_of_which_mlflow_would_load_something_else_is_refused(change, told, pipeline_copy):
    change(pipeline_copy)
    with pytest.raises(ModelRefused, match=told):
        inspect(pipeline_copy, PLAIN)


def test_a_key_that_the_processor_leaves_out_is_no_default(pipeline_copy):
    file = _processor_file(pipeline_copy)
    values = json.loads(file.read_text())
    del values["do_normalize"]
    file.write_text(json.dumps(values))
    with pytest.raises(ModelRefused, match=r"Expected do_normalize in preprocessor_config.json"):
        inspect(pipeline_copy, PLAIN)


def test_a_processor_in_a_nested_file_is_read(pipeline_copy):
    file = _processor_file(pipeline_copy)
    before = inspect(pipeline_copy, PLAIN).contract
    nested = {"image_processor": json.loads(file.read_text())}
    file.unlink()
    (file.parent / "processor_config.json").write_text(json.dumps(nested))
    assert inspect(pipeline_copy, PLAIN).contract.mean == before.mean
    (file.parent / "processor_config.json").write_text(json.dumps(nested["image_processor"]))
    with pytest.raises(ModelRefused, match=r"a mapping image_processor in processor_config.json"):
        inspect(pipeline_copy, PLAIN)


def _with_metadata(folder, metadata):
    values = yaml.safe_load((folder / "MLmodel").read_text())
    (folder / "MLmodel").write_text(yaml.safe_dump({**values, "metadata": metadata}))


@pytest.mark.parametrize(
    "metadata",
    [
        {"mean": [0.0] * 3},
        {"preprocessing": {"range": "0-255"}},
        {"preprocessing": {"size": 28}},
        {"preprocessing": {"exif": False}},
        {"preprocessing": {"alpha": [1, 1, 1]}},
        {"preprocessing": {"resize": "stretch"}},
        {"pretrained_cfg": {"mean": [0.0] * 3, "std": [1.0] * 3}},
        {"pretrained_cfg": {"input_size": [3, 32, 32], "crop_pct": 1.0}},
    ],
)
def test_metadata_that_contradict_the_processor_are_refused(metadata, pipeline_copy):
    _with_metadata(pipeline_copy, metadata)
    with pytest.raises(ModelRefused, match="by which the model is served and which has") as refused:
        inspect(pipeline_copy, PLAIN)
    assert "\n" not in str(refused.value)


def test_metadata_may_add_to_the_processor_and_repeat_it(pipeline_copy):
    same = {"range": "0-1", "mean": [0.3, 0.4, 0.5], "size": 32, "outputs": "logits"}
    _with_metadata(pipeline_copy, {"classes": list(NAMES), "preprocessing": same})
    contract = inspect(pipeline_copy, PLAIN).contract
    assert contract.outputs == "logits"
    assert contract.source("mean") == "transformers' preprocessor_config.json and config.json"


def test_a_size_is_not_added_to_a_processor_that_does_not_resize(pipeline_copy):
    edit(_processor_file(pipeline_copy), do_resize=False, do_center_crop=False)
    assert inspect(pipeline_copy, PLAIN).contract.questions != ()
    _with_metadata(pipeline_copy, {"preprocessing": {"size": 32}})
    with pytest.raises(ModelRefused, match=r"Expected height as in .* which has none, got 32"):
        inspect(pipeline_copy, PLAIN)


def test_metadata_with_the_classes_in_another_order_are_refused(pipeline_copy):
    _with_metadata(pipeline_copy, {"classes": list(NAMES[::-1])})
    with pytest.raises(ModelRefused, match="the model's metadata in another order than in"):
        inspect(pipeline_copy, PLAIN)


def test_what_timm_says_counts_for_networks_of_timm_alone(pipeline_copy):
    cfg = {"input_size": [3, 28, 28], "mean": [0, 0, 0], "std": [1, 1, 1]}
    before = inspect(pipeline_copy, PLAIN)
    config = pipeline_copy / "model" / "config.json"
    edit(config, pretrained_cfg=cfg, label_names=list(NAMES[::-1]))
    after = inspect(pipeline_copy, PLAIN)
    assert (after.contract, after.classes) == (before.contract, NAMES)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id2label": {"0": "a", "00": "b"}}, "id2label with the numbers from 0, each once"),
        ({"id2label": {"1": "a", "2": "b"}}, "id2label with the numbers from 0, each once"),
        ({"id2label": [1]}, "id2label with the numbers from 0, each once"),
        ({"id2label": "abc"}, "id2label with the numbers from 0, each once"),
        ({"id2label": {"0": None}}, "names as id2label in config.json"),
        ({"id2label": {"0": ["a"]}}, "names as id2label in config.json"),
        ({"num_labels": 2}, "one number of classes in config.json, got 3 in id2label"),
        ({"problem_type": "multi_label_classification"}, "no problem_type .* got 'multi_label"),
        ({"problem_type": "regression"}, "no problem_type .* got 'regression'"),
        ({"return_dict": False}, "got return_dict: false or torchscript"),
        ({"torchscript": True}, "got return_dict: false or torchscript"),
        ({"task_specific_params": {"image-classification": {}}}, "got task_specific_params"),
        ({"custom_pipelines": {}}, "got custom_pipelines"),
    ],
)
def test_labels_that_may_be_read_or_ranked_otherwise_are_refused(changes, told, pipeline_copy):
    edit(pipeline_copy / "model" / "config.json", **changes)
    with pytest.raises(ModelRefused, match=told) as refused:
        inspect(pipeline_copy, PLAIN)
    assert "\n" not in str(refused.value)


def test_names_of_timm_are_label_names():
    timm = {"model_type": "timm_wrapper", "architectures": ["TimmWrapperForImageClassification"]}
    with pytest.raises(ModelRefused, match=r"as label_names in config\.json, got id2label alone"):
        labels_in({**timm, "id2label": {"0": "a", "1": "b"}})
    assert labels_in({**timm, "id2label": {"0": "a"}, "label_names": ["b", "c"]}) == ("b", "c")


@pytest.mark.parametrize("name", ["local-dir:/etc", "hf-hub:x/y", "a/b", "", 5, None])
def test_a_network_of_timm_is_not_looked_for_elsewhere(name, pipeline_copy):
    _timm_by_type(pipeline_copy)
    timms = ["TimmWrapperForImageClassification"]
    edit(pipeline_copy / "model" / "config.json", architectures=timms, architecture=name)
    reconfigure(pipeline_copy, pipeline_model_type=timms[0])
    with pytest.raises(ModelRefused, match="Expected a network of timm by its name"):
        inspect(pipeline_copy, PLAIN)
