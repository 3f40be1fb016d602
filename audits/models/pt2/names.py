"""Names: identifiers of plain letters, since torch writes them into Python source."""

import keyword
import re
from functools import cache

import torch
from torch import nn

from audits.models.pt2.documents import Json, refused

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,199}")  # torchvision's RegNet has "block1-0"
_PARTS = 30
# Names that the source which torch writes uses for other things.
_TAKEN = {"self", "torch", "fx_pytree", "pytree", "device", "inf", "nan", "math", "NoneType", "L"}


def identifier(value: Json, what: str = "a name") -> str:
    """`value` if it is an identifier that means nothing else. Raises ModelRefused."""
    usual = isinstance(value, str) and _IDENTIFIER.fullmatch(value)
    if not usual or value in _TAKEN or value.startswith("__") or keyword.iskeyword(value):
        raise refused(f"{what} that is a plain identifier", value)
    return str(value)


def dotted(value: Json, what: str = "a name of a parameter") -> str:
    """`value` if it is names of letters, digits, _ and - with dots between. Raises ModelRefused."""
    parts = value.split(".") if isinstance(value, str) else []
    if not 0 < len(parts) <= _PARTS or not all(_usual(part) for part in parts):
        raise refused(f"{what} of plain identifiers", value)
    return ".".join(parts)


def _usual(part: str) -> bool:
    return bool(_PART.fullmatch(part)) and not part.startswith("__") and part not in _attributes()


@cache
def _attributes() -> frozenset[str]:
    """What a module has already: a parameter of such a name would take its place."""
    graph_module = torch.fx.GraphModule(nn.Module(), torch.fx.Graph())
    return frozenset(dir(graph_module)) | {"_guards_fn", "_in_spec", "_out_spec"}
