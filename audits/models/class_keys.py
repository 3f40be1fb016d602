"""Finds a class among the names of a model: as it is written, by wnid, or more loosely."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple
from unicodedata import normalize

from audits.errors import seen
from audits.models.imagenet import english, split_wnid, wnids

_NUMBERS = re.compile(r"[\d_.-]+")
BY_NAME, BY_WNID = "by name", "by wnid"


class Hits(NamedTuple):
    """Indices of the names that match, and the way in which they do."""

    indices: list[int]
    way: str


class Lookup:
    """Names of a model's logits, in their order, of which some may be the same."""

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        self._places: dict[str, dict[str, list[int]]] = {}

    def find(self, name: str) -> Hits:
        """All matches in the strictest way that has a match; no index if none has."""
        for way, keys in _WAYS.items():
            wanted = keys(name)
            places = self._by(way) if wanted else {}
            if hits := sorted({i for key in wanted for i in places.get(key, [])}):
                return Hits(hits, way)
        return Hits([], "")

    def _by(self, way: str) -> dict[str, list[int]]:
        """Indices of the names by their keys of one way."""
        if way not in self._places:
            places = defaultdict(list)
            for i, name in enumerate(self.names):
                for key in _WAYS[way](name):
                    places[key].append(i)
            self._places[way] = places
        return self._places[way]


def loose(name: str) -> str:
    """The name without case, spaces, hidden marks, `_`, `-`, and zeros before a number.

    Letters that look alike by Unicode's form NFKC are the same.
    """
    key = "".join(normalize("NFKC", seen(name)).casefold().split())
    if not _NUMBERS.fullmatch(key):  # a minus or a range of numbers is no mere mark between words
        key = key.replace("_", "").replace("-", "")
    return (key.lstrip("0") or "0") if key.isdigit() else key


def synonyms(name: str) -> set[str]:
    """Loose keys of the parts between commas; a wnid alone has the English name of its class."""
    wnid, rest = split_wnid(name)
    if wnid and not rest and wnid in wnids():
        rest = english()[wnids()[wnid]]
    return {loose(part) for part in rest.split(",")} - {""}


def _exact(name: str) -> set[str]:
    return {name}


def _wnid(name: str) -> set[str]:
    return {split_wnid(name)[0]} - {""}


def _loose(name: str) -> set[str]:
    return {loose(name)} - {""}


_WAYS: dict[str, Callable[[str], set[str]]] = {
    BY_NAME: _exact,
    BY_WNID: _wnid,
    "by name without case, spaces, _ and -": _loose,
    "by a synonym": synonyms,
}
