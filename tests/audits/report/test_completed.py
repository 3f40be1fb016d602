"""Completed images: their order, their place on a picture, and how they are said to be read."""

from datetime import date

import numpy as np
import pytest
import reports
from completions import CLASSES, colour, completion, with_lift

from audits.config.policy import Policy
from audits.evidence.evidence import Seen
from audits.report.answer import answer
from audits.report.completed import come_first, completed, note, spread
from audits.report.contact_sheet import contact_sheet
from audits.report.html import report
from audits.report.readings import reading_of
from audits.report.strip import HEIGHT, WIDTH, strip
from audits.verdict.decide import decide

_SHOWN = ("photograph", "masked", "smooth", "completed", "foil")  # from left to right


def _place(picture, rgb):
    """Left and top of the pixels of a colour, and the length of its side; None without any."""
    rows, columns = np.nonzero((np.abs(np.asarray(picture).astype(int) - rgb) <= 2).all(axis=2))
    if not len(rows):
        return None
    return int(columns.min()), int(rows.min()), int(columns.max() - columns.min() + 1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"probability": 0.84}, "reference: espresso .84, right"),
        ({"probability": 1.0}, "reference: espresso 1.00, right"),
        (
            {"label": 0, "probability": 0.414, "place": 2},
            "reference: espresso .41, wrong, 2nd guess",
        ),
        ({"label": 0, "place": 5}, "reference: espresso, wrong, 5th guess"),
        ({"label": 0, "place": 6}, "reference: espresso, wrong"),
        ({"label": 0, "read_as": -1, "place": 2}, "reference: no class, wrong, 2nd guess"),
        ({"reader": "model"}, "model: espresso, right"),
    ],
)
def test_a_reading_says_who_read_what_and_whether_that_is_right(changes, told):
    seen = Seen("completed", 3, 1, 1, reader="reference")
    assert reading_of(seen._replace(**changes), CLASSES).told == told


def test_nobody_read_a_picture_without_a_reading():
    assert reading_of(Seen("completed", 3, 1), CLASSES) is None
    assert reading_of(None, CLASSES) is None


def test_the_image_that_is_told_apart_worst_is_first_and_the_other_class_is_named():
    found = completed([completion(3, gaps=(5.0, -2.0, 1.0))], CLASSES)
    assert [image.name for image in found] == ["espresso", "teapot", "cup"]
    assert [image.told_apart for image in found] == [False, True, True]
    shots = found[0].shots
    assert [shot.picture.seen.shows for shot in shots] == list(_SHOWN)
    assert [shot.of for shot in shots] == ["espresso", "", "", "espresso", "teapot"]
    assert shots[1].head == "three quarters blank"
    alone = completed([completion(3, reference=False)], CLASSES)
    assert [image.name for image in alone] == ["cup", "espresso", "teapot"]
    assert {image.told_apart for image in alone} == {None}


def test_a_few_of_many_are_spread_from_the_first_to_the_last():
    assert spread(3, 5) == [0, 1, 2]
    assert spread(10, 2) == [0, 9]
    assert spread(10, 1) == [5]
    assert spread(9, 5) == [0, 2, 4, 6, 8]


@pytest.mark.slow
def test_the_contact_sheet_has_a_row_an_image_from_the_photograph_to_the_other_class():
    gaps = (3.0, 1.0, 2.0, 8.0, 7.0, 6.0, 5.0, 4.0)  # classes 1, 2, 0, 7, 6, 5, 4, 3 in order
    sheet = contact_sheet([completion(8, gaps=gaps)], "m v1: passed", CLASSES)
    assert sheet.width == 900
    places = {
        label: [_place(sheet, colour(label, shows)) for shows in _SHOWN] for label in range(8)
    }
    shown = [label for label, found in places.items() if all(found)]
    assert sorted(shown, key=lambda label: places[label][0][1]) == [1, 0, 6, 5, 3]
    for label in shown:
        lefts, tops, sides = zip(*places[label], strict=True)
        assert list(lefts) == sorted(lefts)
        assert len(set(tops)) == 1
        assert min(sides) >= 140  # a person knows a dog in it
    for label in set(range(8)) - set(shown):
        assert not any(places[label])


def test_the_strip_is_the_image_in_the_middle_and_is_seen_whole():
    found = strip([completion(3, gaps=(5.0, -2.0, 1.0))], CLASSES)
    assert found.size == (WIDTH, HEIGHT)
    places = [_place(found, colour(2, shows)) for shows in _SHOWN]
    assert [place[0] for place in places] == sorted(place[0] for place in places)
    assert min(place[2] for place in places) >= 110
    assert _place(found, colour(0, "photograph")) is None
    assert _place(found, colour(1, "photograph")) is None


def test_long_and_foreign_names_leave_the_pictures_where_they_are():
    classes = [f"{name} {'長い名前' * 9}" for name in CLASSES]
    plain, long = (strip([completion(3)], names) for names in (CLASSES, classes))
    assert plain.size == long.size
    for shows in _SHOWN:
        assert _place(plain, colour(1, shows)) == _place(long, colour(1, shows))


@pytest.mark.parametrize(
    ("side", "low", "first", "told"),
    [
        (96, 0.2, True, False),
        (28, 0.2, False, False),
        (28, 0.0, True, True),
        (96, -0.1, True, True),
    ],
)
def test_completed_images_come_first_if_they_are_photographs_or_other_fills_show_nothing(
    side, low, first, told
):
    digits = reports.DIGITS
    evidence = [with_lift(reports.filled(digits), low), completion(2, side)]
    assert come_first(evidence) is first
    assert bool(note(evidence)) is told
    page = _page(evidence, digits)
    assert ('class="images"' in page.split('id="reason"')[0]) is first
    assert ('class="columns"' in page) is not first
    assert (strip(evidence, digits).size == (WIDTH, HEIGHT)) is first
    sheet = contact_sheet(evidence, "m v1", digits)
    top = _place(sheet, colour(0, "photograph"))[1]
    assert (top < sheet.height // 3) is first  # above the other check's pictures
    assert ("Fills of one step" in page) is told


def test_the_line_names_the_checks_without_lift_and_needs_completed_images():
    lost = [with_lift(reports.drawn(reports.DIGITS), -0.1), with_lift(_fill(), 0.0)]
    assert note([*lost, completion()]) == (
        "Fills of one step are recognised no more often than their null (random_fill and "
        "progressive_fill), so look at the blanks that were filled in many steps (completion)."
    )
    assert note(lost) == ""
    assert note([completion()]) == ""
    assert note([lost[0], with_lift(_fill(), 0.1), completion()]) == ""
    assert not come_first(lost)
    verdict = decide(Policy(), [*lost, completion()], date(2026, 11, 26))
    assert answer(verdict, [*lost, completion()]).note == note([*lost, completion()])


def test_the_page_says_below_each_picture_how_the_reference_read_it():
    page = _page([completion(3)], CLASSES)
    for words in (
        "three quarters blank",
        "asked: espresso",
        "reference: cup .84, right",
        "reference: espresso .40, wrong, 2nd guess",
        "the reference tells its two fills apart",
        'alt="espresso: completed for another class (asked: teapot), reference: teapot .84, right"',
    ):
        assert words in page
    # The fill of cup, on the first screen and below; what is read in blanks is no fault.
    assert page.count('class="tile wrong"') == 2
    first, section = page.split('id="check-1"')
    assert first.count('class="shots"') == 2
    assert section.count('class="shots"') == 3
    assert "data:image/jpeg;base64," in page
    assert "model: cup .84, right" in _page([completion(3, reference=False)], CLASSES)


def _fill():
    return reports.filled(reports.DIGITS)


def _page(evidence, classes):
    verdict = decide(Policy(), evidence, date(2026, 11, 26))
    return report(reports.audited(classes), verdict, evidence)
