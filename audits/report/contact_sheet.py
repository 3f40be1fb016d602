"""The contact sheet: all small pictures of an audit on one wide picture."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from audits.evidence.evidence import Evidence, Picture

_CELL, _GAP, _MARGIN, _LABEL, _HEAD = 72, 4, 16, 96, 44
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


def contact_sheet(evidence: Sequence[Evidence], title: str) -> Image.Image | None:
    """Blocks side by side, one for each check: a column for each slider, a row for each step.

    None if no check has small pictures.
    """
    small = {e.check: [p for p in e.pictures if p.small] for e in evidence}
    blocks = [_block(check, pictures) for check, pictures in small.items() if pictures]
    if not blocks:
        return None
    height = max(b.height for b in blocks) + _HEAD + _MARGIN
    room = sum(b.width for b in blocks) + _MARGIN * (len(blocks) + 1)
    title_width = round(_font(18).getlength(title)) + 2 * _MARGIN
    # Wider than high also for a few classes, since MLflow shows it in a wide pane.
    sheet = Image.new("RGB", (max(room, title_width, 3 * height // 2), height), "white")
    ImageDraw.Draw(sheet).text((_MARGIN, _GAP * 3), title, fill="black", font=_font(18))
    at = _MARGIN
    for block in blocks:
        sheet.paste(block, (at, _HEAD))
        at += block.width + _MARGIN
    return sheet


def _block(check: str, pictures: Sequence[Picture]) -> Image.Image:
    keys = list(dict.fromkeys(p.key for p in pictures))
    names = {p.key: p.name for p in pictures}
    steps = {p.step: p.caption for p in pictures}
    size = (_LABEL + len(keys) * (_CELL + _GAP), _HEAD + len(steps) * (_CELL + _GAP))
    block = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(block)
    draw.text((0, 0), check, fill="black", font=_font(15))
    for column, key in enumerate(keys):
        draw.text(
            (_LABEL + column * (_CELL + _GAP), 22), names[key][:11], fill="dimgray", font=_font(13)
        )
    for row, step in enumerate(sorted(steps)):
        top = _HEAD + row * (_CELL + _GAP)
        draw.text((0, top + _CELL // 2 - 8), steps[step], fill="dimgray", font=_font(13))
        for picture in pictures:
            if picture.step == step:
                left = _LABEL + keys.index(picture.key) * (_CELL + _GAP)
                block.paste(_cell(picture.image), (left, top))
                draw.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), outline="lightgray")
    return block


def _cell(image: np.ndarray) -> Image.Image:
    """The picture in a square cell, whole and in its proportions."""
    source = Image.fromarray(image).convert("RGB")
    small = max(source.size) <= _CELL
    resample = Image.Resampling.NEAREST if small else Image.Resampling.BOX
    return ImageOps.pad(source, (_CELL, _CELL), method=resample, color="white")


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
