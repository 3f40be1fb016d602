"""Masks are found by the names of their images, and fitted as these are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from audits.data.fit import Fit
from audits.data.regions import Regions
from audits.data.sources import Csv, Digits, Folder, load
from audits.errors import AuditError


def _saved(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)


@pytest.fixture
def images(tmp_path):
    """Two classes with two images of 6 x 8 pixels each, of the same names."""
    for number, path in enumerate(("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")):
        _saved(tmp_path / "images" / path, np.full((6, 8), 50 * number))
    return load(Folder(path=str(tmp_path / "images")))


@pytest.fixture
def masks(tmp_path):
    for number, path in enumerate(("cat/1.png", "cat/2.bmp", "dog/1.png", "dog/2.png")):
        mask = np.zeros((6, 8))
        mask[:, number : number + 3] = 255
        _saved(tmp_path / "masks" / path, mask)
    return tmp_path / "masks"


def test_masks_are_those_of_the_folder_and_the_name(images, masks):
    found = Regions(str(masks), images).tensor([3, 0, 1])
    assert found.dtype == torch.bool
    for region, number in zip(found, (3, 0, 1), strict=True):
        expected = torch.zeros(6, 8, dtype=torch.bool)
        expected[:, number : number + 3] = True
        assert torch.equal(region, expected)


def test_masks_may_lie_in_one_folder_if_names_differ(tmp_path):
    for path in ("cat/a.png", "dog/b.png"):
        _saved(tmp_path / "images" / path, np.zeros((4, 4)))
    mask = np.eye(4) * 255
    for name in ("a", "b"):
        _saved(tmp_path / "masks" / f"{name}.png", mask)
    found = Regions(str(tmp_path / "masks"), load(Folder(path=str(tmp_path / "images"))))
    assert torch.equal(found.tensor([1])[0], torch.eye(4, dtype=torch.bool))


@pytest.mark.parametrize("white", [1, 128, 255])
def test_the_region_is_what_is_light_in_its_mask(images, masks, white):
    mask = np.zeros((6, 8, 3))
    mask[2:4, 2:4] = white
    mask[0, 0] = white * 0.4
    (masks / "cat/1.png").unlink()
    _saved(masks / "cat/1.png", mask)
    region = Regions(str(masks), images).tensor([0])[0]
    assert region.sum() == 4
    assert region[2:4, 2:4].all()
    _saved(masks / "cat/1.png", np.zeros((6, 8)))
    assert not Regions(str(masks), images).tensor([0]).any()


def test_masks_are_resized_as_images_are(images, masks):
    wide = images.for_model(None, Fit(channels=3, height=12, width=16))
    region = Regions(str(masks), wide).tensor([1])[0]
    assert region.shape == (12, 16)
    assert region[:, 2:8].all()
    assert region.sum() == 12 * 6
    cut = images.for_model(None, Fit(height=6, width=6, resize="crop"))
    assert torch.equal(Regions(str(masks), cut).tensor([1])[0][:, :3], torch.ones(6, 3).bool())


def test_the_digest_changes_with_a_mask(images, masks):
    before = Regions(str(masks), images).digest(range(4))
    assert Regions(str(masks), images).digest(range(4)) == before
    _saved(masks / "dog/2.png", np.zeros((6, 8)))
    assert Regions(str(masks), images).digest(range(3)) == Regions(str(masks), images).digest(
        [0, 1, 2]
    )
    assert Regions(str(masks), images).digest(range(4)) != before


def test_what_cannot_be_is_said(images, masks, tmp_path):
    with pytest.raises(AuditError, match="images that are files"):
        Regions(str(masks), load(Digits()))
    with pytest.raises(AuditError, match="Expected a folder of masks"):
        Regions(str(tmp_path / "nowhere"), images)
    _saved(masks / "dog/1.png", np.zeros((5, 8)))
    with pytest.raises(AuditError, match=r"size of its image, \(6, 8\), got \(5, 8\)"):
        Regions(str(masks), images).tensor([2])
    (masks / "dog/1.png").write_text("no image")
    with pytest.raises(AuditError):
        Regions(str(masks), images).tensor([2])
    (masks / "dog/1.png").unlink()
    with pytest.raises(AuditError, match=r"none or several for 1 of 4: .*dog/1.png"):
        Regions(str(masks), images)
    _saved(masks / "dog/1.png", np.zeros((6, 8)))
    _saved(masks / "dog/1.bmp", np.zeros((6, 8)))
    with pytest.raises(AuditError, match="none or several for 1 of 4"):
        Regions(str(masks), images)


def test_a_mask_is_that_of_one_image(images, tmp_path):
    for name in ("1", "2"):
        _saved(tmp_path / "flat" / f"{name}.png", np.ones((6, 8)))
    with pytest.raises(AuditError, match=r"2 in .*flat for several images"):
        Regions(str(tmp_path / "flat"), images)


COLUMNS = ("left", "top", "right", "bottom")


def _table(tmp_path, boxes):
    """Two images of 8 x 6 pixels, one of which a viewer turns, and a table with their boxes."""
    lines = [f"path,label,{','.join(COLUMNS)}"]
    for number, box in enumerate(boxes):
        pixels = Image.fromarray(np.full((6, 8), 90 * number, dtype=np.uint8))
        exif = pixels.getexif()
        exif[0x0112] = 6 if number else 1  # turned by a quarter
        pixels.save(tmp_path / f"{number}.jpg", exif=exif)
        lines.append(f"{number}.jpg,{'ab'[number]},{','.join(map(str, box))}")
    (tmp_path / "data.csv").write_text("\n".join(lines))
    return load(Csv(path=str(tmp_path / "data.csv")))


def test_boxes_are_in_pixels_as_a_viewer_shows_them(tmp_path):
    images = _table(tmp_path, [(1, 2, 4, 3), (0.4, 0, 3, 8)])
    first = Regions(COLUMNS, replace(images, fit=Fit(exif=True))).tensor([0])[0]
    expected = torch.zeros(6, 8, dtype=torch.bool)
    expected[2, 1:4] = True
    assert torch.equal(first, expected)
    turned = Regions(COLUMNS, replace(images, fit=Fit(exif=True))).tensor([1])[0]
    expected = torch.zeros(8, 6, dtype=torch.bool)
    expected[:, :3] = True
    assert torch.equal(turned, expected)


def test_boxes_are_fitted_as_their_images(tmp_path):
    images = _table(tmp_path, [(0, 0, 4, 6), (0, 0, 8, 3)])
    images = replace(images, fit=Fit(height=12, width=16))
    left, upper = Regions(COLUMNS, images).tensor([0, 1])
    assert torch.equal(left, torch.arange(16).expand(12, -1) < 8)
    assert torch.equal(upper, torch.arange(12)[:, None].expand(-1, 16) < 6)


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ((1, 2, 1, 3), r"a box of numbers for each image, with left < right .* got left 1, top 2"),
        (("x", 2, 3, 4), "got left x, top 2, right 3, bottom 4 for"),
        (("", 2, 3, 4), "got left None"),
        (("nan", 2, 3, 4), "got left nan"),
        ((20, 2, 30, 4), r"a box in its image of 8 x 6 pixels, got left 20, top 2"),
    ],
)
def test_a_box_that_cannot_be_is_told_in_one_line(box, told, tmp_path):
    images = _table(tmp_path, [box, (0, 0, 3, 3)])
    with pytest.raises(AuditError, match=told):
        Regions(COLUMNS, images).tensor([0])


def test_a_column_that_is_not_there_is_told(tmp_path):
    images = _table(tmp_path, [(0, 0, 3, 3)] * 2)
    with pytest.raises(AuditError, match=r"a column 'lft' in .*, found none. Did you mean 'left'"):
        Regions(("lft", *COLUMNS[1:]), images)


def test_the_digest_is_of_the_boxes(tmp_path):
    images = _table(tmp_path, [(0, 0, 3, 3)] * 2)
    other = _table(tmp_path, [(0, 0, 3, 3), (0, 0, 3, 4)])
    assert Regions(COLUMNS, images).digest([0]) == Regions(COLUMNS, other).digest([0])
    assert Regions(COLUMNS, images).digest([0, 1]) != Regions(COLUMNS, other).digest([0, 1])


@pytest.mark.parametrize("case", ["palette", "void", "instances", "colours"])
def test_masks_of_class_numbers_are_refused(case, tmp_path):
    numbers = np.zeros((32, 32), np.uint8)
    numbers[8:24, 8:24], numbers[9:23, 9:23] = 255, 1  # as PASCAL VOC has them: a border is void
    if case == "instances":
        numbers = np.where(numbers == 1, np.where(np.arange(32) < 16, 2, 5), 0).astype(np.uint8)
    mask = Image.fromarray(numbers)
    if case == "colours":
        mask = Image.fromarray(
            np.stack([(numbers == 255) * 255, (numbers == 1) * 255], 2)
            .astype(np.uint8)
            .repeat(2, 2)[..., :3]
        )
    if case == "palette":
        mask = mask.convert("P")
        mask.putpalette([0, 0, 0, 64, 0, 0, *[0] * (762 - 3), 224, 224, 192])
    _saved(tmp_path / "images" / "cat" / "1.png", np.full((32, 32), 9))
    (tmp_path / "masks").mkdir()
    mask.save(tmp_path / "masks" / "1.png")
    regions = Regions(str(tmp_path / "masks"), load(Folder(path=str(tmp_path / "images"))))
    with pytest.raises(AuditError, match=r"white in the region .* got several colours"):
        regions.tensor([0])


@pytest.mark.parametrize(
    ("colour", "ending"),
    [("white", "png"), ("white", "jpg"), ("red", "png"), ("red", "jpg"), ("#404000", "png")],
)
def test_edges_of_masks_may_be_soft_and_white_may_be_a_colour(ending, colour, tmp_path):
    sharp = Image.new("RGB", (96, 96))
    sharp.paste(colour, (24, 24, 72, 72))
    _saved(tmp_path / "images" / "cat" / "1.png", np.full((32, 32), 9))
    (tmp_path / "masks").mkdir()
    sharp.resize((32, 32), Image.Resampling.BICUBIC).save(tmp_path / "masks" / f"1.{ending}")
    found = Regions(str(tmp_path / "masks"), load(Folder(path=str(tmp_path / "images"))))
    assert abs(found.tensor([0]).float().mean() - 0.25) < 0.03
