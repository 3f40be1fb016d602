"""Refuses whatever makes timm look for a network's name or weights elsewhere."""

import re
from collections.abc import Mapping
from typing import Any

from audits.errors import ModelRefused, few, quoted
from audits.models.flavours.transformers_files import is_timm

# Arguments of timm.create_model that shape a network and name no file.
_TIMM_ARGUMENTS = frozenset(
    {"in_chans", "num_classes", "img_size", "global_pool", "drop_rate", "drop_path_rate"}
    | {"act_layer", "norm_layer", "output_stride", "patch_size", "embed_dim", "depth", "num_heads"}
    | {"dynamic_img_size", "class_token", "init_values", "scriptable", "exportable"}
)
_ARCHITECTURE = re.compile(r"[a-z][A-Za-z0-9_.]{0,100}")


def expect_plain_timm(config: Mapping[str, Any]) -> None:
    """Raises ModelRefused if config.json has timm look in a folder, in a file, or on a hub."""
    _expect_plain_arguments(config.get("model_args"))
    if is_timm(config):
        _expect_own_architecture(config.get("architecture"))


def _expect_plain_arguments(arguments: object) -> None:
    """Raises ModelRefused for arguments of a network of timm that are not known to be harmless.

    timm takes paths of checkpoints among them, which it would unpickle.
    """
    given = arguments if isinstance(arguments, Mapping) else {}
    odd = [k for k, v in given.items() if k not in _TIMM_ARGUMENTS or not _is_plain(v)]
    if odd or (arguments is not None and not isinstance(arguments, Mapping)):
        raise ModelRefused(
            "Expected model_args in config.json that shape the network and name no file, got "
            f"{few(odd) or quoted(arguments)}. Save the model without."
        )


def _expect_own_architecture(name: object) -> None:
    """Raises ModelRefused for a name by which timm looks in a folder or on a hub."""
    if not isinstance(name, str) or not _ARCHITECTURE.fullmatch(name):
        raise ModelRefused(
            f"Expected a network of timm by its name as architecture in config.json, got "
            f"{quoted(name)}. Save the model again."
        )


def _is_plain(value: object) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(item is None or isinstance(item, bool | int | float | str) for item in items)
