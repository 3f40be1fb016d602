"""A network of transformers is fed and named as its own pipeline does it, without its code."""

import io
import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from audits.data.fit import Fit, fitted
from audits.data.pixels import Pixels, to_tensor
from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing

transformers = pytest.importorskip("transformers")

NAMES = ("cat", "dog", "ship")
PLAIN = Preprocessing()


def _net(named=True, **options):
    torch.manual_seed(0)
    names = {n: name if named else f"LABEL_{n}" for n, name in enumerate(NAMES)}
    config = transformers.ResNetConfig(
        num_channels=3,
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        id2label=names,
        label2id={name: n for n, name in names.items()},
        **options,
    )
    return transformers.ResNetForImageClassification(config).eval()


def _processor():
    return transformers.CLIPImageProcessor(
        size={"shortest_edge": 36},
        crop_size={"height": 32, "width": 32},
        image_mean=[0.3, 0.4, 0.5],
        image_std=[0.2, 0.3, 0.4],
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A pipeline as MLflow saves it."""
    folder = tmp_path_factory.mktemp("transformers") / "model"
    pipeline = transformers.pipeline(
        "image-classification", model=_net(), image_processor=_processor()
    )
    mlflow.transformers.save_model(pipeline, str(folder), pip_requirements=["transformers"])
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "model"))


def _edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_pipeline_names_its_contract_and_answers_as_the_pipeline_does(saved, loaded):
    files = inspect(saved, PLAIN)
    assert (files.flavour, files.trusted, files.classes) == ("transformers", False, NAMES)
    contract = files.contract
    assert contract.fit == Fit(3, 32, 32, "crop", 36, "bicubic", antialias=True, exif=True)
    assert (contract.mean, contract.std) == ((0.3, 0.4, 0.5), (0.2, 0.3, 0.4))
    assert contract.source("mean") == "transformers' preprocessor_config.json and config.json"
    assert contract.questions == ()
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    pipeline = mlflow.transformers.load_model(str(saved))
    expected = {row["label"]: row["score"] for row in pipeline(Image.fromarray(image))}
    pixels = fitted(torch.from_numpy(image).permute(2, 0, 1) / 255, contract.fit)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (contract.mean, contract.std))
    given = ((pixels - mean) / std)[None].requires_grad_()
    logits = loaded(files)(given).logits
    (gradient,) = torch.autograd.grad(logits[0, 0], given)
    assert gradient.abs().max() > 0
    scores = logits[0].softmax(0).tolist()
    assert dict(zip(NAMES, scores, strict=True)) == pytest.approx(expected, abs=2e-3)


def test_an_image_is_turned_upright_as_the_pipeline_does_it(saved):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8))
    tags = Image.Exif()
    tags[274] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=tags)
    pipeline = mlflow.transformers.load_model(str(saved))
    given = pipeline.preprocess(Image.open(buffer))["pixel_values"][0].float()
    contract = inspect(saved, PLAIN).contract
    pixels = fitted(to_tensor(Pixels(np.asarray(image), 6), contract.fit, "it"), contract.fit)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (contract.mean, contract.std))
    assert ((pixels - mean) / std - given).abs().mean() < 0.05


def test_components_without_a_pipeline_are_the_same(tmp_path):
    folder = tmp_path / "model"
    mlflow.transformers.save_model(
        {"model": _net(), "image_processor": _processor()},
        str(folder),
        task="image-classification",
        pip_requirements=["transformers"],
    )
    assert inspect(folder, PLAIN).contract.fit.resize_to == 36


def test_labels_without_names_name_no_classes(copy):
    _edit(copy / "model" / "config.json", id2label={"0": "LABEL_0", "1": "LABEL_1"})
    assert inspect(copy, PLAIN).classes is None


def test_the_image_processor_decides_the_digest(copy):
    before = inspect(copy, PLAIN).digest
    _edit(copy / "components" / "image_processor" / "preprocessor_config.json", resample=2)
    assert inspect(copy, PLAIN).digest != before


def test_weights_in_a_pickle_need_trust(copy, loaded, inspected):
    from safetensors.torch import load_file

    safe = copy / "model" / "model.safetensors"
    torch.save(load_file(safe), copy / "model" / "pytorch_model.bin")
    assert not inspect(copy, PLAIN).trusted  # the safetensors are taken
    before = loaded(inspect(copy, PLAIN))(torch.ones(2, 3, 32, 32)).logits
    safe.unlink()
    with pytest.raises(ModelRefused, match="pickle"):
        inspect(copy, PLAIN)
    assert torch.equal(loaded(inspected(copy))(torch.ones(2, 3, 32, 32)).logits, before)


OWN_CODE = """
from transformers import ResNetForImageClassification
class OwnNet(ResNetForImageClassification):
    pass
"""


def test_code_of_the_models_own_runs_only_if_it_is_trusted(
    copy, loaded, inspected, tmp_path, monkeypatch
):
    # The child sets it before it imports transformers; here that is imported already.
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "hf"))
    auto = {"AutoModelForImageClassification": "own_net.OwnNet"}
    _edit(copy / "model" / "config.json", auto_map=auto, architectures=["OwnNet"])
    _reconfigure(copy, pipeline_model_type="OwnNet")
    with pytest.raises(ModelRefused, match="or in the model's folder, got auto_map: 'own_net"):
        inspect(copy, PLAIN)
    (copy / "model" / "own_net.py").write_text(OWN_CODE)
    with pytest.raises(ModelRefused, match="can run any code"):
        inspect(copy, PLAIN)
    net = loaded(inspected(copy))
    assert type(net).__name__ == "OwnNet"
    assert net(torch.ones(2, 3, 32, 32)).logits.shape == (2, 3)


def test_code_on_a_hub_and_processors_with_code_are_refused(copy, inspected):
    config = copy / "model" / "config.json"
    _edit(config, auto_map={"AutoModelForImageClassification": "someone/else--own.OwnNet"})
    with pytest.raises(ModelRefused, match="got auto_map: 'someone/else--own"):
        inspected(copy)
    _edit(config, auto_map=None)
    processor = copy / "components" / "image_processor" / "preprocessor_config.json"
    _edit(processor, auto_map={"AutoImageProcessor": "own.Own"})
    with pytest.raises(ModelRefused, match="components of transformers, got one with code"):
        inspect(copy, PLAIN)


def _other_class(folder):
    _reconfigure(folder, pipeline_model_type="ViTForImageClassification")


def _from_a_hub(folder):
    _reconfigure(folder, source_model_name="someone/else", source_model_revision="main")


def _from_elsewhere(folder):
    _reconfigure(folder, local_base_model_path="/elsewhere")


def _unlisted(folder):
    _reconfigure(folder, components=[])


def _two_processors(folder):
    components = folder / "components"
    shutil.copytree(components / "image_processor", components / "feature_extractor")
    _reconfigure(folder, components=["image_processor", "feature_extractor"])


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
    _reconfigure(folder, image_processor_type="EfficientNetImageProcessor")


def _without_processor_class(folder):
    _reconfigure(folder, image_processor_type=None)


def _timm_by_type(folder):
    _edit(folder / "model" / "config.json", model_type="timm_wrapper")


def _unknown_key(folder):
    _reconfigure(folder, prompt_template="x")


def _quantised(folder):
    _edit(folder / "model" / "config.json", quantization_config={"quant_method": "hqq"})


def _other_weights(folder):
    _edit(folder / "model" / "config.json", transformers_weights="other.safetensors")


def _kernels_of_a_hub(folder):
    _edit(folder / "model" / "config.json", attn_implementation="someone/kernels")


def _adapter(folder):
    """transformers loads it if the package peft is installed."""
    (folder / "model" / "adapter_config.json").write_text("{}")


def _small_dtype(folder):
    _reconfigure(folder, torch_dtype="torch.float8_e4m3fn")


def _deeper(folder):
    (folder / "sub").mkdir()
    (folder / "model").rename(folder / "sub" / "model")
    _reconfigure(folder, model_binary="sub/model")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_other_class, "one network in MLmodel and in config.json, got 'ViTForImage"),
        (_from_a_hub, "got source_model_revision, by which MLflow loads another"),
        (_from_elsewhere, "got local_base_model_path, by which MLflow loads another"),
        (_unlisted, "the components that MLmodel lists"),
        (_two_processors, "with one image processor at most"),
        (_code_in_a_component, "can run any code"),
        (_deeper, "the network in the folder model, got 'sub/model'"),
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
        (_small_dtype, "torch_dtype of float16, .* got 'torch.float8"),
    ],
)
def test_a_folder_of_which_mlflow_would_load_something_else_is_refused(change, told, copy):
    change(copy)
    with pytest.raises(ModelRefused, match=told):
        inspect(copy, PLAIN)


def test_a_key_that_the_processor_leaves_out_is_no_default(copy):
    file = _processor_file(copy)
    values = json.loads(file.read_text())
    del values["do_normalize"]
    file.write_text(json.dumps(values))
    with pytest.raises(ModelRefused, match=r"Expected do_normalize in preprocessor_config.json"):
        inspect(copy, PLAIN)


def test_a_processor_in_a_nested_file_is_read(copy):
    file = _processor_file(copy)
    before = inspect(copy, PLAIN).contract
    nested = {"image_processor": json.loads(file.read_text())}
    file.unlink()
    (file.parent / "processor_config.json").write_text(json.dumps(nested))
    assert inspect(copy, PLAIN).contract.mean == before.mean
    (file.parent / "processor_config.json").write_text(json.dumps(nested["image_processor"]))
    with pytest.raises(ModelRefused, match=r"a mapping image_processor in processor_config.json"):
        inspect(copy, PLAIN)


def _with_metadata(folder, metadata):
    import yaml

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
def test_metadata_that_contradict_the_processor_are_refused(metadata, copy):
    _with_metadata(copy, metadata)
    with pytest.raises(ModelRefused, match="by which the model is served and which has") as refused:
        inspect(copy, PLAIN)
    assert "\n" not in str(refused.value)


def test_metadata_may_add_to_the_processor_and_repeat_it(copy):
    same = {"range": "0-1", "mean": [0.3, 0.4, 0.5], "size": 32, "outputs": "logits"}
    _with_metadata(copy, {"classes": list(NAMES), "preprocessing": same})
    contract = inspect(copy, PLAIN).contract
    assert contract.outputs == "logits"
    assert contract.source("mean") == "transformers' preprocessor_config.json and config.json"


def test_a_size_is_not_added_to_a_processor_that_does_not_resize(copy):
    _edit(_processor_file(copy), do_resize=False, do_center_crop=False)
    assert inspect(copy, PLAIN).contract.questions != ()
    _with_metadata(copy, {"preprocessing": {"size": 32}})
    with pytest.raises(ModelRefused, match=r"Expected height as in .* which has none, got 32"):
        inspect(copy, PLAIN)


def test_metadata_with_the_classes_in_another_order_are_refused(copy):
    _with_metadata(copy, {"classes": list(NAMES[::-1])})
    with pytest.raises(ModelRefused, match="the model's metadata in another order than in"):
        inspect(copy, PLAIN)


def test_what_timm_says_counts_for_networks_of_timm_alone(copy):
    cfg = {"input_size": [3, 28, 28], "mean": [0, 0, 0], "std": [1, 1, 1]}
    before = inspect(copy, PLAIN)
    config = copy / "model" / "config.json"
    _edit(config, pretrained_cfg=cfg, label_names=list(NAMES[::-1]))
    after = inspect(copy, PLAIN)
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
    ],
)
def test_labels_that_transformers_may_read_otherwise_are_refused(changes, told, copy):
    _edit(copy / "model" / "config.json", **changes)
    with pytest.raises(ModelRefused, match=told) as refused:
        inspect(copy, PLAIN)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_a_network_is_loaded_in_the_dtype_in_which_mlflow_loads_it(name, copy, loaded):
    _reconfigure(copy, torch_dtype=f"torch.{name}")
    served = mlflow.transformers.load_model(str(copy)).model
    net = loaded(inspect(copy, PLAIN))
    assert net.dtype == served.dtype == getattr(torch, name)
    assert all(map(torch.equal, net.state_dict().values(), served.state_dict().values()))


def _reconfigure(folder, **changes):
    import yaml

    file = folder / "MLmodel"
    values = yaml.safe_load(file.read_text())
    entry = values["flavors"]["transformers"]
    entry |= changes
    values["flavors"]["transformers"] = {k: v for k, v in entry.items() if v is not None}
    file.write_text(yaml.safe_dump(values))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "text-classification"}, "task image-classification, got 'text-classification'"),
        ({"model_binary": None}, "only the name of one on a hub. .*save_pretrained=True"),
        ({"peft_adaptor": "peft"}, "PEFT adapter. .*merge_and_unload"),
    ],
)
def test_other_forms_are_refused_in_one_line(changes, message, copy):
    with pytest.raises(ModelRefused, match=message) as refused:
        inspect(_reconfigure(copy, **changes), PLAIN)
    assert "\n" not in str(refused.value)


def test_a_network_that_transformers_does_not_have_is_refused(copy, loaded):
    _edit(copy / "model" / "config.json", architectures=["os"])
    _reconfigure(copy, pipeline_model_type="os")
    with pytest.raises(ModelRefused, match=r"that transformers .* has, got 'os'"):
        loaded(inspect(copy, PLAIN))


def test_a_network_of_timm_names_its_contract_by_pretrained_cfg(tmp_path, monkeypatch, loaded):
    pytest.importorskip("timm")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = transformers.TimmWrapperConfig(
        architecture="resnet18",
        id2label=dict(enumerate(NAMES)),
        label2id={name: n for n, name in enumerate(NAMES)},
        pretrained_cfg={
            "input_size": [3, 64, 64],
            "interpolation": "bicubic",
            "crop_pct": 0.95,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
        },
    )
    net = transformers.TimmWrapperForImageClassification(config).eval()
    folder = tmp_path / "model"
    mlflow.transformers.save_model(
        {
            "model": net,
            "image_processor": transformers.TimmWrapperImageProcessor(config.pretrained_cfg),
        },
        str(folder),
        task="image-classification",
        pip_requirements=["transformers"],
    )
    files = inspect(folder, PLAIN)
    assert files.classes == NAMES
    assert files.contract.fit == Fit(3, 64, 64, "crop", 67, "bicubic", exif=True)
    assert files.contract.source("height") == "timm's pretrained_cfg in config.json"
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(loaded(files)(images).logits, net(images).logits)
    saved = (folder / "model" / "config.json").read_text()
    short = {k: v for k, v in json.loads(saved)["pretrained_cfg"].items() if k != "mean"}
    _edit(folder / "model" / "config.json", pretrained_cfg=short)
    with pytest.raises(ModelRefused, match="Expected mean in timm's pretrained_cfg"):
        inspect(folder, PLAIN)
    (folder / "model" / "config.json").write_text(saved)
    _reconfigure(folder, image_processor_type="ViTImageProcessor")
    with pytest.raises(ModelRefused, match="TimmWrapperImageProcessor as image_processor_type"):
        inspect(folder, PLAIN)
    _reconfigure(folder, image_processor_type="TimmWrapperImageProcessor")
    place = folder / "components" / "image_processor"
    place.mkdir(parents=True)
    (place / "config.json").write_text(saved)
    with pytest.raises(ModelRefused, match="no file of an image processor beside a network of"):
        inspect(folder, PLAIN)


@pytest.mark.parametrize(
    "arguments",
    [{"checkpoint_path": "weights.bin"}, {"in_chans": 3, "pretrained": True}, {"depth": {}}, "x"],
)
def test_arguments_of_timm_that_may_name_a_file_are_refused(arguments, copy):
    """timm would unpickle the file at `checkpoint_path`."""
    _edit(copy / "model" / "config.json", model_args=arguments)
    with pytest.raises(
        ModelRefused, match=r"model_args .* that shape the network and name no file"
    ):
        inspect(copy, PLAIN)
    _edit(copy / "model" / "config.json", model_args={"in_chans": 3, "global_pool": "avg"})
    inspect(copy, PLAIN)


def test_a_model_without_all_its_weights_is_refused(copy, loaded):
    from safetensors.torch import load_file, save_file

    file = copy / "model" / "model.safetensors"
    weights = {k: v for k, v in load_file(file).items() if not k.startswith("classifier")}
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ModelRefused, match=r"all weights .* classifier\.1\.bias.* would be random"):
        loaded(inspect(copy, PLAIN))
