"""Pictures show the values of tensors, and the contact sheet shows all small pictures."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from audits.checks._shared.images import picture, signed_picture, sliders
from audits.evidence.evidence import Evidence, Picture
from audits.report.contact_sheet import cell, contact_sheet, enlarge, png
from audits.report.lettering import fitted, length

WHITE = (255, 255, 255)


def _colour(block, column, row):
    """A colour of its own for each picture, never grey, since captions and frames are grey."""
    return (40 + 60 * block, 3 + 20 * column, 250 - 30 * row)


def _evidence(block, columns, rows, size=(8, 8)):
    pictures = tuple(
        Picture(
            key=f"check{block}/class_{column}",
            step=row,
            image=np.full((*size, 3), _colour(block, column, row), np.uint8),
            caption=f"step {row}",
        )
        for column in range(columns)
        for row in range(rows)
    )
    return Evidence(check=f"check{block}", sentence="A sentence.", pictures=pictures)


def _place(sheet, colour):
    """Left, top, right and bottom of the pixels of a colour, which must fill this rectangle."""
    rows, columns = np.nonzero((np.asarray(sheet) == colour).all(axis=2))
    assert len(rows), f"no pixel of {colour}"
    box = columns.min(), rows.min(), columns.max(), rows.max()
    assert len(rows) == (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
    return tuple(int(side) for side in box)


@pytest.mark.slow
def test_the_sheet_has_a_column_a_slider_and_a_row_a_step_in_blocks_below_each_other():
    sheet = contact_sheet([_evidence(0, 10, 6), _evidence(1, 10, 5)], "digits v3: passed")
    places = {
        (block, column, row): _place(sheet, _colour(block, column, row))
        for block, rows in ((0, 6), (1, 5))
        for column in range(10)
        for row in range(rows)
    }
    for (block, column, row), (left, top, right, bottom) in places.items():
        assert right - left > 60
        assert bottom - top > 60
        assert (left, right) == places[0, column, 0][::2]
        assert (top, bottom) == places[block, 0, row][1::2]
        if column:
            assert left > places[block, column - 1, row][2]
        if row:
            assert top > places[block, column, row - 1][3]
    assert places[1, 0, 0][1] > places[0, 0, 5][3]


@pytest.mark.parametrize("classes", [1, 3, 10, 12])
def test_the_sheet_is_as_wide_as_mlflow_shows_it_however_many_the_classes(classes):
    sheet = contact_sheet([_evidence(0, classes, 6), _evidence(1, classes, 5)], "m v1" * 100)
    assert sheet.width == 900
    for column in range(classes):
        assert _place(sheet, _colour(0, column, 0))[2] < 900


def test_columns_that_find_no_room_go_on_below():
    sheet = contact_sheet([_evidence(0, 12, 2)], "m v1")
    first, last = (_place(sheet, _colour(0, column, 0)) for column in (1, 11))
    assert last[0] == first[0]
    assert last[1] > _place(sheet, _colour(0, 1, 1))[3]


def test_a_long_name_loses_its_middle_and_keeps_both_ends():
    name = "".join(map(chr, range(97, 123))) * 400
    cut = fitted(name, 72)
    assert re.fullmatch(r"a.*…z|ab?.*…y?z", cut)
    assert length(cut) <= 72
    assert fitted("cat", 72) == "cat"
    assert fitted("cat", 1) == "…"
    assert fitted("a\nb\u202e", 72) == "a b"


def test_no_draw_accepted_is_told_by_a_hatch_and_not_by_a_colour():
    image = picture(torch.full((1, 8, 8), torch.nan))
    one = Evidence(check="c", sentence="A.", pictures=(Picture("c/a", 0, image, "image"),))
    sheet = contact_sheet([one], "")
    assert not (np.asarray(sheet) == (255, 205, 205)).all(axis=2).any()
    bare = contact_sheet([_evidence(0, 1, 1)], "")
    assert sheet.size == bare.size
    assert cell(image).tobytes() != cell(np.full((8, 8, 3), 255, np.uint8)).tobytes()
    partly = image.copy()
    partly[0, 0] = 0
    kept = cell(partly)
    assert (np.asarray(kept) == (255, 205, 205)).all(axis=2).any()


def test_a_pictures_pixels_are_on_the_sheet_unblurred():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    one = Evidence(
        check="check", sentence="A sentence.", pictures=(Picture("check/a", 0, image, "image"),)
    )
    sheet = np.asarray(contact_sheet([one], ""))
    blocks = {bytes(pixel) for pixel in image.reshape(-1, 3)}
    found = {bytes(pixel) for pixel in sheet.reshape(-1, 3)}
    assert blocks <= found
    left, top, right, bottom = _place(
        contact_sheet([_evidence(0, 1, 1)], ""), _colour(0, 0, 0)
    )  # within its frame of one pixel
    cell = sheet[top - 1 : bottom + 2, left - 1 : right + 2]
    step = len(cell) // 8
    assert np.array_equal(cell[step // 2 :: step, step // 2 :: step], image)


def test_pictures_that_are_not_square_keep_their_proportions():
    sheet = contact_sheet([_evidence(0, 2, 1, size=(10, 30))], "")
    left, top, right, bottom = _place(sheet, _colour(0, 0, 0))
    assert (right - left) / (bottom - top) == pytest.approx(3, rel=0.15)


def test_checks_without_pictures_take_no_room():
    bare = Evidence(check="bare", sentence="A sentence.")
    assert contact_sheet([bare], "title") is None
    assert contact_sheet([], "title") is None
    with_bare = contact_sheet([bare, _evidence(0, 2, 2)], "title")
    assert with_bare.tobytes() == contact_sheet([_evidence(0, 2, 2)], "title").tobytes()


def test_the_sheet_takes_titles_of_any_script():
    assert contact_sheet([_evidence(0, 2, 1)], "größe 数字 v1").width > 0


@pytest.mark.parametrize(
    ("shape", "factor"), [((8, 8, 3), 28), ((28, 28, 3), 8), ((224, 224, 3), 1), ((600, 9, 3), 1)]
)
def test_enlarging_repeats_whole_pixels(shape, factor):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    large = enlarge(image)
    assert large.shape[:2] == (shape[0] * factor, shape[1] * factor)
    assert np.array_equal(large[::factor, ::factor], image)
    assert np.array_equal(large[factor - 1 :: factor, factor - 1 :: factor], image)


def test_png_gives_the_very_pixels_back():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8))
    assert Image.open(io.BytesIO(png(image))).tobytes() == image.tobytes()


def test_a_picture_is_the_image_in_8_bits():
    grey = torch.tensor([[[0.0, 0.5], [1.0, 1 / 255]]])
    assert picture(grey)[..., 0].tolist() == [[0, 128], [255, 1]]
    assert (picture(grey) == picture(grey)[..., :1]).all()
    colour = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert picture(colour).shape == (4, 5, 3)
    assert picture(colour)[2, 3].tolist() == (colour[:, 2, 3] * 255).round().int().tolist()


def test_what_is_not_a_number_is_visible_in_a_picture():
    nothing = picture(torch.full((1, 3, 3), torch.nan))
    assert {tuple(pixel) for pixel in nothing.reshape(-1, 3).tolist()} == {(255, 205, 205)}
    partly = torch.zeros(3, 2, 2)
    partly[1, 0, 0] = torch.nan
    assert picture(partly)[0, 0].tolist() == [255, 205, 205]
    assert picture(partly)[1, 1].tolist() == [0, 0, 0]


def test_a_signed_picture_is_red_above_and_blue_below_zero():
    update = torch.tensor([[[2.0, -2.0], [0.0, 1.0]]])
    assert signed_picture(update).tolist() == [
        [[255, 0, 0], [0, 0, 255]],
        [[255, 255, 255], [255, 128, 128]],
    ]
    assert np.array_equal(signed_picture(update * 1e-12), signed_picture(update))
    assert np.array_equal(signed_picture(-update)[..., ::-1], signed_picture(update))


def test_a_signed_picture_of_nothing_is_white_and_of_nan_is_visible():
    assert (signed_picture(torch.zeros(3, 2, 2)) == 255).all()
    partly = torch.zeros(3, 2, 2)
    partly[2, 0, 0] = torch.nan
    assert signed_picture(partly)[0, 0].tolist() == [255, 205, 205]


def test_sliders_are_in_the_order_of_classes_with_a_picture_a_step():
    shown = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 2, 2, 1).repeat(3, axis=4)
    parts = [
        {"shown_label": np.array([2]), "shown": shown[:1]},
        {"shown_label": np.array([], np.int64), "shown": np.zeros((0, 3, 0, 0, 3), np.uint8)},
        {"shown_label": np.array([0]), "shown": shown[1:]},
    ]
    found = sliders(parts, "fill", "class_", ["a", "b", "c d"], ["one", "two", "three"])
    assert [(p.key, p.step, p.caption) for p in found] == [
        (f"fill/class_{name}", step, caption)
        for name in ("a", "c_d")
        for step, caption in enumerate(["one", "two", "three"])
    ]
    assert np.array_equal(found[0].image, shown[1, 0])
    assert np.array_equal(found[5].image, shown[0, 2])


def test_pictures_that_need_room_are_not_on_the_sheet():
    small, image = _evidence(0, 3, 2), np.zeros((400, 600, 3), np.uint8)
    large = Picture("check0/map", 0, image, "map", small=False)
    both = Evidence(check="check0", sentence="A sentence.", pictures=(*small.pictures, large))
    assert png(contact_sheet([both], "t")) == png(contact_sheet([small], "t"))
    assert contact_sheet([Evidence(check="check0", sentence="A.", pictures=(large,))], "t") is None
