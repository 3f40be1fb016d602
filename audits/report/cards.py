"""Pictures for MLflow's cards: sliders that begin with the answer, and a table of classes."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from PIL import Image, ImageDraw

from audits.evidence.evidence import Evidence, Picture
from audits.report.contact_sheet import cell, enlarge
from audits.report.lettering import PALE, drawn_names, drawn_titles, fitted, length, write
from audits.report.pictures import read_as
from audits.report.strip import DRAWN, stages, titles_of, worst_first
from audits.report.words import SIGNS, step_word

# A card of MLflow makes each picture a square, and shows little more than its upper half if the
# window is 1280 wide. So all that must be seen is there.
_WIDTH, _SIDE, _HEAD = 320, 112, 54
_SIZE = 20  # of words, in pixels; a card makes the picture smaller
_TABLE_CELL = 112


def sliders(evidence: Sequence[Evidence], classes: Sequence[str]) -> tuple[Picture, ...]:
    """All pictures; small ones have stage and reading drawn in; sliders begin with the answer.

    MLflow shows step 0 first. So step 0 is what the model drew, or the last step of a check of
    another package; the steps follow in their order.
    """
    found: list[Picture] = []
    for one in evidence:
        for _, group in groupby(one.pictures, key=lambda picture: picture.key):
            steps = sorted(group, key=lambda picture: picture.step)
            if not all(picture.small for picture in steps):
                found += [replace(p, image=enlarge(p.image)) for p in steps]
                continue
            drawn = [picture for picture in steps if picture.caption in DRAWN]
            found.append(_card([*steps, *drawn][-1], classes, 0, "answer"))
            found += [
                _card(picture, classes, n + 1, f"{n + 1}/{len(steps)}")
                for n, picture in enumerate(steps)
            ]
    return tuple(found)


def class_table(evidence: Sequence[Evidence], classes: Sequence[str]) -> dict[str, list[object]]:
    """Columns of a table with a row for each class that is shown, the worst first.

    Cells are names, pictures (uint8 (H, W, 3)) and how many images were recognised. The heading of
    the names says if some classes are not shown. Empty without pictures.
    """
    shown = stages(evidence, classes)
    if not shown:
        return {}
    titles = worst_first(shown)
    named = titles_of(classes)
    nothing = np.asarray(cell(np.full((1, 1, 3), 255, np.uint8), _TABLE_CELL))
    heading = "class" if len(titles) >= len(classes) else f"class, {len(titles)} of {len(classes)}"
    columns: dict[str, list[object]] = {heading: [named.get(title, title) for title in titles]}
    for stage in shown:
        columns[stage.label] = [
            np.asarray(cell(stage.pictures[title], _TABLE_CELL))
            if title in stage.pictures
            else nothing
            for title in titles
        ]
        if stage.counts:
            counts = [stage.counts.get(title) for title in titles]
            columns[f"{stage.label} recognised"] = [
                f"{count.images} of {count.of}" if count else "" for count in counts
            ]
    return columns


def _card(picture: Picture, classes: Sequence[str], step: int, position: str) -> Picture:
    """The picture on a card with its class, stage, position in the slider, and reading."""
    card = Image.new("RGB", (_WIDTH, _WIDTH), "white")
    draw = ImageDraw.Draw(card)
    stage = f": {fitted(step_word(picture.caption), _WIDTH // 2, _SIZE)}"
    room = _WIDTH - 16 - length(f"{stage}  {position}", _SIZE)
    name = fitted(drawn_titles(classes).get(picture.name, picture.name), room, _SIZE)
    write(draw, (8, 2), name, _SIZE)
    write(draw, (8 + length(name, _SIZE), 2), stage, _SIZE)
    write(draw, (_WIDTH - 8 - length(position, _SIZE), 2), position, _SIZE, PALE)
    signs = ", ".join(SIGNS) if picture.seen and picture.seen.shows == "update" else ""
    beside = fitted(signs or read_as(picture, drawn_names(classes)), _WIDTH - 16, _SIZE)
    write(draw, (8, _HEAD // 2), beside, _SIZE)
    card.paste(cell(picture.image, _SIDE), ((_WIDTH - _SIDE) // 2, _HEAD))
    return replace(picture, image=np.asarray(card), step=step)
