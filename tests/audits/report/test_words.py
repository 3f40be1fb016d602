"""Pictures say how many classes they show, and use the words of the glossary."""

import numpy as np
import pytest
from reports import DIGITS, LONG, drawn, filled, performed

from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.evidence.evidence import Evidence, Picture
from audits.report import cards, contact_sheet, strip
from audits.report.contact_sheet import contact_sheet as sheet_of
from audits.report.words import classes_told, step_word


@pytest.fixture
def written(monkeypatch):
    """All words that are written into strip, contact sheet and cards."""
    found = []

    def write(draw, place, words, *more, **named):
        found.append(words)

    for module in (strip, contact_sheet, cards):
        monkeypatch.setattr(module, "write", write)
    return found


def _evidence(classes):
    return [performed(classes), drawn(classes), filled(classes)]


def test_a_number_of_classes_is_told_with_that_of_all():
    assert classes_told(10, DIGITS) == "10 classes"
    assert classes_told(1, ["a"], ordered=True) == "1 class"
    assert classes_told(10, ["c"] * 1000, ordered=True) == (
        "10 of 1,000 classes, chosen at random; those drawn worst first"
    )


def test_strip_sheet_and_table_say_that_they_show_ten_of_forty_classes(written):
    # Titles of pictures are the slugs of the classes.
    classes = tuple(f"class_{n}" for n in range(40))
    evidence = _evidence(classes)
    assert strip.strip(evidence, classes) is not None
    assert written[-1] == "10 of 40 classes, chosen at random; those drawn worst first."
    written.clear()
    sheet_of(evidence, "m v1", classes, {"random_fill": RandomFill.plain_name})
    assert "The model's own drawings: 10 of 40 classes, chosen at random" in written
    assert next(iter(cards.class_table(evidence, classes))) == "class, 10 of 40"


def test_of_more_pictures_than_find_room_the_strip_says_how_many_it_has(written):
    names = tuple(f"class_{n}" for n in range(30))
    image = np.zeros((8, 8, 3), np.uint8)
    pictures = tuple(Picture(f"c/{name}", 0, image, "image") for name in names)
    strip.strip([Evidence(check="c", sentence="s", pictures=pictures)], names)
    assert written[-1] == "11 of 30 classes, chosen at random."


def test_the_line_is_whole_also_below_one_column():
    one = drawn(("a",))
    whole = strip.strip([one], ("a",) * 1 + tuple(f"b{n}" for n in range(39)))
    bare = strip.strip([one], ("a",))
    assert bare.width < whole.width <= strip.WIDTH


def test_no_picture_has_a_word_that_is_not_of_the_glossary(written):
    checks = (RandomFill(), ProgressiveFill())
    headings = {check.name: check.plain_name for check in checks}
    evidence = _evidence(LONG)
    sheet_of(evidence, "m v1", LONG, headings)
    cards.sliders(evidence, LONG)
    text = " ".join(written)
    for word in ("masked", "prototype", "composite", "mean"):
        assert word not in text
    for word in ("with blanks", "drawing", "blanks filled", "whole class", "filled", "random_fill"):
        assert word in text
    words = [step_word(caption) for check in checks for caption in check.captions()]
    assert {"masked", "prototype", "composite", "class mean"}.isdisjoint(words)


def test_red_and_blue_of_an_update_have_words_beside_them(written):
    sheet_of([drawn(DIGITS)], "m v1", DIGITS)
    assert {"red: brighter", "blue: darker"} <= set(written)
