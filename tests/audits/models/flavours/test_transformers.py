"""A network of transformers is fed and named as its own pipeline does it, without its code."""

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from audits.data.fit import Fit, fitted
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
    assert contract.fit == Fit(3, 32, 32, "crop", 36, "bicubic", antialias=True)
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
    ],
)
def test_a_folder_of_which_mlflow_would_load_something_else_is_refused(change, told, copy):
    change(copy)
    with pytest.raises(ModelRefused, match=told):
        inspect(copy, PLAIN)


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
    assert files.contract.fit == Fit(3, 64, 64, "crop", 67, "bicubic")
    assert files.contract.source("height") == "timm's pretrained_cfg in config.json"
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(loaded(files)(images).logits, net(images).logits)


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
