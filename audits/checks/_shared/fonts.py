"""Fonts for words on pictures: DejaVu Sans, and the machine's fonts for the scripts it lacks."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from audits.errors import one_line

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry

_PLACEHOLDERS = "Last Resort"  # a family of matplotlib's that draws a box for every character
_REGULAR = 400  # the weight of plain letters


class Font(NamedTuple):
    """A file with a font, and the name of its family."""

    file: Path
    family: str


@cache
def dejavu() -> Font:
    """The font that comes with matplotlib: Latin, Greek, Cyrillic, Arabic and more, no Chinese."""
    import matplotlib  # takes long to load, and every process loads this module

    return Font(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", "DejaVu Sans")


def font_for(words: str) -> Font | None:
    """The first font that has every character of the words; None if no font of the machine has."""
    wanted = set(map(ord, one_line(words)))
    return next((font for font in _fonts() if wanted <= _glyphs(font.file)), None)


def families(words: str) -> list[str]:
    """The families for matplotlib's `fontfamily`, in which it looks for each character in turn."""
    plain = dejavu()
    known = _glyphs(plain.file)
    found = font_for("".join(c for c in one_line(words) if ord(c) not in known))
    return [plain.family, found.family] if found and found != plain else [plain.family]


def drawn_name(label: int, classes: Sequence[str]) -> str:
    """The name of a class for a picture; "class 3" if no font has every character of it."""
    name = classes[label]
    return name if font_for(name) else f"class {label}"


def _fonts() -> Iterator[Font]:
    """DejaVu Sans, and then the machine's fonts, plain ones first; looked for only if asked."""
    yield dejavu()
    from matplotlib.font_manager import fontManager

    for entry in sorted(fontManager.ttflist, key=_rank):
        if entry.name.startswith(_PLACEHOLDERS):
            continue
        yield Font(Path(entry.fname), entry.name)


def _rank(entry: "FontEntry") -> tuple[bool, bool, bool, str]:
    regular = entry.weight in ("normal", "regular", _REGULAR)
    return entry.style != "normal", not regular, "Sans" not in entry.name, entry.fname


@cache
def _glyphs(file: Path) -> frozenset[int]:
    """The characters of a font; none of a file that is gone or that cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(str(file)).get_charmap())
    except (OSError, RuntimeError):  # the list of fonts may be older than the fonts
        return frozenset()
