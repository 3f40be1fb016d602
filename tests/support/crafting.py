"""Crafts archives of torch.export from a real one, as somebody would who wants code to run."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

PROGRAM = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
SAMPLES = "data/sample_inputs/model.pt"


class Pooled(nn.Module):
    """A network for any batch, height and width, so that its archive has shapes and guards."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)
        self.scale = torch.full((1,), 2.0)  # no buffer: a constant of the archive

    def forward(self, x):
        with torch.no_grad():
            scale = self.scale * 1.5
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)) * scale)


class Attending(nn.Module):
    """A network with attention, so that its archive has texts, -inf, and outputs by name."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 3, 3)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 5)
        self.register_buffer("mask", torch.arange(9) > 7)

    def forward(self, x):
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        scores = torch.einsum("nic, njc -> nij", tokens, tokens)
        scores = scores.masked_fill(self.mask, float("-inf")).softmax(-1)
        attended, _ = self.attention(tokens, tokens, tokens)
        return {"logits": self.head((scores @ attended).mean(1)), "tokens": (tokens,)}


def export(net: nn.Module, file: Path, example: torch.Tensor, *dynamic: int) -> Path:
    """Writes the archive of a network whose dimensions `dynamic` are free; returns the file."""
    shapes = (dict.fromkeys(dynamic, torch.export.Dim.AUTO),)
    torch.export.save(torch.export.export(net.eval(), (example,), dynamic_shapes=shapes), file)
    return file


@dataclass
class Crafted:
    """An archive that can be changed: its records, three of them as JSON, and its last bytes."""

    records: dict[str, bytes]
    program: Any
    weights: Any
    constants: Any
    canary: Path
    entries: list[tuple[str, bytes]] = field(default_factory=list)  # added behind the records
    first: list[tuple[str, bytes]] = field(default_factory=list)  # added before the records
    compression: int = zipfile.ZIP_STORED
    texts: dict[str, Callable[[str], str]] = field(default_factory=dict)  # changes of JSON's text
    finished: Callable[[bytes], bytes] = bytes  # changes of the whole file

    @property
    def graph(self) -> Any:
        return self.program["graph_module"]["graph"]

    @property
    def call(self) -> Any:
        return self.program["graph_module"]["module_call_graph"][0]["signature"]

    def code(self) -> str:
        """An expression that makes the canary, without quotes, dots and newlines."""
        statement = f"open({str(self.canary)!r}, 'w').close()".encode()
        return f"exec(bytes({list(statement)}))"

    def pickled(self) -> bytes:
        """A pickle that makes the canary."""
        return pickle.dumps(_Evil(str(self.canary)))

    def node(self, target: str) -> Any:
        """The first node of an operator."""
        return next(node for node in self.graph["nodes"] if target in node["target"])

    def called(self, target: str, *values: dict[str, Any]) -> None:
        """Puts a call of a function before all other nodes, with one output that is none."""
        inputs = [{"name": "", "arg": value, "kind": 1} for value in values]
        outputs = [{"as_none": True}]
        node = {"target": target, "inputs": inputs, "outputs": outputs, "metadata": {}}
        self.graph["nodes"].insert(0, node | {"name": "called"})

    def shape(self, text: str) -> None:
        """Puts a text in place of a shape that torch evaluates."""
        for value in walked(self.program):
            if isinstance(value, dict) and "expr_str" in value:
                value["expr_str"] = text

    def renamed(self, old: str, new: str) -> None:
        """Gives each text that is `old` in the program and the lists of tensors another value."""
        self.program, self.weights, self.constants = (
            _renamed(one, old, new) for one in (self.program, self.weights, self.constants)
        )

    def json(self, name: str, value: Any) -> bytes:
        return self.texts.get(name, str)(json.dumps(value)).encode("utf-8", "surrogateescape")

    def write(self, file: Path) -> Path:
        records = self.records | {
            PROGRAM: self.json(PROGRAM, self.program),
            WEIGHTS: self.json(WEIGHTS, self.weights),
            CONSTANTS: self.json(CONSTANTS, self.constants),
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", self.compression) as archive:
            for name, content in (*self.first, *records.items(), *self.entries):
                archive.writestr(f"model/{name}", content)
        file.write_bytes(self.finished(buffer.getvalue()))
        return file


def crafted(real: Path, canary: Path, change: Callable[[Crafted], None], file: Path) -> Path:
    """Writes the archive `real` with a change to `file`; its code is to make the file `canary`."""
    with zipfile.ZipFile(real) as archive:
        names = {name.split("/", 1)[1]: name for name in archive.namelist()}
        records = {short: archive.read(name) for short, name in names.items()}
    parsed = (json.loads(records[name]) for name in (PROGRAM, WEIGHTS, CONSTANTS))
    made = Crafted(records, *parsed, canary)
    change(made)
    return made.write(file)


def walked(value: Any) -> Iterator[Any]:
    """`value` and everything in it."""
    yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from walked(inner)


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {
            new if key == old else key: _renamed(inner, old, new) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_renamed(inner, old, new) for inner in value]
    return new if value == old else value


class _Evil:
    def __init__(self, canary: str):
        self.canary = canary

    def __reduce__(self):
        return open, (self.canary, "w")
