"""Every kind of pixels has its right value, or is refused in one line."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from audits import AuditError
from audits.data.built import of_arrays
from audits.data.encoded import Encoded
from audits.data.fit import Fit
from audits.data.pixels import to_tensor
from audits.data.scan import scan

RGB = (200, 100, 50)
UNIT = [200 / 255, 100 / 255, 50 / 255]
WHITE = Fit(alpha=(1.0, 1.0, 1.0))
OVER_WHITE = [(value / 255) * (128 / 255) + 1 - 128 / 255 for value in RGB]


def _file(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _plain(mode, colour, kind, **options):
    return lambda: _file(Image.new(mode, (2, 2), colour), kind, **options)


def _raw(mode, values, kind="TIFF"):
    return lambda: _file(Image.frombytes(mode, (1, 1), bytes(values)), kind)


def _png(kind, depth, raw, *chunks):
    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 1, 1, depth, kind, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunk(*one) for one in chunks)
    return lambda: content + chunk(b"IDAT", zlib.compress(b"\0" + raw)) + chunk(b"IEND", b"")


def _jpeg_2000(value):
    """Grey of 12 bits, which Pillow does not write: 16 bits in a file whose header then says 12."""
    stored = np.full((8, 8), value + (1 << 15) - (1 << 11), np.uint16)  # numbers around the middle
    content = bytearray(_file(Image.fromarray(stored), "JPEG2000", no_jp2=True))
    content[content.index(b"\xff\x51") + 40] = 12 - 1  # Ssiz of ISO/IEC 15444-1, A.5.1
    return bytes(content)


def _tiff(bits, photometric, raw, samples=1, form=1, extra=None):
    """One pixel as TIFF 6.0 stores it; `form` is the sample format."""
    entries = {256: [1], 257: [1], 258: [bits] * samples, 259: [1], 262: [photometric], 273: [0]}
    entries |= {277: [samples], 278: [1], 279: [len(raw)]}
    entries |= {338: [extra]} if extra is not None else {}
    entries |= {339: [form] * samples}
    start, extras, table = 8 + 2 + 12 * len(entries) + 4, b"", b""
    long = {tag: values for tag, values in entries.items() if len(values) > 2}
    entries[273] = [start + sum(2 * len(values) for values in long.values())]
    for tag, values in entries.items():
        packed = struct.pack(f"<{len(values)}H", *values)
        if tag in long:
            packed, extras = struct.pack("<I", start + len(extras)), extras + packed
        table += struct.pack("<HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return lambda: head + table + b"\0" * 4 + extras + raw


_HALF16 = struct.pack("<H", 30_000)
_COLOUR16 = struct.pack("<3H", 65_535, 30_000, 0)
_PALETTE = [*RGB, 0, 0, 0]


def _palette(kind, **options):
    def made():
        image = Image.new("P", (2, 2), 0)
        image.putpalette(_PALETTE)
        return _file(image, kind, **options)

    return made


# The file, the fit, and the values of its first pixel.
RIGHT = {
    "1, black": (_plain("1", 0, "PNG"), Fit(), [0]),
    "1, white": (_plain("1", 1, "PNG"), Fit(), [1]),
    "1 in TIFF": (_plain("1", 1, "TIFF"), Fit(), [1]),
    "1 in PBM, where 1 is black": (lambda: b"P1 1 1\n1\n", Fit(), [0]),
    "L": (_plain("L", 51, "PNG"), Fit(), [0.2]),
    "1 with a transparent value": (
        _png(0, 1, b"\x80", (b"tRNS", struct.pack(">H", 1))),
        Fit(alpha=(0.0, 0.0, 0.0)),
        [0],
    ),
    "L of 2 bits": (_png(0, 2, b"\x80"), Fit(), [2 / 3]),
    "L of 4 bits": (_png(0, 4, b"\x70"), Fit(), [7 / 15]),
    "L in TIFF of 4 bits": (_tiff(4, 1, b"\x70"), Fit(), [7 / 15]),
    "L in TIFF whose white is 0": (_tiff(8, 0, b"\x33"), Fit(), [0.8]),
    "LA, its colour": (_plain("LA", (51, 128), "PNG"), Fit(), [0.2] * 3),
    "LA over white": (_plain("LA", (51, 0), "PNG"), WHITE, [1] * 3),
    "LA in TIFF": (_tiff(8, 1, bytes([51, 0]), 2, extra=2), WHITE, [1] * 3),
    "P": (_palette("PNG"), Fit(), UNIT),
    "P in GIF": (_palette("GIF"), Fit(), UNIT),
    "P with a transparent entry": (_palette("PNG", transparency=0), WHITE, [1] * 3),
    "PA": (_plain("PA", (0, 0), "TIFF"), WHITE, [1] * 3),
    "RGB": (_plain("RGB", RGB, "PNG"), Fit(), UNIT),
    "RGB in BMP": (_plain("RGB", RGB, "BMP"), Fit(), UNIT),
    "RGB with gamma 1, not applied": (
        _png(2, 8, bytes(RGB), (b"gAMA", struct.pack(">I", 100_000))),
        Fit(),
        UNIT,
    ),
    "RGB with a profile, not applied": (
        _plain("RGB", RGB, "PNG", icc_profile=bytes(200)),
        Fit(),
        UNIT,
    ),
    "RGB with a transparent colour": (
        _png(2, 8, bytes(RGB), (b"tRNS", struct.pack(">3H", *RGB))),
        WHITE,
        [1] * 3,
    ),
    "RGBX": (_plain("RGBX", (*RGB, 0), "TIFF"), WHITE, UNIT),
    "RGBX in TIFF": (_tiff(8, 2, bytes([*RGB, 0]), 4, extra=0), WHITE, UNIT),
    "RGBA, its colour": (_plain("RGBA", (*RGB, 128), "PNG"), Fit(), UNIT),
    "RGBA over white": (_plain("RGBA", (*RGB, 128), "PNG"), WHITE, OVER_WHITE),
    "RGBA in WebP": (_plain("RGBA", (*RGB, 128), "WEBP", lossless=True), WHITE, OVER_WHITE),
    "RGBa, multiplied, in TIFF": (
        _tiff(8, 2, bytes([100, 50, 25, 128]), 4, extra=1),
        WHITE,
        OVER_WHITE,
    ),
    "CMYK": (_raw("CMYK", [0, 51, 255, 0]), Fit(), [1, 0.8, 0]),
    "YCbCr": (_raw("YCbCr", [150, 128, 128]), Fit(), [150 / 255] * 3),
    "I;16": (_png(0, 16, struct.pack(">H", 30_000)), Fit(), [30_000 / 65_535]),
    "I;16 in TIFF": (_tiff(16, 1, _HALF16), Fit(), [30_000 / 65_535]),
    "I;16B": (_raw("I;16B", struct.pack(">H", 30_000)), Fit(), [30_000 / 65_535]),
    "10 bits in PGM": (
        lambda: b"P5 1 1 1023\n" + struct.pack(">H", 512),
        Fit(),
        [512 / 1_023],
    ),
    "12 bits in TIFF": (_tiff(12, 1, b"\x80\x00"), Fit(), [2_048 / 4_095]),
    "16 bits a colour": (_png(2, 16, struct.pack(">3H", 65_535, 30_000, 0)), Fit(), [1, 0.458, 0]),
    "16 bits a colour in TIFF": (_tiff(16, 2, _COLOUR16, 3), Fit(), [1, 0.458, 0]),
    "16 bits and alpha": (_png(4, 16, struct.pack(">2H", 30_000, 0)), WHITE, [1] * 3),
}
REFUSED = {
    "LAB": (_raw("LAB", [140, 20, 30]), "mode LAB instead of grey or RGB"),
    "LAB in TIFF": (_tiff(8, 8, bytes([140, 20, 30]), 3), "mode LAB instead of grey or RGB"),
    "I": (_raw("I", struct.pack("=i", 70_000)), "32 bits a channel"),
    "F": (_raw("F", struct.pack("=f", 0.5)), "32 bits a channel"),
    "F in PFM": (lambda: b"Pf 1 1 -1.0\n" + struct.pack("<f", 0.5), "32 bits a channel"),
    "uint32 in TIFF": (_tiff(32, 1, struct.pack("<I", 70_000)), "32 bits a channel"),
    "int16 in TIFF": (_tiff(16, 1, struct.pack("<h", -300), form=2), "32 bits a channel"),
    "int8 in TIFF": (_tiff(8, 1, b"\xb3", form=2), "pixels below 0"),
    "16 bits whose white is 0": (_tiff(16, 0, _HALF16), "whose white is 0"),
    "16 bits with a transparent value": (
        _png(0, 16, struct.pack(">H", 30_000), (b"tRNS", struct.pack(">H", 30_000))),
        "a transparent value",
    ),
    "4 bits with a transparent value": (
        _png(0, 4, b"\x70", (b"tRNS", struct.pack(">H", 7))),
        "a transparent value",
    ),
    "16 bits a colour with a transparent one": (
        _png(2, 16, struct.pack(">3H", 1, 2, 3), (b"tRNS", struct.pack(">3H", 1, 2, 3))),
        "a transparent value",
    ),
    "float16 in TIFF": (_tiff(16, 1, np.float16(0.5).tobytes(), form=3), "cannot|of a kind"),
    "float64 in TIFF": (_tiff(64, 1, np.float64(0.5).tobytes(), form=3), "cannot|of a kind"),
    "RGB of floats in TIFF": (_tiff(32, 2, bytes(12), 3, form=3), "cannot|of a kind"),
    "five channels": (_tiff(8, 2, bytes(5), 5), "cannot|of a kind"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_kind_of_pixels_has_its_right_value(name):
    content, fit, wanted = RIGHT[name]
    found = to_tensor(Encoded(name, data=content()).pixels(), fit, name)[:, 0, 0].tolist()
    if len(found) != len(wanted):
        assert len(set(found)) == 1  # grey in three channels
        found = found[: len(wanted)]
    assert found == pytest.approx(wanted, abs=1.01 / 255)


def test_a_depth_that_the_file_states_is_not_asked_for_nor_overruled():
    pgm = Encoded("x.pgm", data=b"P5 1 1 4095\n" + struct.pack(">H", 250))
    tiff = Encoded("x.tiff", data=_tiff(12, 1, b"\x0f\xa0")())
    jpeg = Encoded("x.j2k", data=_jpeg_2000(250))
    in_16 = Encoded("x.png", data=_png(0, 16, struct.pack(">H", 250))())
    for image in (pgm, tiff, jpeg):
        assert not scan([image], None).questions
        for bits in (None, 12, 16):
            found = to_tensor(image.pixels(bits), Fit(), "x")[0, 0, 0].item()
            assert found == pytest.approx(250 / 4_095, abs=2e-5)
    (question,) = scan([in_16, pgm, tiff, jpeg], None).questions
    assert "The 1 images of 16 bits" in question
    assert to_tensor(in_16.pixels(12), Fit(), "x").item() == pytest.approx(250 / 4_095)


@pytest.mark.parametrize("name", REFUSED)
def test_a_kind_of_pixels_that_nobody_scales_alike_is_refused(name):
    content, reason = REFUSED[name]
    with pytest.raises(AuditError, match=reason) as refused:
        Encoded(name, data=content()).pixels()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("mode", ["HSV", "La", "RGBa"])
def test_modes_that_no_file_has_are_refused_too(mode):
    from audits.data.encoded import expect_known_pixels

    with pytest.raises(ValueError, match=f"mode {mode} instead of grey or RGB"):
        expect_known_pixels(Image.new(mode, (1, 1)))


@pytest.mark.parametrize(
    ("dtype", "value", "wanted"),
    [
        ("uint8", 51, 0.2),
        ("uint16", 30_000, 30_000 / 65_535),
        (">u2", 30_000, 30_000 / 65_535),
        ("float16", 0.25, 0.25),
        ("float32", 0.2, 0.2),
        ("float64", 0.2, 0.2),
        (">f4", 0.2, 0.2),
    ],
)
def test_an_array_has_its_right_value(dtype, value, wanted):
    images = of_arrays("x", np.full((1, 2, 2), value, dtype), [0], ["a"])
    assert images.tensor([0]).flatten().tolist() == pytest.approx([wanted] * 4, abs=1e-6)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        *((dtype, 1) for dtype in ("bool", "int8", "int16", "int32", "int64", "uint32", "uint64")),
        ("complex64", 0.5),
        ("float16", 2.0),
        ("float32", 255.0),
        ("float64", np.nan),
        ("float64", -0.5),
        ("O", 1),
        ("U1", "a"),
    ],
)
def test_an_array_of_another_kind_is_refused(dtype, value):
    images = of_arrays("x", np.full((1, 2, 2), value, dtype), [0], ["a"])
    with pytest.raises(AuditError, match=r"Expected (uint8, uint16 or float|float) images"):
        images.tensor([0])
