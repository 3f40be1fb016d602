"""Payload: one tensor of a network and its place in a member of the archive."""

import re
from dataclasses import dataclass

from audits.models.pt2.container import Container
from audits.models.pt2.documents import Json, boolean, document, field, mapping, refused
from audits.models.pt2.graph import meta_json
from audits.models.pt2.names import dotted
from audits.models.pt2.tensors import TensorMeta

CONFIG_BYTES = 64 << 20
_FILE = {
    "weights": re.compile(r"weight_[0-9]{1,6}", re.ASCII),
    "constants": re.compile(r"tensor_[0-9]{1,6}", re.ASCII),
}


@dataclass(frozen=True)
class Payload:
    """A tensor whose numbers are raw bytes in the member `member`."""

    member: str
    is_param: bool
    meta: TensorMeta

    @classmethod
    def read(cls, value: Json, folder: str, name: str, container: Container) -> "Payload":
        """Raises ModelRefused unless the member has all the bytes of the tensor."""
        file = field(value, "path_name", "a tensor's file")
        if boolean(field(value, "use_pickle", "a tensor's file"), "use_pickle"):
            raise refused(f"the numbers of {name} as raw bytes", "a pickle")
        if not isinstance(file, str) or not _FILE[folder].fullmatch(file):
            raise refused("a tensor's file", file)
        member = f"data/{folder}/{file}"
        if member not in container.members:
            raise refused(f"a record {member}", "none")
        meta = TensorMeta.read(field(value, "tensor_meta", "a tensor's file"))
        _expect_inside(meta, name, container.members[member].size)
        return cls(member, boolean(field(value, "is_param", "a tensor's file"), "is_param"), meta)

    def json(self, file: str) -> Json:
        """As torch writes it, in another file."""
        return {
            "path_name": file,
            "is_param": self.is_param,
            "use_pickle": False,
            "tensor_meta": meta_json(self.meta),
        }


def read_payloads(container: Container, folder: str) -> dict[str, Payload]:
    """The tensors in data/weights or data/constants by their names. Raises ModelRefused."""
    config = document(container.read(f"data/{folder}/model_{folder}_config.json", CONFIG_BYTES))
    entries = mapping(field(config, "config", "the list of tensors"), "the list of tensors")
    found = {
        dotted(name): Payload.read(one, folder, name, container) for name, one in entries.items()
    }
    dtypes: dict[str, int] = {}
    for name, payload in found.items():
        if dtypes.setdefault(payload.member, payload.meta.dtype) != payload.meta.dtype:
            raise refused("tensors of one dtype in a file", name)
    return found


def _expect_inside(meta: TensorMeta, name: str, size: int) -> None:
    values = [one.value for one in (meta.storage_offset, *meta.sizes, *meta.strides)]
    offset, *others = [one for one in values if isinstance(one, int)] or [0]
    if len(others) + 1 != len(values):
        raise refused(f"sizes of {name} that are numbers", "shapes")
    sizes, strides = others[: len(meta.sizes)], others[len(meta.sizes) :]
    reach = 0
    if 0 not in sizes:
        pairs = zip(sizes, strides, strict=True)
        reach = offset + 1 + sum((one - 1) * stride for one, stride in pairs)
    if reach * meta.item_bytes > size or size % meta.item_bytes:
        raise refused(f"{reach * meta.item_bytes} bytes for {name}", size)
