"""Compares the class names of config and metadata with those that a model's own files carry.

The names of config and metadata come first. Whoever serves the model may read the others.
"""

from collections.abc import Sequence

from audits.errors import ModelRefused, quoted
from audits.models.class_keys import loose, synonyms
from audits.models.contract import Said
from audits.models.numbered_names import numbers_in


def expect_own_order(said: Sequence[Said], own: Sequence[Said]) -> tuple[str, ...]:
    """Warnings about class names in `said` that differ from those of the model's `own` files.

    Each source of `own` is compared with the first of `said` that names classes; if none does, the
    first of `own` is taken. Names that differ in spelling alone, or are synonyms, are the same.
    Raises ModelRefused for a name, or the first of several synonyms, that both have at another
    place, and for numbers behind one word (LABEL_1, digit 1) at another place.
    """
    named = [(one.by, one.values["classes"]) for one in said if one.values.get("classes")]
    theirs = [(one.by, one.values["classes"]) for one in own if one.values.get("classes")]
    if not (named or theirs):
        return ()
    by, names = (named or theirs)[0]
    warnings = []
    for other_by, others in theirs:
        moved = _moved(names, others)
        if moved is None:
            moved = _moved_number(names, others)
        if moved is not None:
            raise ModelRefused(
                f"Expected the classes in one order, got those of {by} in another order than in "
                f"{other_by}, which has {_told(names, others, moved)}. Correct one of them: the "
                "order is that of the logits."
            )
        if not (places := _apart(names, others)):
            continue
        count = max(len(names), len(others))
        told = _told(names, others, places[0])
        warnings.append(
            f"{len(places)} of {count} classes have other names in {other_by} than in {by}, which "
            f"were taken: {other_by} has {told}. If that is another order or another model, all "
            "figures are wrong."
        )
    return tuple(warnings)


def _apart(names: Sequence[str], others: Sequence[str]) -> list[int]:
    """The indices at which two lists have different names."""
    count = max(len(names), len(others))
    return [i for i in range(count) if not _same(names[i : i + 1], others[i : i + 1])]


def _same(one: Sequence[str], other: Sequence[str]) -> bool:
    if not (one and other):
        return False
    (a,), (b,) = one, other
    return _key(a) == _key(b) or not synonyms(a).isdisjoint(synonyms(b))


def _moved(names: Sequence[str], others: Sequence[str]) -> int | None:
    """The first index at which `others` have a name that stands at another place in `names`.

    Of several synonyms the first counts, which people are shown.
    """
    known = {key for name in names for key in keys(name)}
    for i, other in enumerate(others):
        here = keys(names[i]) if i < len(names) else set()
        first = _key(other.partition(",")[0])
        if any(key in known and key not in here for key in (_key(other), first)):
            return i
    return None


def _moved_number(names: Sequence[str], others: Sequence[str]) -> int | None:
    """The first index at which `others` have a number that stands at another place in `names`."""
    found = numbers_in(names)[:1], numbers_in(others)[:1]
    if not all(found) or found[1] == [tuple(range(len(others)))]:  # these are indices
        return None
    (numbers,), (theirs,) = found
    for i, number in enumerate(theirs):
        if number is not None and number in numbers and numbers[i : i + 1] != (number,):
            return i
    return None


def _told(names: Sequence[str], others: Sequence[str], place: int) -> str:
    return f"{_at(others, place)} and not {_at(names, place)} at index {place}"


def keys(name: str) -> set[str]:
    """By what a name is known: itself, without its spelling, and its synonyms."""
    return {_key(name), *synonyms(name)}


def _key(name: str) -> str:
    return loose(name) or name.strip()


def _at(names: Sequence[str], index: int) -> str:
    return quoted(names[index]) if index < len(names) else "none"
