"""Maps by people are found by the names of their images, fitted as these are, or refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from audits.data.fit import Fit
from audits.data.human_maps import HumanMaps
from audits.data.sources import Folder, load
from audits.errors import AuditError


def _saved(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)


@pytest.fixture
def images(tmp_path):
    """Two classes with an image of 6 x 8 pixels each."""
    for path in ("cat/1.png", "dog/1.png"):
        _saved(tmp_path / "images" / path, np.zeros((6, 8)))
    return load(Folder(path=str(tmp_path / "images")))


@pytest.fixture
def folder(tmp_path):
    _saved(tmp_path / "maps" / "cat/1.png", np.arange(48).reshape(6, 8) * 5)
    (tmp_path / "maps" / "dog").mkdir()
    np.save(tmp_path / "maps" / "dog/1.npy", np.arange(48.0).reshape(6, 8) - 7)
    return tmp_path / "maps"


def test_grey_images_and_arrays_are_maps_in_0_to_1(images, folder):
    found = HumanMaps(str(folder), images).tensor([0, 1])
    grey = torch.arange(48.0).view(6, 8)
    torch.testing.assert_close(found[0], grey * 5 / 255)
    torch.testing.assert_close(found[1], grey / 47)
    assert HumanMaps(str(folder), images).names([1])[0].endswith("dog/1.npy")


def test_maps_are_resized_as_images_are(images, folder):
    wide = images.for_model(None, Fit(channels=3, height=12, width=16))
    found = HumanMaps(str(folder), wide).tensor([1])
    assert found.shape == (1, 12, 16)
    assert (found[0, 1:].mean(1) > found[0, :-1].mean(1)).all()
    cut = images.for_model(None, Fit(height=6, width=6, resize="crop"))
    whole = HumanMaps(str(folder), images).tensor([1])
    torch.testing.assert_close(HumanMaps(str(folder), cut).tensor([1]), whole[:, :, 1:7])


def test_grey_that_is_saved_as_colours_is_grey_and_colours_are_refused(images, folder):
    grey = np.repeat(np.arange(48).reshape(6, 8, 1) * 5, 3, axis=2)
    _saved(folder / "cat/1.png", grey)
    torch.testing.assert_close(
        HumanMaps(str(folder), images).tensor([0])[0], torch.arange(48.0).view(6, 8) * 5 / 255
    )
    _saved(folder / "cat/1.png", grey * [1, 0, 0])
    with pytest.raises(AuditError, match=r"Expected a grey map.*got colours: .*cat/1.png"):
        HumanMaps(str(folder), images).tensor([0])


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.full((6, 8), np.nan), r"Expected finite numbers, got NaN or infinity in 48 of 48"),
        (np.where(np.eye(6, 8), np.inf, 0), "got NaN or infinity in 6 of 48 values: .*dog/1.npy"),
        (np.zeros((6, 8, 3)), r"numbers of shape \(H, W\), got float64 of shape \(6, 8, 3\)"),
        (np.zeros((0, 8)), r"got float64 of shape \(0, 8\)"),
        (np.full((6, 8), "a"), r"Expected numbers of shape \(H, W\), got <U1"),
        (np.full((6, 8), None), r"Expected numbers of shape \(H, W\), got object"),
        (np.zeros((5, 8)), r"size of its image, \(6, 8\), got \(5, 8\)"),
    ],
)
def test_arrays_that_are_no_map_are_refused(images, folder, array, told):
    np.save(folder / "dog/1.npy", array)
    with pytest.raises(AuditError, match=told):
        HumanMaps(str(folder), images).tensor([1])


def test_files_that_are_no_array_are_refused(images, folder):
    content = (folder / "dog/1.npy").read_bytes()
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%s6, 8), }\n" % (b"-" * 9_000)
    nested = content[:8] + len(header).to_bytes(2, "little") + header
    for damaged in (b"no array", content[:100], b"", nested):
        (folder / "dog/1.npy").write_bytes(damaged)
        with pytest.raises(AuditError, match=r"an array of numpy that can be read at .*dog/1.npy"):
            HumanMaps(str(folder), images).tensor([1])


def test_a_map_of_one_value_is_0_everywhere(images, folder):
    np.save(folder / "dog/1.npy", np.full((6, 8), 3))
    assert not HumanMaps(str(folder), images).tensor([1]).any()


def test_sides_that_are_no_numbers_are_refused(images, folder):
    content = (folder / "dog/1.npy").read_bytes()
    (folder / "dog/1.npy").write_bytes(content.replace(b"(6, 8), } ", b"(True, 8),}"))
    with pytest.raises(AuditError, match=r"shape \(H, W\), got float64 of shape \(True, 8\)"):
        HumanMaps(str(folder), images).tensor([1])


def test_the_largest_numbers_are_scaled(images, folder):
    np.save(folder / "dog/1.npy", np.where(np.eye(6, 8), 1.7e308, -1.7e308))
    found = HumanMaps(str(folder), images).tensor([1])[0]
    torch.testing.assert_close(found, torch.eye(6, 8))


@pytest.mark.parametrize("place", ["/proc/self/environ", "/proc/self/mem"])
def test_maps_and_images_that_the_kernel_tells_are_not_opened(place, images, folder, tmp_path):
    for file in (folder / "dog/1.npy", tmp_path / "images/dog/1.png"):
        file.unlink()
        file.symlink_to(place)
    maps = HumanMaps(str(folder), images)
    for ask in (maps.digest, maps.tensor, images.digest, images.tensor):
        with pytest.raises(AuditError, match="below /proc"):
            ask([1])
    kept = load(Folder(path=str(tmp_path / "images"), unreadable="skip"))
    assert len(kept) == 1
    assert "below /proc" in kept.skipped[0]
    with pytest.raises(AuditError, match="below /proc"):
        HumanMaps("/proc/self", images)


def test_the_digest_changes_with_a_map_and_a_map_is_needed(images, folder):
    before = HumanMaps(str(folder), images).digest(range(2))
    np.save(folder / "dog/1.npy", np.ones((6, 8)))
    assert HumanMaps(str(folder), images).digest(range(2)) != before
    (folder / "dog/1.npy").unlink()
    with pytest.raises(AuditError, match=r"one map in .*maps for each image.*dog/1.png"):
        HumanMaps(str(folder), images)
    with pytest.raises(AuditError, match="Expected a folder of maps"):
        HumanMaps(str(folder / "nowhere"), images)
