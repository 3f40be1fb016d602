"""No picture shows boxes for letters: a font of the machine has them, or a number stands there."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from own_font import FAMILY, write_font

from audits.checks._ablation.pictures import _titled
from audits.checks._shared.fonts import dejavu, drawn_name, families, font_for
from audits.checks._shared.grids import tiles
from audits.checks._shared.images import slugs
from audits.evidence.evidence import Evidence, Picture, Seen
from audits.report.cards import sliders
from audits.report.contact_sheet import contact_sheet
from audits.report.lettering import fitted, length
from audits.report.strip import strip

CLASSES = ("犬", "cat", "größe")


@pytest.fixture(params=[False, True], ids=["without", "with"])
def has_font(request, tmp_path, monkeypatch):
    """Whether the machine has a font with Chinese characters beside those of matplotlib."""
    come = Path(matplotlib.get_data_path())  # DejaVu's, and one that draws boxes
    ours = [one for one in font_manager.fontManager.ttflist if come in Path(one.fname).parents]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", ours)
    if request.param:
        write_font(tmp_path / "squares.ttf")
        font_manager.fontManager.addfont(tmp_path / "squares.ttf")
    yield request.param
    font_manager.fontManager._findfont_cached.cache_clear()


def _evidence(name, label=0):
    images = (
        Picture(
            f"fill/{name}",
            step,
            np.zeros((8, 8, 3), np.uint8),
            caption,
            title=name,
            seen=Seen("drawing", 0, label, label),
        )
        for step, caption in enumerate(("image", "prototype"))
    )
    return Evidence(check="fill", sentence="s", pictures=tuple(images))


def test_a_name_is_written_by_a_font_that_has_its_letters_or_told_by_its_number(has_font):
    assert [font_for(name) is None for name in CLASSES] == [not has_font, False, False]
    assert [drawn_name(n, CLASSES) for n in range(3)] == [
        "犬" if has_font else "class 0",
        "cat",
        "größe",
    ]
    assert font_for("cat") == dejavu()
    assert families("cat: first order") == [dejavu().family]
    assert families("犬: first order") == [dejavu().family, *([FAMILY] if has_font else [])]
    assert (_titled(0, CLASSES) == "犬") == has_font
    assert _titled(1, CLASSES) == "cat"


def test_letters_that_no_font_has_become_question_marks_in_titles(has_font):
    assert fitted("m 犬 v1", 400) == ("m 犬 v1" if has_font else "m ? v1")
    long = fitted("犬" * 10_000, 100)
    assert length(long) <= 100
    assert set(long) == (set("犬…") if has_font else set("?…"))


def _pictures(classes):
    """The pictures of an audit as bytes: strip, contact sheet, and the cards of the sliders."""
    evidence = [_evidence(slugs(classes)[0])]
    cards = [np.asarray(card.image).tobytes() for card in sliders(evidence, classes)]
    return [
        strip(evidence, classes).tobytes(),
        contact_sheet(evidence, "m v1", classes).tobytes(),
        *cards,
    ]


def test_every_picture_has_the_number_of_a_class_that_no_font_can_write(has_font):
    chinese, other, numbered = (_pictures([name]) for name in ("犬", "猫", "class 0"))
    assert len(chinese) == 5
    if has_font:  # each of its letters is one and the same square
        assert chinese == other
        assert all(a != b for a, b in zip(chinese, numbered, strict=True))
    else:
        assert chinese[2:] == numbered[2:]
        # Strip and sheet say so in a line of their own.
        assert all(a != b for a, b in zip(chinese[:2], numbered[:2], strict=True))


def test_matplotlib_writes_titles_with_the_same_font(has_font, recwarn):
    picture = tiles([np.zeros((4, 4, 3), np.uint8)], [0.25], [2], "犬: first order")
    assert picture.shape[2] == 3
    missing = [str(one.message) for one in recwarn if "missing from font" in str(one.message)]
    assert (missing == []) == has_font
