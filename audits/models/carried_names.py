"""Lists of class names that a model carries at places where the audit does not look for names.

Whoever serves the model may read them there: under other keys of the metadata, among the columns of
the signature's outputs, in the properties of an ONNX graph.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlflow.models import Model

from audits.models.class_keys import loose
from audits.models.class_names import names_in
from audits.models.contract import Said
from audits.models.numbered_names import numbered
from audits.models.own_names import expect_own_order, keys
from audits.models.plain_literal import plain_literal

Carried = tuple[tuple[str, tuple[str, ...]], ...]
"""Places in words, each with a list of texts."""

_LONGEST = 1_000_000  # characters of a text that holds a list
_SEPARATORS = ("\n", ",", ";", "|")
_READ = ("classes", "preprocessing")  # keys of the metadata
_CFG, _NAMES = "pretrained_cfg", "label_names"  # timm's; a list of names there is read as well
_APART = ("metadata", "signature")  # keys of MLmodel that are looked at apart
_LEAST = 2  # texts of a list that are classes
_SAYS_NAMES = re.compile("class|label|name|categor|output|id2", re.IGNORECASE)
_KNOWN = 1 / 2  # the share of a list's texts that are classes, so that it names the classes


def of_model(conf: Model) -> Carried:
    """All lists of texts in MLmodel, with its metadata and the names of the signature's outputs.

    Keys that the contract is read from are left out: the config may override these.
    """
    outputs = conf.signature.outputs if conf.signature else None
    columns = outputs.input_names() if outputs is not None and outputs.has_input_names() else []
    names = list(map(str, columns))
    written = {str(key).lstrip("_"): value for key, value in vars(conf).items()}
    rest = {key: value for key, value in written.items() if key not in _APART}
    return (
        *lists_in(_unread(conf.metadata or {}), "the model's metadata"),
        *lists_in(rest, "MLmodel"),
        *lists_in(names if len(names) > 1 else "".join(names), "the signature's outputs"),
    )


def _unread(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata without the keys that the contract is read from."""
    rest = {key: value for key, value in metadata.items() if key not in _READ}
    cfg = rest.get(_CFG)
    if isinstance(cfg, Mapping) and isinstance(cfg.get(_NAMES), list):
        rest[_CFG] = {key: value for key, value in cfg.items() if key != _NAMES}
    return rest


def expect_same_order(names: Sequence[str], carried: Carried) -> None:
    """Raises ModelRefused if a list has a class at another place than `names`, those of the logits.

    A list is of the classes if it has as many texts, none of them twice, and at least two, and half
    of them, are classes, or if it numbers them (LABEL_0, LABEL_1) as the logits' names do. If the
    names are but numbers, it must also stand at a place that says names, since folds, epochs and
    layers have numbers too. The numbers from 0 in their order are indices and no names, and those
    from 1 count columns.
    """
    known = {key for name in names for key in keys(name)}
    in_numbers = bool(numbered(names))

    def are_classes(where: str, texts: tuple[str, ...]) -> bool:
        if in_numbers and not _SAYS_NAMES.search(where):
            return False
        named = sum(not known.isdisjoint(keys(text)) for text in texts)
        if named >= max(_LEAST, len(names) * _KNOWN):
            return True
        return in_numbers and numbered(texts) not in ((), tuple(range(1, len(texts) + 1)))

    said = [
        Said(where, {"classes": texts})
        for where, texts in carried
        if len(texts) == len(names) == len(set(texts))
        and not all(loose(text) == str(i) for i, text in enumerate(texts))
        and are_classes(where, texts)
    ]
    expect_own_order([Said("the logits", {"classes": tuple(names)})], said)


def lists_in(value: Any, where: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """All lists of two or more texts in plain values, each with its place in words.

    They may be a list, a mapping from or to indices, a list of mappings with an index and a name
    each, or a text of any of these, or of names between line ends, commas and their like.
    """
    if isinstance(value, str):
        for inner in _parsed(value):
            yield from lists_in(inner, where)
        return
    if (texts := _texts(value)) is not None:
        yield where, texts
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from lists_in(inner, f"{where}, {key}")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from lists_in(inner, where)


def _texts(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, list | tuple) and value and all(isinstance(v, Mapping) for v in value):
        pairs = [_index_and_name(one) for one in value]
        value = dict(pair for pair in pairs if pair is not None)
        if len(value) < len(pairs):
            return None
    named = list(value.values()) if isinstance(value, Mapping) else value
    if isinstance(value, Mapping) and all(type(one) is int for one in named):
        named = list(value)
    if not isinstance(named, list | tuple) or len(named) < 2:
        return None
    if not any(isinstance(one, str) or (isinstance(one, list) and one) for one in named):
        return None
    try:
        return names_in(dict(value) if isinstance(value, Mapping) else list(value))
    except ValueError:
        return None


def _index_and_name(entry: Mapping[Any, Any]) -> tuple[int, str] | None:
    """The only whole number and the first text of a mapping such as {id: 0, name: cat}."""
    numbers = [one for one in entry.values() if type(one) is int]
    texts = [one for one in entry.values() if isinstance(one, str)]
    return (numbers[0], texts[0]) if len(numbers) == 1 and texts else None


def _parsed(text: str) -> Iterator[Any]:
    """What a text may stand for, other than itself."""
    if not 2 < len(text) <= _LONGEST:
        return
    if text.lstrip()[:1] in ("[", "{", "("):
        for parse in (json.loads, plain_literal):
            try:
                found = parse(text.strip())
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
            if isinstance(found, dict | list | tuple):
                yield found
                return
    for separator in _SEPARATORS:
        parts = [part.strip() for part in text.strip().split(separator)]
        if len(parts) > 1:
            yield [part for part in parts if part]
            return
