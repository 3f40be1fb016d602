"""Sections of the page: one a check, with how to read it, its figures, tables and pictures."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from audits.checks.base import Check
from audits.evidence.evidence import Evidence, Picture
from audits.report.completed_tiles import ImageTiles, tiles_of
from audits.report.figures import Figures, figures
from audits.report.pictures import NAME, SHOWN, Tile, large, source, tile
from audits.report.readings import class_name, probability_of
from audits.report.tables import Shown, in_words
from audits.report.text import middle


class Slider(NamedTuple):
    """The small pictures of one class, step by step, with the names of the steps."""

    name: str
    steps: tuple[tuple[str, Tile], ...]


class Mistake(NamedTuple):
    """An image that is named wrong: its true class, and the picture with the answer."""

    name: str
    tile: Tile


class Section(NamedTuple):
    """One check."""

    evidence: Evidence
    heading: str
    how_to_read: tuple[str, ...]
    figures: Figures
    tables: tuple[Shown, ...]
    sliders: tuple[Slider, ...]
    images: tuple[ImageTiles, ...]  # that were completed; they have no slider
    large: tuple[Tile, ...]
    mistakes: tuple[Mistake, ...]  # the surest first


def section(
    evidence: Evidence, check: Check | None, classes: Sequence[str], judged: Iterable[str]
) -> Section:
    """The section of a check; `check` is None if the config does not have it."""
    images = tiles_of(evidence, classes)
    return Section(
        evidence,
        heading=(check.plain_name if check else "") or evidence.check.replace("_", " "),
        how_to_read=check.how_to_read if check else (),
        figures=figures(evidence, judged),
        tables=tuple(
            in_words(name, table, check.column_words if check else None)
            for name, table in evidence.tables.items()
        ),
        sliders=() if images else _sliders([p for p in evidence.pictures if p.small], classes),
        images=images,
        large=tuple(large(picture) for picture in evidence.pictures if not picture.small),
        mistakes=tuple(_mistakes(evidence, classes)),
    )


def _mistakes(evidence: Evidence, classes: Sequence[str]) -> Iterator[Mistake]:
    for picture in evidence.examples:
        seen = picture.seen
        if seen is None or seen.shows != "mistaken" or seen.read_as is None:
            continue
        name, read = (class_name(label, classes) for label in (seen.label, seen.read_as))
        sure = probability_of(seen)
        alt = f"Image {seen.image}, {name}, read as {read}{sure}"
        reading = f"read as {middle(read, NAME)}{sure}"
        yield Mistake(name, Tile(alt, source(picture.image), reading=reading, title=alt))


def _sliders(pictures: Sequence[Picture], classes: Sequence[str]) -> tuple[Slider, ...]:
    found: dict[str, list[Picture]] = {}
    for picture in pictures:
        found.setdefault(picture.key, []).append(picture)
    return tuple(
        Slider(
            _name(own, classes),
            tuple(
                (SHOWN.get(p.seen.shows, p.caption) if p.seen else p.caption, tile(p, classes))
                for p in own
            ),
        )
        for own in found.values()
    )


def _name(pictures: Sequence[Picture], classes: Sequence[str]) -> str:
    labels = [p.seen.label for p in pictures if p.seen is not None]
    return class_name(labels[0], classes) if labels else pictures[0].name
