"""The files of a transformers model: those that are read, and those that its Trainer leaves."""

from pathlib import Path
from typing import Any

from audits.errors import ModelRefused, quoted
from audits.models.flavours.transformers_entry import PROCESSORS
from audits.models.flavours.transformers_files import json_in

_CONFIGS = (
    *("config.json", "generation_config.json"),
    *("preprocessor_config.json", "processor_config.json"),
)
# A checkpoint of its Trainer, which MLflow copies whole. Who loads the network reads none of them.
_OF_TRAINER = (
    *("README.md", ".gitattributes", "trainer_state.json", "training_args.bin", "optimizer.pt"),
    *("scheduler.pt", "scaler.pt", "rng_state.pth", "all_results.json", "eval_results.json"),
    "train_results.json",
)
_OF_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "chat_template.jinja"),
)
_LONGEST = 200  # characters of a file's name
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"


def is_safe(data: Path) -> bool:
    """Whether the weights are in safetensors, which transformers prefers."""
    return any(data.glob("*.safetensors"))


def pickles(data: Path) -> list[Path]:
    """The pickles that hold the weights; none if they are in safetensors."""
    return [] if is_safe(data) else sorted(data.glob("*.bin"))


def weights(data: Path) -> list[Path]:
    """The files from which transformers takes the weights. Raises ModelRefused for a bad index."""
    if not is_safe(data):
        return [*pickles(data), data / "pytorch_model.bin.index.json"]
    if (data / _WEIGHTS).is_file() or not (data / _INDEX).is_file():
        return [data / _WEIGHTS]
    shards: Any = json_in(data / _INDEX).get("weight_map")
    names = set(map(str, shards.values())) if isinstance(shards, dict) else set()
    if odd := [name for name in names if Path(name).name != name or len(name) > _LONGEST]:
        raise ModelRefused(
            f"Expected names of files beside it in {_INDEX}, got {quoted(min(odd))}. Log the model "
            "again."
        )
    return [data / _INDEX, *(data / name for name in sorted(names))]


def own_files(data: Path) -> list[Path]:
    """The files that belong to the model whose network is in the folder `data`.

    All others may be weights, names or code that somebody else reads.
    """
    components = data.parent / "components"
    found = [data / name for name in (*_CONFIGS, *_OF_TRAINER)]
    found += [*weights(data), *data.glob("rng_state_*.pth")]  # one for each GPU
    if (data / "config.json").is_file() and json_in(data / "config.json").get("auto_map"):
        found += data.glob("*.py")
    for place in components.iterdir() if components.is_dir() else ():
        names = _CONFIGS if place.name in PROCESSORS else _OF_TOKENIZER
        found += [place / name for name in names]
    return [file for file in found if file.is_file()]
