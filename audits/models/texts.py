"""Reads MLmodel and other texts of a model within bounds: a crafted one fills no memory.

libyaml ends the process if brackets are nested too deep, so that the depth is counted first.
"""

from pathlib import Path
from typing import Any

import yaml
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from audits.errors import ModelRefused

MLMODEL = "MLmodel"
BROKEN = (
    AttributeError,
    KeyError,
    OSError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    yaml.YAMLError,
    MlflowException,
)
"""Errors that a damaged or crafted text of a model raises when it is read."""

_BYTES = 4 << 20  # 20,000 classes with long names have 1 MiB
_VALUES = 1_000_000  # in MLmodel, those that an alias repeats counted each time
_DEPTH = 100  # of mappings and lists, one inside the other


def bounded_text(file: Path) -> str:
    """The text of a file in UTF-8. Raises ModelRefused if it has more than 4 MiB, and OSError."""
    with file.open("rb") as stream:
        found = stream.read(_BYTES + 1)
    if len(found) > _BYTES:
        raise ModelRefused(
            f"Expected at most {_BYTES >> 20} MiB in {file.name}, got more. Log the model again "
            "without what is not needed to load it."
        )
    return found.decode("utf-8")


def read_mlmodel(folder: Path) -> Model:
    """The file MLmodel in a model's folder.

    Raises ModelRefused if it is larger than any real one, and what `Model.from_dict` and yaml raise
    for values that make no sense.
    """
    text = bounded_text(folder / MLMODEL)
    _expect_bounded(text)
    values = yaml.load(text, Loader=_Loader)
    if not isinstance(values, dict):
        raise ModelRefused(f"Expected a mapping in {MLMODEL}, got {type(values).__name__}.")
    if not isinstance(values.get("flavors"), dict):
        raise ModelRefused(f"Expected an {MLMODEL} that names flavours, got none.")
    return Model.from_dict(values)


# The parser that is written in C takes a tenth of the time, if PyYAML was built with it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _expect_bounded(text: str) -> None:
    """Raises ModelRefused if YAML is too deep, or too large once its aliases are written out."""
    sizes: dict[str, int] = {}  # values below each anchor
    open_: list[tuple[str | None, int]] = []  # anchors of open collections, values before them
    values = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ModelRefused(f"Expected an {MLMODEL} without values that contain themselves.")
            values += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                sizes[anchor] = values - before
        elif isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((event.anchor, values))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
            values += 1
        if values > _VALUES or len(open_) > _DEPTH:
            raise ModelRefused(
                f"Expected an {MLMODEL} of at most {_VALUES:,} values, aliases written out, and "
                f"{_DEPTH} levels, got more. Log the model again."
            )
