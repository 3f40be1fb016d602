"""Files of a transformers model that nobody reads here, but another may, are refused."""

import json

import pytest

from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing

pytest.importorskip("transformers")
from pipelines import NAMES, reconfigure
from safetensors.torch import load_file, save_file

PLAIN = Preprocessing()


@pytest.mark.parametrize(
    "name",
    [
        *("pytorch_model.bin", "model.fp16.safetensors", "tf_model.h5", "flax_model.msgpack"),
        *("onnx/model.onnx", "handler.py", "labels.txt", "id2label.json", "MLproject"),
        *("model.safetensors.index.json", "optimizer.pt/model.onnx"),
        "../components/image_processor/class_names.json",
    ],
)
def test_what_others_may_load_or_read_is_refused(name, pipeline_copy):
    file = pipeline_copy / "model" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("{}")
    with pytest.raises(ModelRefused, match=r"beside it file that no flavour names \(\w+/"):
        inspect(pipeline_copy, PLAIN)
    assert inspect(pipeline_copy, PLAIN, served_as=("transformers",)).unserved


def test_a_checkpoint_of_the_trainer_is_taken(pipeline_copy):
    for name in ("README.md", "training_args.bin", "trainer_state.json", "rng_state_1.pth"):
        (pipeline_copy / "model" / name).write_text("{}")
    assert inspect(pipeline_copy, PLAIN).classes == NAMES


def test_weights_in_shards_are_those_of_the_index(pipeline_copy):
    whole = pipeline_copy / "model" / "model.safetensors"
    shard = whole.with_name("model-00001-of-00001.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(whole), shard.name)}
    whole.rename(shard)
    whole.with_name("model.safetensors.index.json").write_text(json.dumps(index))
    inspect(pipeline_copy, PLAIN)
    shard.with_name("model-00002-of-00002.safetensors").write_bytes(b"")
    with pytest.raises(ModelRefused, match="model-00002"):
        inspect(pipeline_copy, PLAIN)


@pytest.mark.parametrize(
    "shard", ["../../other.safetensors", "/x.safetensors", ["a"], "..", "a" * 5_000]
)
def test_an_index_names_files_beside_it(shard, pipeline_copy):
    whole = pipeline_copy / "model" / "model.safetensors"
    index = {"weight_map": dict.fromkeys(load_file(whole), shard)}
    whole.rename(whole.with_name("one.safetensors"))
    whole.with_name("model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelRefused, match=r"files beside it in model|no flavour names"):
        inspect(pipeline_copy, PLAIN)


@pytest.mark.parametrize("shards", [False, True])
def test_names_in_the_header_of_the_weights_are_compared(shards, pipeline_copy):
    file = pipeline_copy / "model" / "model.safetensors"
    weights = load_file(file)
    if shards:
        file.unlink()
        file = file.with_name("one.safetensors")
        index = {"weight_map": dict.fromkeys(weights, file.name)}
        file.with_name("model.safetensors.index.json").write_text(json.dumps(index))
    save_file(weights, file, metadata={"format": "pt", "names": ",".join(NAMES)})
    carried = inspect(pipeline_copy, PLAIN).carried
    assert (f"the notes in '{file.name}', names", NAMES) in carried


def test_weights_that_are_no_safetensors_are_refused(pipeline_copy):
    (pipeline_copy / "model" / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelRefused, match="Expected a file of safetensors, got 'model"):
        inspect(pipeline_copy, PLAIN)


def test_a_tokenizer_has_its_own_files_alone(pipeline_copy):
    place = pipeline_copy / "components" / "tokenizer"
    place.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (place / name).write_text("{}")
    listed = {"components": ["image_processor", "tokenizer"], "tokenizer_type": "BertTokenizerFast"}
    reconfigure(pipeline_copy, **listed)
    inspect(pipeline_copy, PLAIN)
    (place / "id2label.json").write_text("{}")
    with pytest.raises(ModelRefused, match=r"no flavour names \(components/tokenizer/id2label"):
        inspect(pipeline_copy, PLAIN)
