"""Refuses examples of inputs whose pickle is more than tensors. They are never unpickled."""

import pickletools
import re

from audits.models.pt2.container import Container
from audits.models.pt2.documents import refused

MEMBER = "data/sample_inputs/model.pt"
_BYTES = 64 << 20
_PICKLE_BYTES = 1 << 20
_GLOBALS = re.compile(
    r"torch\._utils _rebuild_(tensor_v2|parameter)|collections OrderedDict|torch \w+Storage"
    r"|torch\.storage UntypedStorage",
    re.ASCII,
)


def expect_plain(container: Container) -> None:
    """Raises ModelRefused unless the pickle of the examples names tensors alone."""
    if MEMBER not in container.members:
        return
    inner = container.zip_in(MEMBER, _BYTES)
    for opcode, value, _ in _opcodes(inner.read("data.pkl", _PICKLE_BYTES)):
        name = opcode.name
        if name == "GLOBAL" and _GLOBALS.fullmatch(str(value)):
            continue
        if name in ("GLOBAL", "INST", "OBJ", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            raise refused("an example of inputs that is tensors alone", value or name)


def _opcodes(data: bytes) -> list[tuple[pickletools.OpcodeInfo, object, int | None]]:
    try:
        return list(pickletools.genops(data))
    except ValueError as error:
        raise refused("an example of inputs that is tensors alone", str(error)) from error
