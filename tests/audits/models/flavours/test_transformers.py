"""A network of transformers is fed and named as its own pipeline does it, without its code."""

import io
import json

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from audits.data.built import of_arrays
from audits.data.fit import Fit, fitted
from audits.data.pixels import Pixels, to_tensor
from audits.data.sources import Folder, load
from audits.errors import AuditError, ModelRefused
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing

transformers = pytest.importorskip("transformers")
from pipelines import NAMES, edit, net, processor, reconfigure  # noqa: E402

PLAIN = Preprocessing()


def test_a_pipeline_names_its_contract_and_answers_as_the_pipeline_does(pipeline_folder, loaded):
    files = inspect(pipeline_folder, PLAIN)
    assert (files.flavour, files.trusted, files.classes) == ("transformers", False, NAMES)
    contract = files.contract
    assert contract.fit == Fit(
        3, 32, 32, "crop", 36, "bicubic", antialias=True, exif=True, deep=False
    )
    assert (contract.mean, contract.std) == ((0.3, 0.4, 0.5), (0.2, 0.3, 0.4))
    assert contract.source("mean") == "transformers' preprocessor_config.json and config.json"
    assert contract.questions == ()
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    pipeline = mlflow.transformers.load_model(str(pipeline_folder))
    expected = {row["label"]: row["score"] for row in pipeline(Image.fromarray(image))}
    pixels = fitted(torch.from_numpy(image).permute(2, 0, 1) / 255, contract.fit)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (contract.mean, contract.std))
    given = ((pixels - mean) / std)[None].requires_grad_()
    logits = loaded(files)(given).logits
    (gradient,) = torch.autograd.grad(logits[0, 0], given)
    assert gradient.abs().max() > 0
    scores = logits[0].softmax(0).tolist()
    assert dict(zip(NAMES, scores, strict=True)) == pytest.approx(expected, abs=2e-3)


def test_deep_grey_is_refused_since_the_pipeline_cuts_it(pipeline_folder, tmp_path):
    grey = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    (tmp_path / "a").mkdir()
    Image.fromarray(grey).save(tmp_path / "a" / "0.png")
    pipeline = mlflow.transformers.load_model(str(pipeline_folder))
    cut = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    assert pipeline(Image.open(tmp_path / "a" / "0.png")) == pipeline(cut)
    fit = inspect(pipeline_folder, PLAIN).contract.fit
    for images in (load(Folder(path=str(tmp_path))), of_arrays("x", grey[None], [0], ["a"], 16)):
        with pytest.raises(AuditError, match=r"images of 8 bits, got 1 of more in"):
            images.for_model(None, fit)


def test_an_image_is_turned_upright_as_the_pipeline_does_it(pipeline_folder):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8))
    tags = Image.Exif()
    tags[274] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=tags)
    pipeline = mlflow.transformers.load_model(str(pipeline_folder))
    given = pipeline.preprocess(Image.open(buffer))["pixel_values"][0].float()
    contract = inspect(pipeline_folder, PLAIN).contract
    pixels = fitted(to_tensor(Pixels(np.asarray(image), 6), contract.fit, "it"), contract.fit)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (contract.mean, contract.std))
    assert ((pixels - mean) / std - given).abs().mean() < 0.05


def test_components_without_a_pipeline_are_the_same(tmp_path):
    folder = tmp_path / "model"
    mlflow.transformers.save_model(
        {"model": net(), "image_processor": processor()},
        str(folder),
        task="image-classification",
        pip_requirements=["transformers"],
    )
    assert inspect(folder, PLAIN).contract.fit.resize_to == 36


def test_labels_without_names_name_no_classes(pipeline_copy):
    edit(pipeline_copy / "model" / "config.json", id2label={"0": "LABEL_0", "1": "LABEL_1"})
    assert inspect(pipeline_copy, PLAIN).classes is None


def test_the_image_processor_decides_the_digest(pipeline_copy):
    before = inspect(pipeline_copy, PLAIN).digest
    edit(pipeline_copy / "components" / "image_processor" / "preprocessor_config.json", resample=2)
    assert inspect(pipeline_copy, PLAIN).digest != before


def test_weights_in_a_pickle_need_trust(pipeline_copy, loaded, inspected):
    from safetensors.torch import load_file

    safe = pipeline_copy / "model" / "model.safetensors"
    torch.save(load_file(safe), pipeline_copy / "model" / "pytorch_model.bin")
    both = inspect(pipeline_copy, PLAIN, served_as=("transformers",))
    assert not both.trusted  # the safetensors are taken
    before = loaded(both)(torch.ones(2, 3, 32, 32)).logits
    safe.unlink()
    with pytest.raises(ModelRefused, match="pickle"):
        inspect(pipeline_copy, PLAIN)
    assert torch.equal(loaded(inspected(pipeline_copy))(torch.ones(2, 3, 32, 32)).logits, before)


OWN_CODE = """
from transformers import ResNetForImageClassification
class OwnNet(ResNetForImageClassification):
    pass
"""


def test_code_of_the_models_own_runs_only_if_it_is_trusted(
    pipeline_copy, loaded, inspected, tmp_path, monkeypatch
):
    # The child sets it before it imports transformers; here that is imported already.
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "hf"))
    auto = {"AutoModelForImageClassification": "own_net.OwnNet"}
    edit(pipeline_copy / "model" / "config.json", auto_map=auto, architectures=["OwnNet"])
    reconfigure(pipeline_copy, pipeline_model_type="OwnNet")
    with pytest.raises(ModelRefused, match="or in the model's folder, got auto_map: 'own_net"):
        inspect(pipeline_copy, PLAIN)
    (pipeline_copy / "model" / "own_net.py").write_text(OWN_CODE)
    with pytest.raises(ModelRefused, match="can run any code"):
        inspect(pipeline_copy, PLAIN)
    net = loaded(inspected(pipeline_copy))
    assert type(net).__name__ == "OwnNet"
    assert net(torch.ones(2, 3, 32, 32)).logits.shape == (2, 3)


def test_code_on_a_hub_and_processors_with_code_are_refused(pipeline_copy, inspected):
    config = pipeline_copy / "model" / "config.json"
    edit(config, auto_map={"AutoModelForImageClassification": "someone/else--own.OwnNet"})
    with pytest.raises(ModelRefused, match="got auto_map: 'someone/else--own"):
        inspected(pipeline_copy)
    edit(config, auto_map=None)
    processor = pipeline_copy / "components" / "image_processor" / "preprocessor_config.json"
    edit(processor, auto_map={"AutoImageProcessor": "own.Own"})
    with pytest.raises(ModelRefused, match="components of transformers, got one with code"):
        inspect(pipeline_copy, PLAIN)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_a_network_is_loaded_in_the_dtype_in_which_mlflow_loads_it(name, pipeline_copy, loaded):
    reconfigure(pipeline_copy, torch_dtype=f"torch.{name}")
    served = mlflow.transformers.load_model(str(pipeline_copy)).model
    net = loaded(inspect(pipeline_copy, PLAIN))
    assert net.dtype == served.dtype == getattr(torch, name)
    assert all(map(torch.equal, net.state_dict().values(), served.state_dict().values()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": None}, "task image-classification, got None"),
        ({"task": "text-classification"}, "task image-classification, got 'text-classification'"),
        ({"model_binary": None}, "only the name of one on a hub. .*save_pretrained=True"),
        ({"peft_adaptor": "peft"}, "PEFT adapter. .*merge_and_unload"),
    ],
)
def test_other_forms_are_refused_in_one_line(changes, message, pipeline_copy):
    with pytest.raises(ModelRefused, match=message) as refused:
        inspect(reconfigure(pipeline_copy, **changes), PLAIN)
    assert "\n" not in str(refused.value)


def test_a_config_within_the_config_is_not_taken(pipeline_copy, loaded):
    """transformers takes a mapping whose model_type is that of the class."""
    file = pipeline_copy / "model" / "config.json"
    nested = {**json.loads(file.read_text()), "id2label": dict(enumerate(NAMES[::-1]))}
    edit(file, model_type="other", nested=nested)
    with pytest.raises(ModelRefused, match=r"transformers loads with its config\.json"):
        loaded(inspect(pipeline_copy, PLAIN))


def test_a_network_that_transformers_does_not_have_is_refused(pipeline_copy, loaded):
    edit(pipeline_copy / "model" / "config.json", architectures=["os"])
    reconfigure(pipeline_copy, pipeline_model_type="os")
    with pytest.raises(ModelRefused, match=r"that transformers .* has, got 'os'"):
        loaded(inspect(pipeline_copy, PLAIN))


def test_a_network_of_another_task_is_refused(pipeline_copy, loaded):
    name = "SegformerForSemanticSegmentation"
    edit(pipeline_copy / "model" / "config.json", architectures=[name])
    reconfigure(pipeline_copy, pipeline_model_type=name)
    with pytest.raises(ModelRefused, match=f"a network ForImageClassification, got '{name}'"):
        loaded(inspect(pipeline_copy, PLAIN))


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
    assert files.contract.fit == Fit(3, 64, 64, "crop", 67, "bicubic", exif=True, deep=False)
    assert files.contract.source("height") == "timm's pretrained_cfg in config.json"
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(loaded(files)(images).logits, net(images).logits)
    pipeline_folder = (folder / "model" / "config.json").read_text()
    short = {k: v for k, v in json.loads(pipeline_folder)["pretrained_cfg"].items() if k != "mean"}
    edit(folder / "model" / "config.json", pretrained_cfg=short)
    with pytest.raises(ModelRefused, match="Expected mean in timm's pretrained_cfg"):
        inspect(folder, PLAIN)
    (folder / "model" / "config.json").write_text(pipeline_folder)
    reconfigure(folder, image_processor_type="ViTImageProcessor")
    with pytest.raises(ModelRefused, match="TimmWrapperImageProcessor as image_processor_type"):
        inspect(folder, PLAIN)
    reconfigure(folder, image_processor_type="TimmWrapperImageProcessor")
    place = folder / "components" / "image_processor"
    place.mkdir(parents=True)
    (place / "config.json").write_text(pipeline_folder)
    assert inspect(folder, PLAIN).contract == files.contract
    edit(place / "config.json", pretrained_cfg=short)
    with pytest.raises(ModelRefused, match=r"pretrained_cfg in image_processor/config\.json as in"):
        inspect(folder, PLAIN)
    (place / "preprocessor_config.json").write_text(pipeline_folder)
    with pytest.raises(ModelRefused, match="no file of an image processor beside a network of"):
        inspect(folder, PLAIN)


def test_names_that_transformers_adds_of_itself_are_refused(tmp_path, monkeypatch, loaded):
    """It gives a network of timm with 1,000 classes those of ImageNet."""
    pytest.importorskip("timm")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    cfg = {"input_size": [3, 32, 32], "interpolation": "bicubic", "mean": [0] * 3, "std": [1] * 3}
    config = transformers.TimmWrapperConfig.from_dict(
        {"architecture": "resnet10t", "num_classes": 1000, "pretrained_cfg": cfg}
    )
    net = transformers.TimmWrapperForImageClassification(config).eval()
    folder = tmp_path / "model"
    mlflow.transformers.save_model(
        {"model": net, "image_processor": transformers.TimmWrapperImageProcessor(cfg)},
        str(folder),
        task="image-classification",
        pip_requirements=["transformers"],
    )
    files = inspect(folder, PLAIN)
    assert files.classes[0] == "tench, Tinca tinca"
    loaded(files)
    file = folder / "model" / "config.json"
    edit(file, label_names=None)
    with pytest.raises(ModelRefused, match=r"names or settings of another config \(tench, Tinca"):
        loaded(inspect(folder, PLAIN))


@pytest.mark.parametrize(
    "arguments",
    [{"checkpoint_path": "weights.bin"}, {"in_chans": 3, "pretrained": True}, {"depth": {}}, "x"],
)
def test_arguments_of_timm_that_may_name_a_file_are_refused(arguments, pipeline_copy):
    """timm would unpickle the file at `checkpoint_path`."""
    edit(pipeline_copy / "model" / "config.json", model_args=arguments)
    with pytest.raises(
        ModelRefused, match=r"model_args .* that shape the network and name no file"
    ):
        inspect(pipeline_copy, PLAIN)
    edit(pipeline_copy / "model" / "config.json", model_args={"in_chans": 3, "global_pool": "avg"})
    inspect(pipeline_copy, PLAIN)


def test_a_model_without_all_its_weights_is_refused(pipeline_copy, loaded):
    from safetensors.torch import load_file, save_file

    file = pipeline_copy / "model" / "model.safetensors"
    weights = {k: v for k, v in load_file(file).items() if not k.startswith("classifier")}
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ModelRefused, match=r"all weights .* classifier\.1\.bias.* would be random"):
        loaded(inspect(pipeline_copy, PLAIN))
