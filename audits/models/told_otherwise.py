"""Refuses matches of classes that the model's own names contradict."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from audits.errors import AuditError, quoted, shortened
from audits.models.class_keys import synonyms
from audits.models.imagenet import english, split_wnid, wnids
from audits.models.numbered_names import numbers_in

_CURE = "Correct the model's names, or say which is meant under preprocessing.class_map."
_LISTED = 120  # characters of a line for the config


def expect_own_numbers(by_index: Iterable[str], names: Sequence[str], origin: str) -> None:
    """Raises AuditError for classes taken as indices if the names have other numbers.

    `names` are the model's, in the order of its logits, such as `LABEL_1`, `LABEL_0`. Numbers above
    their count, as in `Boeing 707`, are none of a logit.
    """
    columns = numbers_in(names, most=len(names))
    indices = {name: int(name) for name in by_index}
    for name, index in indices.items():
        if any(numbers[index] not in (None, index) for numbers in columns):
            raise AuditError(
                f"Expected the class {quoted(name)} of {origin} at index {index} of the model, got "
                f"{quoted(names[index])} there. {_CURE} If indices are meant: "
                f"{shortened(str(indices), _LISTED)}"
            )


def expect_own_places(names: Sequence[str]) -> None:
    """Raises AuditError if a model that gives a class number has classes named by other numbers.

    Whoever asks it may take the number 1 for the class of that name, or for the second class.
    """
    for index, name in enumerate(names):
        if name.isdecimal() and int(name) < len(names) and int(name) != index:
            raise AuditError(
                f"Expected classes that have no other class's number as their name, since the "
                f"model gives the number of a class, got the name {quoted(name)} at index {index}. "
                "Let the model give a row of logits for each image."
            )


def expect_own_wnids(by_wnid: Mapping[str, int], names: Sequence[str], origin: str) -> None:
    """Raises AuditError for classes found by wnid if the model's names are those of others.

    `by_wnid` has the index of each class of the data. The classes of ImageNet have English names,
    and a class of the data may have words behind its wnid.
    """
    named = [(wnid, english()[index]) for wnid, index in wnids().items()] if by_wnid else []
    named += [split_wnid(name) for name in by_wnid]
    bearers: defaultdict[str, set[str]] = defaultdict(set)  # of a name, by wnid
    words: defaultdict[str, set[str]] = defaultdict(set)  # of all names of a wnid
    for wnid, text in named:
        words[wnid] |= _words(text)
        for key in synonyms(text):
            bearers[key].add(wnid)
    for name, index in by_wnid.items():
        wnid, own = split_wnid(name)[0], split_wnid(names[index])[1]
        meant = set().union(*(bearers[key] for key in synonyms(own)))
        # torchvision says "crane bird" to one of ImageNet's two cranes, and others "crane".
        if meant and wnid not in meant and not _words(own) <= words[wnid]:
            raise AuditError(
                f"Expected a name of {quoted(name)} in {origin}, got "
                f"{quoted(names[index])}, which is another class. {_CURE}"
            )


def _words(text: str) -> set[str]:
    return set(text.casefold().replace(",", " ").replace("_", " ").split())
