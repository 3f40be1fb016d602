"""Form and InputSide: how a network answers and how it is fed, as plain words and as sentences."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from audits.errors import Contradicted
from audits.models.contract import Layout

Ability = Literal["tokens", "gradients", "logits", "probabilities", "predictions"]
"""What a model can give, the most first: each includes those after it."""


def includes(gives: Ability, needs: Ability) -> bool:
    """Whether a model that gives the one gives the other too."""
    abilities = get_args(Ability)
    return abilities.index(gives) <= abilities.index(needs)


Scale = Literal["logits", "log-probabilities", "probabilities", "classes"]
Source = Literal["config", "graph", "values", "model"]

_ONE_AT_A_TIME = "one at a time"
_LOSES_GRADIENT = (
    "Each is at least the smallest normal float. A probability that is rounded to 0 or 1 has no "
    "gradient left."
)
_SCALES = {
    "logits": "",
    "log-probabilities": (
        "The model gives log-probabilities. They differ from its logits by a constant for each "
        "image, so losses and their gradients are those of the logits."
    ),
    "probabilities": (
        "The model gives probabilities. Their logarithms are taken as logits. " + _LOSES_GRADIENT
    ),
    "classes": "",  # a model that gives no more is told of as a whole
}
_COLUMNS = {
    "one logit": (
        "The model gives one logit for two classes: 0 is the logit of the first class, this one "
        "that of the second."
    ),
    "one probability": (
        "The model gives one probability for two classes, that of the second: 0 is taken as the "
        "logit of the first class, log(p / (1 - p)) as that of the second. " + _LOSES_GRADIENT
    ),
}
_LAYOUTS = {"NHWC": "(N, H, W, C)", "NHW": "(N, H, W)", "flat": "rows of H x W pixels"}
_SOURCES = {
    "config": "preprocessing.outputs says so.",
    "graph": "The last operation of its graph says so.",
    "values": "Its values for {tried} tried images say so; set preprocessing.outputs if not.",
    "model": "The model says so.",
}

_BOUNDS = re.compile(
    r"(?P<exactly>[1-9]\d{0,5}) at a time"
    r"|(?P<least>[1-9]\d{0,5}) (or more|to (?P<most>[1-9]\d{0,5}))"
)


class Bounds(NamedTuple):
    """The least and the most rows that a network takes at a time; None: no most."""

    least: int = 1
    most: int | None = None


@dataclass(frozen=True)
class Form:
    """How a network answers: which part of its output is taken, and how that becomes logits."""

    container: str = "tensor"  # or .logits, ['name'], [0]
    scale: Scale = "logits"
    columns: Literal["K", "one logit", "one probability"] = "K"
    rows: str = "batch"  # or "one at a time", "8 at a time", "1 to 128", "3 or more"
    shape: str = "(N, K)"  # of the part that is taken
    half: str = ""  # its dtype, if that is float16 or bfloat16
    source: Source = field(default="values", compare=False)  # of scale and columns
    tried: int = field(default=0, compare=False)  # images whose values were looked at

    @property
    def bounds(self) -> Bounds:
        """The least and the most rows that the network takes at a time; None: no most."""
        if self.rows == _ONE_AT_A_TIME:
            return Bounds(1, 1)
        said = _BOUNDS.fullmatch(self.rows)
        if said is None:
            return Bounds()
        exactly, least, most = said["exactly"], said["least"], said["most"]
        return Bounds(int(exactly or least or 1), int(exactly or most) if exactly or most else None)

    @property
    def at_a_time(self) -> int:
        """The fixed number of rows that the network takes; 0: it takes several numbers."""
        least, most = self.bounds
        return least if least == most else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for people about all that is not plain."""
        told = _COLUMNS.get(self.columns) or _SCALES[self.scale]
        source = _SOURCES[self.source].format(tried=self.tried)
        notes = []
        if self.container != "tensor":
            notes.append(f"The model's output has several parts or a name: {self._part} is taken.")
        if told:
            notes.append(f"{told} {source}")
        if self.at_a_time:
            again = "" if self.at_a_time == 1 else "; the last ones are filled up with copies"
            notes.append(
                f"The model was exported for a fixed batch. Images go through it {self.rows}"
                f"{again}, which is slow. Export it with a dynamic batch, or log it with an "
                "example of at least 2 rows."
            )
        elif self.bounds != Bounds():
            notes.append(f"The model was exported for a batch of {self.rows}.")
        return tuple(notes)

    @property
    def _part(self) -> str:
        return "the first part" if self.container == "[0]" else f"output{self.container}"


@dataclass(frozen=True)
class InputSide:
    """How a network is fed normalised images (N, C, H, W)."""

    layout: Layout = "NCHW"
    dtype: str = ""  # to which images are cast; "": none
    converted: str = ""  # dtype of the weights, if a copy of them in float32 is run
    # The dtype in which it is served, if it is run in another one and could not be tried in it.
    untried: Literal["", "float16", "bfloat16"] = ""

    def given(self, images: Tensor) -> Tensor:
        """The images (N, C, H, W) as the network takes them; whole numbers are rounded."""
        if self.layout == "NHWC":
            images = images.permute(0, 2, 3, 1).contiguous()  # as servers give them
        elif self.layout == "NHW":
            images = images[:, 0]
        elif self.layout == "flat":
            images = images.flatten(1)
        if not self.dtype:
            return images
        dtype: torch.dtype = getattr(torch, self.dtype)
        if not dtype.is_floating_point:
            info = torch.iinfo(dtype)
            images = images.round().clamp(info.min, info.max)
        return images.to(dtype)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for people about all that is not plain."""
        notes = []
        if self.layout != "NCHW":
            notes.append(f"Images are given to the model as {_LAYOUTS[self.layout]}.")
        if self.dtype:
            notes.append(f"Images are cast to {self.dtype} for the model, which runs in it.")
        if self.converted:
            notes.append(f"The model's weights are {self.converted}; it is run in float32.")
        return tuple(notes)


@dataclass(frozen=True)
class Adaptation:
    """Both sides of a network: how it is fed and how it answers."""

    inputs: InputSide = InputSide()
    outputs: Form = Form()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for people about all that is not plain."""
        return (*self.inputs.notes, *self.outputs.notes)

    @property
    def changes_nothing(self) -> bool:
        """Whether the network is fed and answers just as a Classifier expects it."""
        return self.outputs == Form() and self.inputs.layout == "NCHW" and not self.inputs.dtype


def rows_told(bounds: Bounds) -> str:
    """The words of `Form.rows` for the numbers of rows that a network takes."""
    least, most = bounds
    if least == most:
        return _ONE_AT_A_TIME if least == 1 else f"{least} at a time"
    if most is not None:
        return f"{least} to {most}"
    return "batch" if least == 1 else f"{least} or more"


def container_of(output: Any) -> str | None:
    """The part of a network's output that holds its answers; None if there is no tensor to take."""
    if isinstance(output, Tensor):
        return "tensor"
    if isinstance(getattr(output, "logits", None), Tensor):
        return ".logits"
    if isinstance(output, Mapping):
        tensors = [str(name) for name, value in output.items() if isinstance(value, Tensor)]
        name = "logits" if "logits" in tensors else tensors[0] if len(tensors) == 1 else None
        return None if name is None else f"['{name}']"
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        return "[0]"
    return None


def taken(output: Any, container: str) -> Tensor:
    """The part of an output that `container` names. Raises Contradicted if it is not there."""
    if container_of(output) != container:
        raise Contradicted(
            f"Expected an output with {container}, as for other images, got "
            f"{type(output).__name__}. Let the network always answer in one form."
        )
    if container == ".logits":
        output = output.logits
    elif container == "[0]":
        output = output[0]
    elif (name := re.fullmatch(r"\['(.*)'\]", container)) is not None:
        output = next(value for key, value in output.items() if str(key) == name[1])
    found: Tensor = output
    return found
