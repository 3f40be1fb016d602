"""Every file is looked at before anything is measured: what is wrong is named, or left out."""

import io
import logging
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from subprocess import CalledProcessError

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from audits import AuditError
from audits.data import scan as scanning
from audits.data.encoded import Encoded
from audits.data.sources import Csv, Folder, load

RNG = np.random.default_rng(2)
PICTURE = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))


def _bytes(kind, image=PICTURE, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Two classes of three JPEGs."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(3):
            PICTURE.save(tmp_path / name / f"{i}.jpg")
    return tmp_path


def _flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


PNG, JPEG = _bytes("PNG"), _bytes("JPEG", quality=95)
WITH_THUMBNAIL = JPEG[:2] + b"\xff\xe1\x10\x02" + JPEG[:4000].ljust(4094, b"\0") + b"\xff\xd9"


def _without(name, content):
    """A PNG without the chunk of that name."""
    at = content.index(name) - 4
    return content[:at] + content[at + 12 + int.from_bytes(content[at : at + 4]) :]


BROKEN = {
    "empty": ("x.png", b"", "not an image of a kind that is taken"),
    "text": ("x.jpg", b"hello", "not an image of a kind that is taken"),
    "png cut short": ("x.png", PNG[: len(PNG) // 2], "truncated"),
    "png with a wrong bit": ("x.png", _flipped(PNG, len(PNG) // 2), "broken PNG file"),
    "jpeg cut short": ("x.jpg", JPEG[: len(JPEG) // 2], "truncated"),
    "jpeg without its last bytes": ("x.jpg", JPEG[:-300], "truncated"),
    "jpeg cut short behind a thumbnail": ("x.jpg", (WITH_THUMBNAIL + JPEG[2:])[:-300], "truncated"),
    "palette that is not there": (
        "x.png",
        _without(b"PLTE", _bytes("PNG", PICTURE.convert("P"))),
        "damaged: AssertionError",
    ),
    "webp cut short": ("x.webp", _bytes("WEBP")[:-500], ""),
    "bmp cut short": ("x.bmp", _bytes("BMP")[:-500], "truncated"),
    "tiff cut short": ("x.tiff", _bytes("TIFF", compression="tiff_lzw")[:900], ""),
    "32 bits": (
        "x.tiff",
        _bytes("TIFF", Image.fromarray(np.ones((4, 4), np.float32))),
        "32 bits a channel",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_cannot_be_read_is_refused_by_name_or_skipped(case, folder):
    name, content, reason = BROKEN[case]
    (folder / "cat" / name).write_bytes(content)
    message = rf"^Expected images that can be read in .*, 1 of 7 cannot: cat/{re.escape(name)} \(.*"
    with pytest.raises(AuditError, match=message) as refused:
        load(Folder(path=str(folder)))
    assert reason in str(refused.value)
    assert "set data.unreadable: skip" in str(refused.value)
    assert "\n" not in str(refused.value)
    images = load(Folder(path=str(folder), unreadable="skip"))
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.tensor(range(6)).shape == (6, 3, 64, 64)
    (skipped,) = images.skipped
    assert skipped.startswith(f"cat/{name} (")
    (sentence,) = images.scan.told_in_verdict
    assert sentence.startswith(f"1 of 7 image files cannot be read and are left out: cat/{name} (")
    assert sentence in images.notes()


def test_no_program_is_started_for_an_image(folder, monkeypatch, tmp_path):
    """Pillow would have Ghostscript run a file of PostScript, whatever it is called."""
    (tmp_path / "bin").mkdir()
    program, ran = tmp_path / "bin" / "gs", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # looked for anew
    (folder / "cat" / "x.png").write_bytes(_bytes("EPS"))
    with pytest.raises(AuditError, match=r"x\.png \(not an image of a kind that is taken\)"):
        load(Folder(path=str(folder)))
    assert not ran.exists()
    with suppress(OSError, CalledProcessError):
        Image.open(folder / "cat" / "x.png").load()
    assert ran.exists(), "Pillow did not start it either, so nothing was shown"


def test_a_whole_file_in_a_damaged_folder_is_not_blamed(folder):
    (folder / "cat" / "thumb.jpg").write_bytes(WITH_THUMBNAIL + JPEG[2:])
    (folder / "cat" / "tail.jpg").write_bytes(JPEG + b"\0" * (1 << 17))  # a film behind the photo
    images = load(Folder(path=str(folder)))
    assert images.skipped == ()
    assert images.tensor(range(8)).shape == (8, 3, 64, 64)


def test_an_over_large_image_is_named(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    message = r"6 of 6 cannot: cat/0\.jpg \(over-large, more than 2,000 pixels\), "
    with pytest.raises(AuditError, match=message):
        load(Folder(path=str(folder)))


def test_ten_files_are_named_and_the_others_counted(folder):
    for i in range(13):
        (folder / "dog" / f"bad{i:02}.png").write_bytes(b"no")
    with pytest.raises(AuditError, match=r"13 of 19 cannot: .*bad09\.png \([^)]*\) and 3 more\."):
        load(Folder(path=str(folder)))


def test_a_file_that_is_damaged_after_the_look_is_told_by_name(folder):
    images = load(Folder(path=str(folder)))
    (folder / "cat" / "1.jpg").write_bytes(JPEG[:700])
    with pytest.raises(
        AuditError, match=r"an image that can be read at .*cat/1\.jpg: truncated\.$"
    ):
        images.tensor([1])
    (folder / "cat" / "1.jpg").unlink()
    for ask in (images.tensor, images.digest):
        with pytest.raises(
            AuditError, match=r"an image that can be read at .*1\.jpg: not there\.$"
        ):
            ask([1])


def test_pixels_that_only_decoding_finds_damaged_are_told_by_name(tmp_path):
    import struct
    import zlib

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    (tmp_path / "cat").mkdir()
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 6, 0, 0, 0))
    content += chunk(b"IDAT", b"not zlib at all") + chunk(b"IEND", b"")
    (tmp_path / "cat" / "x.png").write_bytes(content)
    images = load(Folder(path=str(tmp_path)))
    with pytest.raises(AuditError, match=r"an image that can be read at .*x\.png: "):
        images.tensor([0])


def test_other_files_and_rubbish_are_left_out_and_said(folder):
    PICTURE.save(folder / "cat" / "film.gif")
    (folder / "cat" / "photo.heix").write_bytes(b"x")
    (folder / "dog" / "Thumbs.db").write_bytes(b"x")
    (folder / "dog" / "._0.jpg").write_bytes(b"x")
    (folder / ".DS_Store").write_bytes(b"x")
    for rubbish in (".ipynb_checkpoints", "__MACOSX", "cat/.ipynb_checkpoints"):
        (folder / rubbish).mkdir()
        (folder / rubbish / "0.jpg").write_bytes(JPEG)
    (folder / "empty").mkdir()
    (folder / "stray.jpg").write_bytes(JPEG)
    images = load(Folder(path=str(folder)))
    assert images.classes == ("cat", "dog")
    assert len(images) == 6
    assert images.skipped == ()
    rubbish, other, outside, empty = images.notes()
    assert rubbish.startswith("Hidden files and what systems leave behind are passed over, 6 in")
    for name in (".DS_Store", ".ipynb_checkpoints", "__MACOSX", "dog/._0.jpg", "dog/Thumbs.db"):
        assert name in rubbish
    assert other.startswith("2 files of other kinds (1 .gif, 1 .heix) are left out: cat/film.gif")
    assert other.endswith("GIF is not taken, since it may be animated: convert it to PNG.")
    assert outside == "1 images outside of the folders of classes are left out: stray.jpg."
    assert empty == "Folders without an image are no classes: empty."


def test_heic_without_its_plug_in_is_left_out_with_the_command(folder, monkeypatch):
    monkeypatch.setattr("audits.data.listing.register_heif", lambda: False)
    (folder / "cat" / "x.HEIC").write_bytes(b"x")
    (note,) = load(Folder(path=str(folder))).notes()
    assert note == (
        "1 files of other kinds (1 .heic) are left out: cat/x.HEIC. HEIC needs a plug-in: pip "
        "install pillow-heif."
    )


def test_a_folder_of_other_files_alone_says_which(tmp_path):
    (tmp_path / "cat").mkdir()
    PICTURE.save(tmp_path / "cat" / "x.gif")
    with pytest.raises(
        AuditError, match=r"found no image in cat\. 1 files of other kinds \(1 .gif\)"
    ):
        load(Folder(path=str(tmp_path)))


def test_files_are_in_the_order_of_torchvision(folder):
    from torchvision.datasets import ImageFolder

    (folder / "cat" / "deep" / "er").mkdir(parents=True)
    (folder / "cat-2").mkdir()
    shutil.copy(folder / "cat" / "0.jpg", folder / "cat" / "deep" / "er" / "A.JPG")
    shutil.copy(folder / "cat" / "0.jpg", folder / "cat" / "deep" / "10.jpeg")
    shutil.copy(folder / "cat" / "0.jpg", folder / "cat-2" / "9.jpg")
    (folder / "cat" / "deep" / "loop").symlink_to(folder / "cat", target_is_directory=True)
    (folder / "dog" / "linked").symlink_to(folder / "cat-2", target_is_directory=True)
    found = load(Folder(path=str(folder)))
    (folder / "cat" / "deep" / "loop").unlink()  # torchvision walks in circles
    oracle = ImageFolder(str(folder))
    assert list(found.classes) == oracle.classes == ["cat", "cat-2", "dog"]
    assert found.labels.tolist() == [label for _, label in oracle.samples]
    contents = [Path(file).read_bytes() for file, _ in oracle.samples]
    assert [found.content(i) for i in range(len(found))] == contents


def test_a_folder_behind_many_links_is_listed_once(folder):
    for here, there in (("cat", "dog"), ("dog", "cat")):
        for name in ("a", "b"):
            (folder / here / name).symlink_to(folder / there, target_is_directory=True)
    found = load(Folder(path=str(folder)))
    assert np.bincount(found.labels).tolist() == [6, 6]  # three of its own, three by the first link
    assert {file.parent.name for file in found.files} == {"cat", "dog", "a"}


@pytest.mark.parametrize("place", ["owl", "dog/inside"])
def test_a_link_to_what_the_kernel_tells_is_refused(place, folder):
    (folder / place).symlink_to("/proc/self", target_is_directory=True)
    with pytest.raises(AuditError, match=f"got .*{place}, which is below /proc"):
        load(Folder(path=str(folder)))


def test_splits_are_asked_for_and_not_taken_for_classes(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("splits")
    for split in ("train", "val", "test"):
        shutil.copytree(folder, root / split)
    (root / "test" / "dog" / "2.jpg").unlink()
    message = r"got test, train, val, which look like splits\. Set data\.split: test\."
    with pytest.raises(AuditError, match=message):
        load(Folder(path=str(root)))
    images = load(Folder(path=str(root), split="test"))
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [0, 0, 0, 1, 1]
    assert images.name == f"{root.name}/test (folder)"
    with pytest.raises(
        AuditError, match=r"the split 'valid' as a folder .* found: test, train, val"
    ):
        load(Folder(path=str(root), split="valid"))


def test_images_that_a_table_names_are_looked_at_too(folder):
    (folder / "cat" / "bad.jpg").write_bytes(JPEG[:400])
    rows = ["path,label", "cat/0.jpg,cat", "cat/bad.jpg,cat", "cat/gone.jpg,cat", "dog/0.jpg,dog"]
    (folder / "t.csv").write_text("\n".join(rows))
    with pytest.raises(AuditError, match=r"names, .*gone\.jpg is not there"):
        load(Csv(path=str(folder / "t.csv")))
    images = load(Csv(path=str(folder / "t.csv"), unreadable="skip"))
    assert images.labels.tolist() == [0, 1]
    assert images.skipped == ("cat/bad.jpg (truncated)", "cat/gone.jpg (not there)")


def test_a_path_that_no_file_can_have_is_told_or_skipped(folder):
    rows = ["path,label", "cat/0.jpg,cat", f"{'x' * 5000},cat", "dog/0.jpg,dog"]
    (folder / "t.csv").write_text("\n".join(rows))
    with pytest.raises(AuditError, match=r"is not there \(Expected the path of a file, got"):
        load(Csv(path=str(folder / "t.csv")))
    images = load(Csv(path=str(folder / "t.csv"), unreadable="skip"))
    assert images.labels.tolist() == [0, 1]
    assert len(images.skipped) == 1


@pytest.mark.parametrize(("row", "column"), [("cat/0.jpg,", "label"), (",cat", "path")])
def test_a_row_without_a_value_is_refused(row, column, folder):
    (folder / "t.csv").write_text(f"path,label\ndog/0.jpg,dog\n{row}\n")
    message = f"a value in each row of the column '{column}' .* got none in 1 of 2 rows"
    with pytest.raises(AuditError, match=message):
        load(Csv(path=str(folder / "t.csv")))


def test_progress_counts_every_file(folder):
    files = [Encoded(file.name, file) for file in sorted(folder.rglob("*.jpg"))]
    steps = []
    scanning.scan(files, None, lambda done, total: steps.append((done, total)))
    assert steps == [(n, 6) for n in range(1, 7)]


def test_a_long_scan_is_told_in_the_log(monkeypatch, caplog):
    now = iter([0.0, 3.0, 6.0, 6.0, 7.0])
    monkeypatch.setattr(scanning.time, "monotonic", lambda: next(now))
    with caplog.at_level(logging.INFO + 5, logger="audits.data.scan"):
        tell = scanning.told_in_log()
        for done in (2_500, 5_000, 5_100):
            tell(done, 20_000)
    assert [record.message for record in caplog.records] == ["looked at 5,000 of 20,000 files"]


def test_long_names_are_cut():
    told = scanning.named(["a\nb", "x" * 500])
    assert told.startswith("a b, xxx")
    assert len(told) < 100
