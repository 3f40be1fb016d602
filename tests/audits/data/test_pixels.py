"""Orientation, transparency, depth and colour of image files: as Pillow has them, or said."""

import importlib.util
import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from audits import AuditError
from audits.data.fit import Fit
from audits.data.sources import Folder, Npz, load

RNG = np.random.default_rng(11)
COLOUR = Image.fromarray(RNG.integers(0, 256, (16, 24, 3), dtype=np.uint8))
ALPHA = Image.fromarray(RNG.integers(0, 256, (16, 24, 4), dtype=np.uint8))
ORIENTATION = 0x0112


def _saved(tmp_path, image, name="x.png", **options):
    (tmp_path / "cat").mkdir(exist_ok=True)
    image.save(tmp_path / "cat" / name, **options)


def _load(tmp_path, fit=None, **fields):
    return load(Folder(path=str(tmp_path), **fields)).for_model(None, fit or Fit())


def _tensor(image):
    array = np.asarray(image)
    array = array if array.ndim == 3 else array[:, :, None]
    return torch.from_numpy(array.transpose(2, 0, 1).astype(np.float32) / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("name", "asked"), [("x.jpg", True), ("x.jpg", False), ("x.png", True)])
def test_exif_turns_an_image_only_if_asked(orientation, name, asked, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    _saved(tmp_path, COLOUR, name, exif=exif)
    with Image.open(tmp_path / "cat" / name) as image:
        wanted = ImageOps.exif_transpose(image) if asked else image
        wanted = _tensor(wanted.convert("RGB"))
    images = _load(tmp_path, Fit(exif=asked))
    assert torch.equal(images.tensor([0])[0], wanted)
    said = [note for note in images.notes() if "EXIF" in note]
    if orientation == 1:
        assert said == []
    elif asked:
        assert said == ["1 of 1 images carry an EXIF rotation that is applied."]
    else:
        assert said == [
            "1 of 1 images carry an EXIF rotation that is not applied; set preprocessing.exif: "
            "true if your training applied it."
        ]


def test_an_orientation_that_pillow_applies_is_not_applied_twice(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    _saved(tmp_path, COLOUR, "x.tiff", exif=exif)
    with Image.open(tmp_path / "cat" / "x.tiff") as image:
        wanted = _tensor(image.convert("RGB"))
    images = _load(tmp_path, Fit(exif=True))
    assert torch.equal(images.tensor([0])[0], wanted)
    assert images.notes() == []


@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.2, 0.4, 0.8)])
def test_transparent_parts_show_the_colour_that_is_named(colour, tmp_path):
    _saved(tmp_path, ALPHA)
    behind = Image.new("RGBA", ALPHA.size, (*(round(255 * c) for c in colour), 255))
    wanted = _tensor(Image.alpha_composite(behind, ALPHA).convert("RGB"))
    images = _load(tmp_path, Fit(alpha=colour))
    assert (images.tensor([0])[0] - wanted).abs().max() < 1.01 / 255
    assert any(f"put over the colour {colour}" in note for note in images.notes())


def test_transparency_that_nobody_named_a_colour_for_is_dropped_and_said(tmp_path):
    _saved(tmp_path, ALPHA)
    _saved(tmp_path, COLOUR.convert("RGBA"), "opaque.png")
    images = _load(tmp_path)
    assert torch.equal(images.tensor([1])[0], _tensor(ALPHA.convert("RGB")))
    assert torch.equal(images.tensor([0])[0], _tensor(COLOUR))
    (note,) = images.notes()
    assert note.startswith("1 of 2 images with an alpha channel that were looked at have transp")
    assert note.endswith("whose hidden colour is shown.")


def test_an_alpha_channel_that_is_opaque_everywhere_is_not_worth_a_word(tmp_path):
    _saved(tmp_path, COLOUR.convert("RGBA"))
    assert _load(tmp_path).notes() == []


def test_a_palette_with_a_transparent_entry(tmp_path):
    palette = COLOUR.quantize(16)
    _saved(tmp_path, palette, transparency=3)
    _saved(tmp_path, palette, "y.png")
    with Image.open(tmp_path / "cat" / "x.png") as image:
        rgba = image.convert("RGBA")
    assert np.asarray(rgba)[:, :, 3].min() == 0
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    wanted = _tensor(Image.alpha_composite(white, rgba).convert("RGB"))
    found = _load(tmp_path, Fit(alpha=(1.0, 1.0, 1.0))).tensor([0, 1])
    assert (found[0] - wanted).abs().max() < 1e-6
    assert torch.equal(found[1], _tensor(palette.convert("RGB")))
    assert torch.equal(_load(tmp_path).tensor([0])[0], _tensor(rgba.convert("RGB")))


def test_grey_with_a_transparent_value_stays_grey_unless_the_colour_is_none(tmp_path):
    grey = COLOUR.convert("L")
    value = grey.getpixel((0, 0))
    _saved(tmp_path, grey, transparency=value)
    assert torch.equal(_load(tmp_path).tensor([0])[0], _tensor(grey))
    assert _load(tmp_path, Fit(alpha=(0.5, 0.5, 0.5))).tensor([0])[0, 0, 0, 0] == 0.5
    over_blue = _load(tmp_path, Fit(alpha=(0.0, 0.0, 1.0))).tensor([0])
    assert over_blue[0, :, 0, 0].tolist() == [0, 0, 1]


def test_grey_with_alpha(tmp_path):
    _saved(tmp_path, ALPHA.convert("LA"))
    rgba = ALPHA.convert("LA").convert("RGBA")
    black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
    wanted = _tensor(Image.alpha_composite(black, rgba).convert("RGB"))
    found = _load(tmp_path, Fit(alpha=(0.0, 0.0, 0.0))).tensor([0])[0]
    assert (found - wanted).abs().max() < 1.01 / 255


def test_cmyk_is_pillows_rgb_and_said(tmp_path):
    _saved(tmp_path, COLOUR.convert("CMYK"), "x.jpg")
    with Image.open(tmp_path / "cat" / "x.jpg") as image:
        assert image.mode == "CMYK"
        wanted = _tensor(image.convert("RGB"))
    images = _load(tmp_path)
    assert torch.equal(images.tensor([0])[0], wanted)
    assert images.notes() == [
        "1 of 1 images are CMYK: they are converted to RGB without their colour profile."
    ]


def _deep(tmp_path, highest, name="x.png"):
    image = RNG.integers(0, highest + 1, (8, 8)).astype(np.uint16)
    image[0, 0] = highest
    _saved(tmp_path, Image.fromarray(image), name)
    return torch.from_numpy(image.astype(np.float32))


@pytest.mark.parametrize("name", ["x.png", "x.tiff", "x.pgm"])
def test_sixteen_bits_are_divided_by_65535(name, tmp_path):
    raw = _deep(tmp_path, 65_535, name)
    images = _load(tmp_path)
    assert torch.allclose(images.tensor([0])[0, 0], raw / 65_535, atol=1e-7)
    assert images.notes() == []


def test_a_tiff_of_the_other_byte_order_is_read_right(tmp_path):
    raw = RNG.integers(0, 65_536, (8, 8)).astype(np.uint16)
    (tmp_path / "cat").mkdir()
    file = tmp_path / "cat" / "x.tif"
    Image.frombytes("I;16B", (8, 8), raw.astype(">u2").tobytes()).save(file)
    with Image.open(file) as image:
        assert image.mode == "I;16B"
    found = _load(tmp_path).tensor([0])[0, 0]
    assert torch.allclose(found, torch.from_numpy(raw.astype(np.float32)) / 65_535, atol=1e-7)


def test_values_of_twelve_bits_in_sixteen_are_asked_about(tmp_path):
    raw = _deep(tmp_path, 4_095)
    unsure = _load(tmp_path)
    (question,) = unsure.scan.questions
    assert "no value above 4095" in question
    assert "data.bits: 12" in question
    assert question in unsure.notes()
    twelve, sixteen = _load(tmp_path, bits=12), _load(tmp_path, bits=16)
    assert torch.allclose(twelve.tensor([0])[0, 0], raw / 4_095, atol=1e-7)
    assert torch.allclose(sixteen.tensor([0])[0, 0], raw / 65_535, atol=1e-7)
    assert twelve.scan.questions == sixteen.scan.questions == ()
    assert len({images.digest([0]) for images in (unsure, twelve)}) == 2


def test_one_bright_image_settles_the_depth(tmp_path):
    _deep(tmp_path, 4_095)
    _deep(tmp_path, 4_096, "y.png")
    assert _load(tmp_path).scan.questions == ()
    with pytest.raises(AuditError, match=r"y\.png: a value of 4096 where bits: 12 allows 4095"):
        _load(tmp_path, bits=12).tensor([1])


def test_arrays_of_twelve_bits_are_asked_about_too(tmp_path):
    raw = np.array([[[0, 4_095], [1_000, 5]]], np.uint16)
    np.savez(tmp_path / "d.npz", x=raw, y=np.array([0]))
    assert load(Npz(path=str(tmp_path / "d.npz"))).scan.questions
    images = load(Npz(path=str(tmp_path / "d.npz"), bits=12))
    assert images.scan.questions == ()
    assert images.tensor([0]).numpy() == pytest.approx(raw[:, None] / 4_095, abs=1e-7)
    assert images.digest([0]) != load(Npz(path=str(tmp_path / "d.npz"), bits=16)).digest([0])


def test_sixteen_bits_a_colour_are_said_to_be_read_as_eight(tmp_path):
    import struct
    import zlib

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    row = b"\0" + struct.pack(">6H", 65_535, 0, 30_000, 1, 2, 3)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    content += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "x.png").write_bytes(content)
    images = _load(tmp_path)
    assert images.tensor([0])[0, :, 0, 0].tolist() == pytest.approx(
        [1, 0, 30_000 / 65_535], abs=0.005
    )
    assert images.notes() == ["1 of 1 images have 16 bits a colour channel, of which 8 are read."]


@pytest.mark.parametrize("value", [1.0000001, 1.00005, -0.00005])
def test_floats_that_rounding_took_outside_are_clamped(value, image_set):
    image = np.full((1, 3, 3), 0.5, np.float32)
    image[0, 1, 1] = value
    found = image_set(image, [0]).tensor([0])
    assert found[0, 0, 1, 1] == (1 if value > 0.5 else 0)
    assert found[0, 0, 0, 0] == 0.5


@pytest.mark.parametrize("value", [1.001, -0.001, np.inf])
def test_floats_further_outside_are_refused(value, image_set):
    with pytest.raises(AuditError, match=r"Expected float images in \[0, 1\]"):
        image_set(np.full((1, 3, 3), value), [0]).tensor([0])


def test_arrays_of_four_channels_need_a_named_colour(image_set):
    rgba = np.asarray(ALPHA)[None]
    with pytest.raises(AuditError, match=r"got \(16, 24, 4\) .* Name preprocessing\.alpha"):
        image_set(rgba, [0]).tensor([0])
    white = Image.new("RGBA", ALPHA.size, (255, 255, 255, 255))
    wanted = _tensor(Image.alpha_composite(white, ALPHA).convert("RGB"))
    found = image_set(rgba, [0], fit=Fit(alpha=(1.0, 1.0, 1.0))).tensor([0])[0]
    assert (found - wanted).abs().max() < 1.01 / 255


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="no pillow-heif")
def test_heic_is_read_where_its_plug_in_is_installed(tmp_path):
    import pillow_heif

    (tmp_path / "cat").mkdir()
    flat = Image.new("RGB", (64, 64), (200, 40, 90))
    pillow_heif.from_pillow(flat).save(tmp_path / "cat" / "x.heic", quality=-1)
    images = _load(tmp_path)
    wanted = torch.tensor([200, 40, 90]) / 255
    assert (images.tensor([0])[0].mean((1, 2)) - wanted).abs().max() < 0.02


def test_avif_is_read_where_pillow_reads_it(tmp_path):
    from PIL import features

    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    _saved(tmp_path, Image.new("RGB", (64, 64), (200, 40, 90)), "x.avif")
    wanted = torch.tensor([200, 40, 90]) / 255
    assert (_load(tmp_path).tensor([0])[0].mean((1, 2)) - wanted).abs().max() < 0.02


def test_bytes_in_a_table_are_read_as_files_are(tmp_path):
    from audits.data.encoded import Encoded

    stream = io.BytesIO()
    COLOUR.save(stream, "PNG")
    pixels = Encoded("row 0", data=stream.getvalue()).pixels()
    assert np.array_equal(pixels.array, np.asarray(COLOUR))
