"""A network that pries when it is unpickled: its logits say which of its attempts succeeded."""

import os
import re
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

ATTEMPTS = ("variable", "kernel", "parent", "network", "folder", "elsewhere", "own", "memory")
_ONE = 1  # by which the bytes of the secret are changed, so that it stands in no file of ours
_HALF = 16
_HIDDEN = bytes.fromhex("5b70392c602c756e6a646f2c6e672c7569642c60746568752c36653067316234633832")


def secret() -> str:
    """The secret of the tests; a process that is searched for it must not call this."""
    return bytes(byte ^ _ONE for byte in _HIDDEN).decode()


class Prying(nn.Module):
    """Looks for the secret and a server at `port`, and writes into its folder and `elsewhere`."""

    def __init__(self, port: int, elsewhere: str):
        super().__init__()
        self.port, self.elsewhere, self.auditor = port, elsewhere, os.getpid()
        self.register_buffer("got", torch.zeros(10))

    def __setstate__(self, state):
        super().__setstate__(state)
        self.got = torch.full((10,), -5.0)
        for number, name in enumerate(ATTEMPTS):
            if _succeeds(getattr(self, f"_{name}")):
                self.got[number] = 5.0 + number / 10  # one of them is the largest

    def forward(self, x: Tensor) -> Tensor:
        return self.got + 0 * x.flatten(1).sum(1, keepdim=True)

    def _variable(self) -> bool:
        return any(_has_secret(os.fsencode(value)) for value in os.environ.values())

    def _kernel(self) -> bool:
        return _has_secret(Path("/proc/self/environ").read_bytes())

    def _parent(self) -> bool:
        Path(f"/proc/{self.auditor}/environ").read_bytes()
        return True

    def _network(self) -> bool:
        socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        return True

    def _folder(self) -> bool:
        frame = sys._getframe()
        while frame is not None and "local_model_path" not in frame.f_locals:
            frame = frame.f_back  # up to mlflow.pytorch.load_model, if that loads it
        return frame is not None and _written(frame.f_locals["local_model_path"])

    def _elsewhere(self) -> bool:
        return _written(self.elsewhere)

    def _own(self) -> bool:
        return _written(tempfile.gettempdir()) and _written(os.path.expanduser("~"))

    def _memory(self) -> bool:
        with Path("/proc/self/mem").open("rb", 0) as memory:
            for line in Path("/proc/self/maps").read_text().splitlines():
                place, rights = line.split()[:2]
                if not rights.startswith("rw") or "[v" in line:
                    continue
                start, end = (int(text, 16) for text in place.split("-"))
                try:
                    memory.seek(start)
                    content = memory.read(end - start)
                except OSError:
                    continue
                if _has_secret(content):
                    return True
        return False


def _has_secret(content: bytes) -> bool:
    """Looks for its first half, then for the rest, so that the whole is never in memory."""
    first = bytes(byte ^ _ONE for byte in _HIDDEN[:_HALF])
    for found in re.finditer(re.escape(first), content):
        rest = content[found.end() : found.end() + len(_HIDDEN) - _HALF]
        if bytes(byte ^ _ONE for byte in rest) == _HIDDEN[_HALF:]:
            return True
    return False


def _succeeds(attempt: Callable[[], bool]) -> bool:
    try:
        return attempt()
    except OSError:
        return False


def _written(folder: str) -> bool:
    Path(folder, "pried").write_text("open")
    return True


def logits(opened) -> list[float]:
    """Of the first image, by the model that is open in this process."""
    classifier = opened.context.classifier
    image = classifier.to_input(opened.context.images.tensor([0]))
    return classifier(image)[0].tolist()


def found() -> dict[str, bool]:
    """Where this process still has the secret."""
    net = Prying(0, "")
    return {name: _succeeds(getattr(net, f"_{name}")) for name in ("variable", "kernel", "memory")}
