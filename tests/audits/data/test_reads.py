"""A file is hashed and decoded once, and a change of it is noticed all the same."""

import os
import tempfile
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from audits.data.fit import Fit
from audits.data.kept_pixels import KeptPixels
from audits.data.pixels import Pixels
from audits.data.sources import Folder, load
from audits.models.classes import matched

RNG = np.random.default_rng(3)


def _age(*files):
    """A file that was written just now is read again, since its clock may stand still."""
    before = time.time() - 60
    for file in files:
        os.utime(file, (before, before))


@pytest.fixture
def folder(tmp_path):
    for i in range(6):
        file = tmp_path / ("cat", "dog")[i % 2] / f"{i}.bmp"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(file)
        _age(file)
    return tmp_path


def _counted(folder):
    """The folder's images, and counters of decoded and of hashed images."""
    images, decoded, hashed = load(Folder(path=str(folder))), Counter(), Counter()

    def read(i):
        decoded[i] += 1
        return images.read(i)

    def content(i):
        hashed[i] += 1
        return images.content(i)

    return replace(images, read=read, content=content), decoded, hashed


def test_a_file_is_hashed_and_decoded_once(folder):
    images, decoded, hashed = _counted(folder)
    for fit in (Fit(), Fit(3, 5, 5)):
        swapped = matched(images.classes, ("dog", "cat"))
        for fitted in (images.for_model(None, fit), images.for_model(swapped, fit)):
            fitted.adaptations(), fitted.notes(), fitted.weaknesses()
            fitted.digest(range(6)), fitted.digest([2, 3]), fitted.digest([2, 3])
            fitted.tensor(range(6)), fitted.tensor([0])
    assert hashed == decoded == dict.fromkeys(range(6), 1)


def test_a_change_of_a_file_is_noticed(folder):
    images, decoded, hashed = _counted(folder)
    file = folder / "cat" / "2.bmp"
    number = 1
    before, pixels, size = images.digest([number]), images.tensor([number]), file.stat().st_size
    content = file.read_bytes()
    Image.fromarray(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(file)
    assert file.stat().st_size == size  # only the times differ
    _age(file)
    after = images.digest([number])
    assert after != before
    assert not (images.tensor([number]) == pixels).all()
    file.write_bytes(content)
    _age(file)
    assert images.digest([number]) == before
    assert hashed[number] == 3
    assert hashed.total() == 3
    assert decoded[number] == 2


def test_a_file_that_was_written_just_now_is_not_trusted(folder):
    images, _, hashed = _counted(folder)
    file = folder / "cat" / "2.bmp"
    file.write_bytes(file.read_bytes())
    first = images.digest([1])
    assert images.digest([1]) == first
    assert hashed == {1: 2}


def test_pixels_are_kept_in_memory_then_in_a_file_and_up_to_a_limit(folder, monkeypatch):
    monkeypatch.setattr("audits.data.kept_pixels._IN_MEMORY", 2 * 9 * 9 * 3)
    monkeypatch.setattr("audits.data.kept_pixels._IN_FILE", 3 * 9 * 9 * 3)
    images, decoded, _ = _counted(folder)
    first, *again = (images.tensor(range(6)) for _ in range(3))
    assert decoded == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 3}
    assert all((tensor == first).all() for tensor in again)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_the_file_gives_an_image_back_as_it_was(dtype, shape, monkeypatch):
    monkeypatch.setattr("audits.data.kept_pixels._IN_MEMORY", 0)
    kept = KeptPixels()
    array = RNG.integers(0, 250, shape).astype(dtype)
    turned = array.swapaxes(0, 1)  # not contiguous
    kept.put(4, Pixels(np.zeros((2, 2), np.uint8)))
    kept.put(9, Pixels(turned, orientation=6, alpha=True))
    found = kept.get(9)
    assert found.array.dtype == dtype
    np.testing.assert_array_equal(found.array, turned)
    assert (found.orientation, found.alpha) == (6, True)
    kept.put(4, Pixels(turned))
    np.testing.assert_array_equal(kept.get(4).array, turned)
    assert kept.get(5) is None


def test_a_full_disk_only_ends_the_keeping(monkeypatch, tmp_path):
    monkeypatch.setattr("audits.data.kept_pixels._IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    kept = KeptPixels()
    kept.put(0, Pixels(np.zeros((2, 2), np.uint8)))
    assert kept.get(0) is None


def test_hashes_of_another_process_count_as_long_as_the_file_is_the_same(folder):
    there, _, _ = _counted(folder)
    here, _, hashed = _counted(folder)
    assert there.hashes(range(6)) == {}
    known = there.digest(range(6))
    here.learn(there.hashes(range(6)))
    assert here.digest(range(6)) == known
    assert hashed == {}
    file = folder / "cat" / "2.bmp"
    Image.fromarray(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(file)
    _age(file)
    assert here.digest(range(6)) != known
    assert hashed == {1: 1}


def test_arrays_are_hashed_once(image_set):
    hashed = Counter()
    pixels = RNG.integers(0, 256, (3, 4, 4), dtype=np.uint8)
    images = image_set(pixels, [0, 1, 1])

    def content(i):
        hashed[i] += 1
        return pixels[i].tobytes()

    counted = replace(images, content=content)
    assert counted.digest(range(3)) == counted.for_model(None, Fit()).digest(range(3))
    counted.weaknesses()
    assert hashed == dict.fromkeys(range(3), 1)


def test_a_set_with_other_files_has_a_memory_of_its_own(image_set):
    images = image_set(np.zeros((2, 4, 4), np.uint8), [0, 1])
    before = images.digest([0])
    other = replace(images, content=lambda i: b"other")
    assert other.digest([0]) != before
    assert images.digest([0]) == before
