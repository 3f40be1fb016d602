"""Reads MLmodel and other texts of a model within bounds: a crafted one fills no memory.

MLmodel is read by the parser that MLflow uses, so that it says the same to both, and is refused if
another parser could read it otherwise. That parser is slow and recursive, so libyaml's counts depth
and values first.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from audits.errors import ModelRefused, few, quoted, shortened
from audits.yaml_size import excess

MLMODEL = "MLmodel"
BROKEN = (
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    OverflowError,
    RecursionError,
    SyntaxError,  # NumPy evaluates parts of the name of a dtype
    TypeError,
    ValueError,
    yaml.YAMLError,
    MlflowException,
)
"""Errors that a damaged or crafted text of a model raises when it is read."""

_BYTES = 16 << 20  # a config.json that names 20,000 classes twice has 3 MiB
MLMODEL_BYTES = 2 << 20  # 20,000 classes with long names have 1 MiB
_VALUES = 1_000_000  # in MLmodel, those that an alias repeats counted each time
_DEPTH = 100  # of mappings and lists, one inside the other
_OF_SIGNATURES = {"inputs", "outputs", "params"}
_DIGITS = 100  # of a number: one in base 60, 1:1:1, takes the square of them
# Parsers differ in whether these begin a line, end one, or are text.
_AMBIGUOUS = re.compile("[\ufeff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]|\r(?!\n)")


def bounded_text(file: Path, most: int = _BYTES) -> str:
    """The text of a file in UTF-8 of up to `most` bytes. Raises ModelRefused, and OSError."""
    with file.open("rb") as stream:
        found = stream.read(most + 1)
    if len(found) > most:
        raise ModelRefused(
            f"Expected at most {most >> 20} MiB in {file.name}, got more. Log the model again "
            "without what is not needed to load it."
        )
    return found.decode("utf-8")


def read_mlmodel(folder: Path) -> Model:
    """The file MLmodel in a model's folder.

    Raises ModelRefused if it is larger than any real one, and what `Model.from_dict` and yaml raise
    for values that make no sense.
    """
    text = bounded_text(folder / MLMODEL, MLMODEL_BYTES)
    if odd := _AMBIGUOUS.search(text):
        raise ModelRefused(
            f"Expected plain text in {MLMODEL}, got the control character {odd[0]!r}. Log the "
            "model again."
        )
    _expect_bounded(text)
    values = yaml.load(text, Loader=_Unambiguous)
    if not isinstance(values, dict):
        raise ModelRefused(f"Expected a mapping in {MLMODEL}, got {type(values).__name__}.")
    signature = values.get("signature")
    if odd_keys := set(signature) - _OF_SIGNATURES if isinstance(signature, dict) else None:
        raise ModelRefused(
            f"Expected a signature of {few(sorted(_OF_SIGNATURES))} in {MLMODEL}, got "
            f"{quoted(min(map(str, odd_keys)))} as well. Log the model again."
        )
    if not isinstance(values.get("flavors"), dict):
        raise ModelRefused(f"Expected an {MLMODEL} that names flavours, got none.")
    return Model.from_dict(values)


class _Unambiguous(yaml.SafeLoader):
    """Refuses a key that is twice in a mapping, of which parsers take one or the other."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            twice = next(key for at, key in enumerate(keys) if key in keys[:at])
            raise ModelRefused(
                f"Expected each key once in a mapping of {MLMODEL}, got {quoted(twice)} twice. "
                "Log the model again."
            )
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        if len(node.value) > _DIGITS:
            raise ModelRefused(
                f"Expected numbers of at most {_DIGITS} digits in {MLMODEL}, got "
                f"{shortened(node.value)}. Log the model again."
            )
        whole = node.tag.endswith("int")
        return self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)


for _kind in ("int", "float"):
    _Unambiguous.add_constructor(f"tag:yaml.org,2002:{_kind}", _Unambiguous.construct_number)
# The parser that is written in C, if PyYAML was built with it.
_COUNTING: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _expect_bounded(text: str) -> None:
    """Raises ModelRefused if YAML is too deep, or too large once its aliases are written out."""
    found = excess(text, _COUNTING, _VALUES, _DEPTH)
    if found == "contains itself":
        raise ModelRefused(f"Expected an {MLMODEL} without values that contain themselves.")
    if found == "too large":
        raise ModelRefused(
            f"Expected an {MLMODEL} of at most {_VALUES:,} values, aliases written out, and "
            f"{_DEPTH} levels, got more. Log the model again."
        )
