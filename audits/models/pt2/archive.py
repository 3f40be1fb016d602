"""Archive: all that an archive of torch.export says, read once and strictly."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from audits.errors import ModelRefused
from audits.models.pt2.container import Container, broken
from audits.models.pt2.documents import document, refused
from audits.models.pt2.payloads import Payload, read_payloads
from audits.models.pt2.program import Program
from audits.models.pt2.samples import MEMBER as SAMPLES
from audits.models.pt2.samples import expect_plain

_PROGRAM = "models/model.json"
_PROGRAM_BYTES = 32 << 20  # four times the largest that was seen
_WEIGHTS, _CONSTANTS = "weights", "constants"
# Short records of torch: their names, and texts that they may hold.
_RECORDS = {
    "archive_format": re.compile(rb"pt2"),
    "archive_version": re.compile(rb"0"),
    "byteorder": re.compile(rb"little"),
    "version": re.compile(rb"[0-9]{1,4}\n?"),
    ".data/version": re.compile(rb"[0-9]{1,4}\n?"),
    ".data/serialization_id": re.compile(rb"[0-9]{1,64}"),
}
_EXTRA = re.compile(r"extra/[\w.-]+(/[\w.-]+)*", re.ASCII)  # texts of the owner's


@dataclass(frozen=True)
class Archive:
    """An exported network: its program, and its tensors by their names."""

    program: Program
    weights: dict[str, Payload]
    constants: dict[str, Payload]
    container: Container

    @classmethod
    def read(cls, stream: BinaryIO) -> "Archive":
        """Reads all but the tensors' numbers. Raises ModelRefused."""
        container = Container(stream)
        for name, content in _RECORDS.items():
            if name in container.members and not content.fullmatch(container.read(name, 64)):
                raise broken(f"{name} as torch writes it", container.read(name, 64))
        if not {"archive_format", "archive_version"} <= container.members.keys():
            raise broken("the records of an exported network", list(container.members)[:5])
        weights = read_payloads(container, _WEIGHTS)
        constants = read_payloads(container, _CONSTANTS)
        known = {
            *_RECORDS,
            _PROGRAM,
            SAMPLES,
            *(f"data/{kind}/model_{kind}_config.json" for kind in (_WEIGHTS, _CONSTANTS)),
            *(payload.member for payload in (*weights.values(), *constants.values())),
        }
        for name in container.members:
            if name not in known and not _EXTRA.fullmatch(name):
                raise broken("the records of an exported network", name)
        expect_plain(container)
        program = Program.read(document(container.read(_PROGRAM, _PROGRAM_BYTES)))
        found = cls(program, weights, constants, container)
        found._expect_tensors()
        return found

    def _expect_tensors(self) -> None:
        """Raises ModelRefused unless there is a tensor for each that the program names."""
        for spec in self.program.inputs:
            if spec.kind in ("user_input", "constant_input"):
                continue
            kept = spec.kind == "parameter" or spec.persistent
            if spec.target not in (self.weights if kept else self.constants):
                raise refused(f"the numbers of {spec.target}", "none")


def expect_file(path: Path) -> None:
    """Raises ModelRefused unless `path` is a file, and no pipe or device, which could wait."""
    if not path.is_file():
        raise ModelRefused(
            f"Expected a pt2 archive that is a file, got {path.name!r}. Log it anew."
        )


def added_texts(path: Path) -> tuple[str, ...]:
    """Names of the texts that the owner has added to an archive. Raises ModelRefused.

    torch gives them to whoever loads the archive and asks; the new archive is without them.
    """
    expect_file(path)
    with path.open("rb") as stream:
        return tuple(name for name in Container(stream).members if _EXTRA.fullmatch(name))
