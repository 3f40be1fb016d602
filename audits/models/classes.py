"""Matches the classes of a data set to the logits of a model, and says how."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import yaml

from audits.data.imageset import MOST_CLASSES, ImageSet
from audits.data.listing import SPLITS, split_advice
from audits.errors import AuditError, ModelRefused, few, quoted, shortened
from audits.models import carried_names, imagenet
from audits.models.class_keys import BY_NAME, BY_WNID, Lookup, synonyms
from audits.models.class_map import chosen_index, expect_keys_of, only_index
from audits.models.class_names import distinct
from audits.models.files import ModelFiles
from audits.models.imagenet import split_wnid
from audits.models.preprocessing import Preprocessing
from audits.models.told_otherwise import expect_own_numbers, expect_own_wnids

_LISTED = 200  # characters of names in a line for the config
_BY_MAP = "by preprocessing.class_map"
_BY_INDEX = "by index, from 0"
_BY_IMAGENET = "by wnid, in the order of ImageNet's 1,000 classes"
_NAMELESS = "Neither the model's metadata nor the config names the classes: "
PLAIN = f"Classes were matched {BY_NAME}."


@dataclass(frozen=True, eq=False)
class Matched:
    """The classes of a data set as logits of a model.

    `names` are those of the logits, in their order, and all differ. `order`, int64, has the logit
    of each class of the data. `how` is a sentence that says how they were matched. `questions` are
    sentences about facts that decide the figures and that nobody named.
    """

    names: tuple[str, ...]
    order: np.ndarray
    how: str
    questions: tuple[str, ...] = ()
    at_least: bool = False  # the model may have more logits than there are names

    def expect_logits(self, count: int) -> None:
        """Raises ModelRefused if a model with this number of logits does not fit."""
        named = len(self.names)
        if self.at_least and count < named:
            raise ModelRefused(
                f"Expected at least {named} logits, since the classes of the data are taken for "
                f"indices and the highest is {named - 1}, got {count}. Say which logits they are "
                "under preprocessing.class_map."
            )
        if not self.at_least and count != named:
            raise ModelRefused(
                f"Expected logits of {named} classes, as matched to the data, got {count}. Name "
                "the model's classes, in the order of its logits, under preprocessing.classes."
            )


def matched_classes(images: ImageSet, files: ModelFiles, preprocessing: Preprocessing) -> Matched:
    """`matched` for a data set, a model's files and the config. Raises AuditError.

    Raises ModelRefused too, if the model carries the same names in another order.
    """
    chosen, logits = preprocessing.class_map, files.logits
    found = matched(images.classes, files.classes, chosen, logits=logits, origin=images.name)
    carried_names.expect_same_order(found.names, files.carried)
    return found


def matched(
    data: Sequence[str],
    model: Sequence[str] | None,
    class_map: Mapping[str, str | int] | None = None,
    *,
    logits: int | None = None,
    origin: str = "the data",
) -> Matched:
    """Finds the logit of each class of the data.

    `model` are the names of the logits in their order, None if nobody gives them; `logits` is their
    number, if it is known. `class_map` comes first. Names are then compared as they are; by wnid;
    without case, spaces, `_` and `-`; by the synonyms between their commas. Classes that are whole
    numbers are indices. Raises AuditError for a class that matches none or several, for two classes
    that match the same, and for folders of splits.
    """
    chosen = dict(class_map or {})
    expect_keys_of(chosen, data, origin)
    _expect_no_splits(
        [name for name in data if name not in {*chosen, *(model or ())}], data, origin
    )
    if model is None:
        return _unnamed(data, chosen, logits, origin)
    return _named(data, Lookup(model), chosen, origin)


def _named(
    data: Sequence[str], model: Lookup, chosen: dict[str, str | int], origin: str
) -> Matched:
    names = distinct(model.names)
    left = [name for name in data if name not in chosen]
    found = {name: chosen_index(name, target, model) for name, target in chosen.items()}
    ways = dict.fromkeys(found, _BY_MAP)
    for name in left:
        indices, way = model.find(name)
        if way not in (BY_NAME, BY_WNID) and (index := _imagenet_index(name, model)) is not None:
            indices, way = [index], _BY_IMAGENET
        if indices:
            found[name], ways[name] = only_index(name, indices, model), way
    if not found.keys() & set(left) and all(_is_number(name) for name in left):
        inside = [name for name in left if int(name) < len(names)]
        found |= {name: int(name) for name in inside}
        ways |= dict.fromkeys(inside, _BY_INDEX)
    for name in data:
        if name not in found:
            raise AuditError(
                f"Expected classes that the model knows ({few(names)}), got {quoted(name)} in "
                f"{origin}. Name the model's classes, in the order of its logits, under "
                "preprocessing.classes, or say which is meant under preprocessing.class_map."
                f"{_slash_told(name, set(names) - {names[at] for at in found.values()})}"
            )
    _expect_apart(left, found, names, origin)
    by_index = {name: found[name] for name in data if ways[name] == _BY_INDEX}
    expect_own_numbers(by_index, names, origin)
    by_wnid = {name: found[name] for name in data if ways[name] in (BY_WNID, _BY_IMAGENET)}
    expect_own_wnids(by_wnid, names, origin)
    examples: dict[str, list[str]] = defaultdict(list)
    for name in data:
        examples[ways[name]].append(f"{quoted(name)} is {quoted(names[found[name]])}")
    told = [
        f"{way} ({len(pairs)}" + (")" if way == BY_NAME else f"; {pairs[0]})")
        for way, pairs in examples.items()
    ]
    how = PLAIN if set(examples) == {BY_NAME} else f"Classes were matched {', '.join(told)}."
    return Matched(names, _order(data, found), how, _first_index_asked(by_index))


def _slash_told(name: str, left: Iterable[str]) -> str:
    """How to name a class that no folder can be called; empty if there is none in `left`."""
    slashed = min((one for one in left if "/" in one), default=None)
    if slashed is None:
        return ""
    line = yaml.safe_dump({name: slashed}, default_flow_style=True, width=10_000).strip()
    told = f" No folder can be called {quoted(slashed)}, for its slash; if this is the class: "
    return f"{told}preprocessing.class_map: {line}."


def _unnamed(
    data: Sequence[str], chosen: dict[str, str | int], logits: int | None, origin: str
) -> Matched:
    left = [name for name in data if name not in chosen]
    found = {name: chosen_index(name, target, None) for name, target in chosen.items()}
    wnids = imagenet.wnids()
    how = f"{_NAMELESS}the data's were matched {_BY_MAP}."
    if left and all(_is_number(name) for name in left):
        found |= {name: int(name) for name in left}
        how = f"{_NAMELESS}the data's, whole numbers, are taken for the indices of its logits."
    elif (
        left and logits in (None, len(wnids)) and all(split_wnid(name)[0] in wnids for name in left)
    ):
        found |= {name: wnids[split_wnid(name)[0]] for name in left}
        _expect_apart(left, found, tuple(wnids), origin)
        how = f"{_NAMELESS}the data's were matched {_BY_IMAGENET}."
        return Matched(tuple(wnids), _order(data, found), how)
    elif left and chosen:
        raise AuditError(
            f"Expected the indices of all classes of {origin} under preprocessing.class_map, since "
            f"nobody names the model's classes, got none for {few(map(quoted, left))}."
        )
    elif left:
        return _guessed(data)
    highest = max(found, key=lambda name: found[name])
    if found[highest] >= (logits or MOST_CLASSES):
        raise AuditError(
            f"Expected indices of logits, below {logits or MOST_CLASSES}, as classes of "
            f"{origin}, got {quoted(highest)}. Say which logits they are under "
            "preprocessing.class_map."
        )
    numbers = [str(i) for i in range(max(logits or 0, found[highest] + 1))]
    for name, index in found.items():
        numbers[index] = name
    _expect_apart(left, found, numbers, origin)
    asked = _first_index_asked({name: found[name] for name in left})
    return Matched(distinct(numbers), _order(data, found), how, asked, at_least=True)


def _first_index_asked(by_index: Mapping[str, int]) -> tuple[str, ...]:
    """The question whether indices count from 0, if no class shows that; else nothing."""
    if not by_index or 0 in by_index.values():
        return ()
    line = yaml.safe_dump(dict(by_index), default_flow_style=True, width=10_000).strip()
    return (
        f"The data's classes are taken for indices of logits, and none is 0, so they may count "
        f"from 1. Say which logits they are: preprocessing.class_map: {shortened(line, _LISTED)}",
    )


def _guessed(data: Sequence[str]) -> Matched:
    """The data's own order, which nobody has confirmed."""
    names = [shortened(name) for name in data]
    fitting = int((np.cumsum([len(name) + 2 for name in names]) <= _LISTED).sum())
    line = yaml.safe_dump(names[:fitting], default_flow_style=True, width=10_000).strip()
    if fitting < len(data):
        line = line.removesuffix("]") + ", ...]"
    question = (
        "Neither the model's metadata nor the config names the classes, so the order of the logits "
        "is not known. Put these names into that order (see input_doctor's table) and add "
        f"preprocessing.classes: {line}"
    )
    how = f"{_NAMELESS}the data's are taken for its logits, in this order: {few(data)}"
    return Matched(tuple(data), np.arange(len(data)), how, (question,))


def _imagenet_index(name: str, model: Lookup) -> int | None:
    """The index of a wnid, if the model's names are those of ImageNet's classes in their order."""
    index = imagenet.wnids().get(split_wnid(name)[0])
    return index if index is not None and _in_imagenets_order(model.names) else None


@cache
def _in_imagenets_order(names: tuple[str, ...]) -> bool:
    """Whether these are 1,000 names, at least half of which are torchvision's at their place."""
    if len(names) != len(imagenet.wnids()):
        return False
    pairs = zip(names, imagenet.english(), strict=True)
    return 2 * sum(not synonyms(a).isdisjoint(synonyms(b)) for a, b in pairs) >= len(names)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 10


def _expect_no_splits(unknown: Sequence[str], data: Sequence[str], origin: str) -> None:
    if unknown and {name.casefold() for name in data} <= SPLITS:
        raise AuditError(
            f"Expected folders of classes in {origin}, got {few(data)}, which look like splits. "
            f"{split_advice(data)} If they are no folders, correct the labels of the data."
        )


def _expect_apart(
    left: Iterable[str], found: Mapping[str, int], names: Sequence[str], origin: str
) -> None:
    """Raises AuditError if two classes have one logit; `class_map` alone may put them together."""
    taken: dict[int, str] = {}
    for name in left:
        if found[name] in taken:
            raise AuditError(
                f"Expected different classes of the model for {quoted(taken[found[name]])} and "
                f"{quoted(name)} in {origin}, got {quoted(names[found[name]])} for both. Say which "
                "is meant under preprocessing.class_map."
            )
        taken[found[name]] = name


def _order(data: Sequence[str], found: Mapping[str, int]) -> np.ndarray:
    return np.array([found[name] for name in data], dtype=np.int64)
