"""A font of two Chinese characters and of ASCII, whose every glyph is a black square."""

from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

FAMILY = "Squares"


def write_font(file: Path) -> None:
    """Writes the font as TrueType."""
    characters = [*range(32, 127), ord("…"), ord("犬"), ord("猫")]
    names = {code: f"u{code:04x}" for code in characters}
    pen = TTGlyphPen(None)
    for move, place in zip(
        ("moveTo", "lineTo", "lineTo", "lineTo"),
        ((100, 0), (100, 700), (800, 700), (800, 0)),
        strict=True,
    ):
        getattr(pen, move)(place)
    pen.closePath()
    square = pen.glyph()
    order = [".notdef", *names.values()]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys(order, square))
    builder.setupHorizontalMetrics(dict.fromkeys(order, (900, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(file)
