"""Completed images drawn in a row: five pictures, their classes, and how they were read."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

from audits.evidence.evidence import Evidence
from audits.report import completed
from audits.report.completed import HEADS, Completed, Shot, spread
from audits.report.lettering import INK, LINE, PALE, drawn_names, fitted, length, write
from audits.report.readings import class_name, probability_of, reading_of

_LABELS, _GAP, _LINE = 84, 8, 20
_HEADS, _WORDS = 2, 3  # lines above and below the pictures
_MOST = 5  # images of a check; the report has all
_RIGHT, _WRONG = "#1a7f37", "#cf222e"


def drawn(image: Completed, classes: Sequence[str], size: tuple[int, int]) -> Image.Image:
    """One image with heads above its pictures, `size` (width, height) in pixels.

    `classes` are the names in the order of the model's logits.
    """
    width, height = size
    return _rows([image], classes, width, height - (_HEADS + _WORDS) * _LINE)


def of_check(evidence: Evidence, classes: Sequence[str], width: int, heading: str) -> Image.Image:
    """The images that a check completed, `width` pixels wide: the worst, one between, the best.

    With up to five images all are shown. `heading` is the plain name of the check.
    """
    images = completed.of_check(evidence, classes)
    shown = images if len(images) <= _MOST else [images[at] for at in spread(len(images), _MOST)]
    rows = _rows(shown, classes, width, width)
    lines = [heading, completed.told_order(len(shown), images)]
    picture = Image.new("RGB", (width, rows.height + len(lines) * _LINE + _GAP), "white")
    for line, words in enumerate(lines):
        write(ImageDraw.Draw(picture), (0, line * _LINE), fitted(words, width))
    picture.paste(rows, (0, len(lines) * _LINE + _GAP))
    return picture


def _rows(
    images: Sequence[Completed], classes: Sequence[str], width: int, side: int
) -> Image.Image:
    """`side` is that of each picture, in pixels, if there is room."""
    column, names = (width - _LABELS) // len(HEADS), drawn_names(classes)
    side = min(side, column - _GAP)
    height = side + _WORDS * _LINE + _GAP
    picture = Image.new("RGB", (width, _HEADS * _LINE + len(images) * height - _GAP), "white")
    draw = ImageDraw.Draw(picture)
    for place, shot in enumerate(images[0].shots):
        lines = _in_two(shot.head, column - _GAP)
        for line, words in enumerate(lines, _HEADS - len(lines)):
            _centred(draw, (_LABELS + place * column, line * _LINE), column, words, PALE)
    for number, image in enumerate(images):
        top = _HEADS * _LINE + number * height
        _labels(draw, image, top + side)
        for place, shot in enumerate(image.shots):
            left = _LABELS + place * column
            picture.paste(_cell(shot, side), (left + (column - side) // 2, top))
            _told(draw, shot, names, (left, top + side), column)
    return picture


def _labels(draw: ImageDraw.ImageDraw, image: Completed, top: int) -> None:
    reading = reading_of(image.shots[0].picture.seen, ())
    for line, words in enumerate(("class", reading.reader if reading else "")):
        write(draw, (0, top + line * _LINE), fitted(words, _LABELS), ink=PALE)


def _told(
    draw: ImageDraw.ImageDraw, shot: Shot, names: Sequence[str], place: tuple[int, int], column: int
) -> None:
    """The lines below a picture: class, what was read, and whether that is right."""
    (left, top), seen = place, shot.picture.seen
    if shot.of and seen is not None:
        _centred(draw, (left, top), column, class_name(seen.label, names), INK)
    reading = reading_of(seen, names)
    if reading is None or seen is None or seen.read_as is None:
        return
    # Nobody asked for a class in blanks and null, so it is no fault if none is read there.
    ink = PALE if not shot.of else _RIGHT if reading.right else _WRONG
    behind = probability_of(seen)
    name = fitted(class_name(seen.read_as, names), column - _GAP - length(behind))
    _centred(draw, (left, top + _LINE), column, f"{name}{behind}", ink)
    outcome, short = reading.outcome, reading.outcome.rpartition(", ")[2]
    told = outcome if length(outcome) <= column - 2 else short
    _centred(draw, (left, top + 2 * _LINE), column, told, ink)


def _cell(shot: Shot, side: int) -> Image.Image:
    """The picture in a framed square, sharp if it is small, and smooth if it is a photograph."""
    source = Image.fromarray(shot.picture.image).convert("RGB")
    small = max(source.size) <= side
    resample = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    cell = ImageOps.pad(source, (side, side), method=resample, color="white")
    ImageDraw.Draw(cell).rectangle((0, 0, side - 1, side - 1), outline=LINE)
    return cell


def _in_two(words: str, width: int) -> list[str]:
    """The words on one line or, if they are too wide, on two."""
    if length(words) <= width:
        return [words]
    parts = words.split()
    cuts = [(" ".join(parts[:at]), " ".join(parts[at:])) for at in range(1, len(parts))]
    first, second = min(cuts or [(words, "")], key=lambda cut: max(map(length, cut)))
    return [fitted(first, width), fitted(second, width)]


def _centred(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, words: str, ink: str
) -> None:
    shown = fitted(words, width - 2)
    write(draw, (place[0] + (width - length(shown)) / 2, place[1]), shown, ink=ink)
