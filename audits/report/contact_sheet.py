"""The contact sheet: all small pictures of an audit on one picture that needs no magnifier."""

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from audits.evidence.evidence import Evidence, Picture
from audits.report.completed import come_first, is_of_completion
from audits.report.completed_picture import of_check as completed_block
from audits.report.lettering import (
    LABEL,
    LINE,
    NUMBERED,
    PALE,
    drawn_titles,
    fitted,
    is_missing,
    length,
    missing_cell,
    write,
)
from audits.report.words import SIGNS, classes_told, step_word

WIDTH = 900
_CELL, _GAP, _MARGIN, _LABELS = 72, 4, 12, 116
_TITLE, _HEAD, _SMALL = 20, 26, 12
_COLUMNS = (WIDTH - 2 * _MARGIN - _LABELS) // (_CELL + _GAP)
_SMALLEST_SIDE = 224


def enlarge(image: np.ndarray, side: int = _SMALLEST_SIDE) -> np.ndarray:
    """uint8 (H, W, C) enlarged by a whole number to about `side` pixels, without blur."""
    factor = max(1, round(side / max(image.shape[:2])))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def png(image: Image.Image) -> bytes:
    """The image as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def contact_sheet(
    evidence: Sequence[Evidence],
    title: str,
    classes: Sequence[str] = (),
    headings: Mapping[str, str] | None = None,
) -> Image.Image | None:
    """Blocks below each other, one for each check: a column for each slider, a row for each step.

    It is 900 pixels wide; sliders that find no room there go on in a block of their own below.
    Completed images have a row each, and stand above if the fills of one step show nothing.
    `classes` are the names in the order of the model's logits, `headings` the plain names of checks
    by their names. None if no check has small pictures.
    """
    drawn = drawn_titles(classes)
    if come_first(evidence):
        evidence = sorted(evidence, key=is_of_completion, reverse=True)
    blocks = [block for one in evidence for block in _of_check(one, classes, drawn, headings or {})]
    if not blocks:
        return None
    numbered = any(name not in classes for name in drawn.values())
    height = _TITLE + 3 * _MARGIN + sum(block.height + _MARGIN for block in blocks)
    height += _HEAD if numbered else 0
    sheet = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(sheet)
    shown = fitted(" ".join(title.split()), WIDTH - 2 * _MARGIN, _TITLE)
    write(draw, (_MARGIN, _MARGIN), shown, _TITLE)
    top = _TITLE + 2 * _MARGIN + _MARGIN // 2
    for block in blocks:
        sheet.paste(block, (_MARGIN, top))
        top += block.height + _MARGIN
    if numbered:
        write(draw, (_MARGIN, top), NUMBERED, ink=PALE)
    return sheet


def cell(image: np.ndarray, side: int = _CELL) -> Image.Image:
    """The picture in a square cell, framed, whole and in its proportions.

    If it stands for nothing, because the model accepted no draw, the cell says so.
    """
    if is_missing(image):
        framed = missing_cell(side)
    else:
        source = Image.fromarray(image).convert("RGB")
        small = max(source.size) <= side
        resample = Image.Resampling.NEAREST if small else Image.Resampling.BOX
        framed = ImageOps.pad(source, (side, side), method=resample, color="white")
    ImageDraw.Draw(framed).rectangle((0, 0, side - 1, side - 1), outline=LINE)
    return framed


def _of_check(
    evidence: Evidence,
    classes: Sequence[str],
    drawn: Mapping[str, str],
    headings: Mapping[str, str],
) -> Iterator[Image.Image]:
    heading = headings.get(evidence.check) or evidence.check.replace("_", " ")
    if is_of_completion(evidence):
        yield completed_block(evidence, classes, WIDTH - 2 * _MARGIN, heading)
    elif pictures := [picture for picture in evidence.pictures if picture.small]:
        of_classes = classes if all(p.name in drawn for p in pictures) else None
        yield from _blocks(heading, evidence.check, pictures, drawn, of_classes)


def _blocks(
    heading: str,
    check: str,
    pictures: Sequence[Picture],
    drawn: Mapping[str, str],
    classes: Sequence[str] | None,
) -> Iterator[Image.Image]:
    """Blocks of as many columns as find room; `classes` is None for pictures of something else."""
    keys = list(dict.fromkeys(picture.key for picture in pictures))
    if classes:
        heading += f": {classes_told(len(keys), classes)}"
    for at in range(0, len(keys), _COLUMNS):
        part = keys[at : at + _COLUMNS]
        numbers = f" ({at + 1} to {at + len(part)} of {len(keys)})" if len(keys) > _COLUMNS else ""
        yield _block(heading + numbers, check, part, pictures, drawn)


def _block(
    heading: str,
    check: str,
    keys: Sequence[str],
    pictures: Sequence[Picture],
    drawn: Mapping[str, str],
) -> Image.Image:
    names = {p.key: drawn.get(p.name, p.name) for p in pictures}
    steps = {p.step: p.caption for p in pictures}
    updates = {p.step for p in pictures if p.seen and p.seen.shows == "update"}
    images = {(p.key, p.step): p.image for p in pictures}
    size = (WIDTH - 2 * _MARGIN, 2 * _HEAD + len(steps) * (_CELL + _GAP))
    block = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(block)
    shown = fitted(heading, size[0] * 0.8)
    write(draw, (0, 0), shown)
    left = length(shown) + 2 * _GAP
    write(draw, (left, LABEL - _SMALL), fitted(check, size[0] - left, _SMALL), _SMALL, PALE)
    for column, key in enumerate(keys):
        shown = fitted(names[key], _CELL)
        left = _LABELS + column * (_CELL + _GAP) + (_CELL - length(shown)) / 2
        write(draw, (left, _HEAD), shown, ink=PALE)
    for row, step in enumerate(sorted(steps)):
        top = 2 * _HEAD + row * (_CELL + _GAP)
        lines = [step_word(steps[step]), *(SIGNS if step in updates else ())]
        above = top + (_CELL - len(lines) * (LABEL + _GAP)) // 2
        for number, line in enumerate(lines):
            label = fitted(line, _LABELS - _GAP)
            write(draw, (0, above + number * (LABEL + _GAP)), label, ink=PALE)
        for column, key in enumerate(keys):
            if (key, step) in images:
                left = _LABELS + column * (_CELL + _GAP)
                block.paste(cell(images[key, step]), (left, top))
    return block
