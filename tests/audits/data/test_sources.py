"""Every kind of data set is read right, or refused by an error that names the fault."""

import gzip

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from audits import AuditError
from audits.data.sources import Csv, Digits, Folder, Npz, Torchvision, load

RNG = np.random.default_rng(5)
COLOUR = RNG.integers(0, 256, (6, 8, 9, 3), dtype=np.uint8)
LABELS = np.array([0, 0, 0, 1, 1, 1])


@pytest.fixture
def folder(tmp_path):
    """Three PNGs of each of two classes, and a table that names two of them, the last first."""
    for i, (image, label) in enumerate(zip(COLOUR, LABELS, strict=True)):
        file = tmp_path / "pictures" / ("cat", "dog")[label] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    rows = [
        f"pictures/{('cat', 'dog')[LABELS[i]]}/{i}.png,{('cat', 'dog')[LABELS[i]]}" for i in (5, 0)
    ]
    (tmp_path / "table.csv").write_text("\n".join(["path,label", *rows]))
    return tmp_path


def _npz(tmp_path, x=COLOUR, y=LABELS, **arrays):
    np.savez(tmp_path / "data.npz", x=x, y=y, **arrays)
    return Npz(path=str(tmp_path / "data.npz"), classes="names" if "names" in arrays else None)


def test_digits_are_scikit_learns_in_two_parts_without_overlap():
    test, train = load(Digits(size=8)), load(Digits(size=8, split="train"))
    assert (len(test), len(train)) == (450, 1347)
    assert test.classes == tuple("0123456789")
    whole = {(x / 16).round(6).tobytes(): y for x, y in zip(*_digits(), strict=True)}
    found = [
        (tensor.numpy(), label)
        for part in (test, train)
        for tensor, label in zip(part.tensor(range(len(part))), part.labels, strict=True)
    ]
    known = {((x * 16).round() / 16).astype(float).round(6).tobytes(): y for x, y in found}
    assert known == whole


def _digits():
    digits = load_digits()
    return digits.images[:, None], digits.target


def test_digits_are_enlarged_to_the_size_asked_for():
    images = load(Digits())
    assert images.tensor([0, 449]).shape == (2, 1, 28, 28)
    assert load(Digits(size=11)).tensor([3]).shape == (1, 1, 11, 11)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_npz_images_of_any_depth_become_0_to_1(dtype, tmp_path):
    top = 1 if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max
    x = np.array([[[0, 1], [0.25, 0.5]]]) * top
    images = load(_npz(tmp_path, x.astype(dtype), np.array([0])))
    assert images.tensor([0]).numpy() == pytest.approx(x[None] / top, abs=3e-3)


def test_npz_labels_may_be_bytes_and_name_their_classes(tmp_path):
    images = load(_npz(tmp_path, y=LABELS.astype(np.uint8), names=np.array(["cat", "dog"])))
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == LABELS.tolist()
    assert images.tensor([1]).numpy() == pytest.approx(COLOUR[[1]].transpose(0, 3, 1, 2) / 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.uint64])
def test_npz_classes_without_names_are_the_numbers(dtype, tmp_path):
    images = load(_npz(tmp_path, y=np.array([0, 0, 2, 1, 1, 1], dtype)))
    assert images.classes == ("0", "1", "2")


def test_npz_arrays_may_have_other_names(tmp_path):
    np.savez(tmp_path / "d.npz", pictures=COLOUR, digits=LABELS)
    images = load(Npz(path=str(tmp_path / "d.npz"), images="pictures", labels="digits"))
    assert len(images) == 6


def test_a_folder_has_a_class_a_folder(folder):
    images = load(Folder(path=str(folder / "pictures")))
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == LABELS.tolist()
    assert images.tensor(range(6)).numpy() == pytest.approx(COLOUR.transpose(0, 3, 1, 2) / 255)


def test_a_table_names_its_images(folder):
    images = load(Csv(path=str(folder / "table.csv")))
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [1, 0]
    assert images.tensor([0]).numpy() == pytest.approx(COLOUR[[5]].transpose(0, 3, 1, 2) / 255)


@pytest.mark.parametrize(
    ("mode", "channels", "brightest"),
    [("L", 1, 200 / 255), ("RGBA", 3, 200 / 255), ("P", 3, 200 / 255), ("1", 1, 1.0)],
)
def test_pictures_of_any_mode_are_grey_or_colour(mode, channels, brightest, tmp_path):
    (tmp_path / "a").mkdir()
    grey = Image.fromarray(np.full((4, 4), 200, np.uint8))
    grey.convert(mode).save(tmp_path / "a" / "x.png")
    image = load(Folder(path=str(tmp_path))).tensor([0])
    assert image.shape[1] == channels
    assert image.max().item() == pytest.approx(brightest)


@pytest.mark.parametrize(
    ("array", "file"),
    [
        (np.full((4, 4), 40_000, np.uint16), "x.png"),
        (np.full((4, 4), 40_000, np.uint16), "x.tiff"),
        (np.full((4, 4), 40_000 / 65_535, np.float32), "x.tiff"),
    ],
)
def test_deep_pictures_keep_their_grey_or_are_refused(array, file, tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(array).save(tmp_path / "a" / file)
    try:
        image = load(Folder(path=str(tmp_path))).tensor([0])
    except AuditError:
        return
    assert image.numpy() == pytest.approx(40_000 / 65_535, abs=1e-4)


@pytest.mark.parametrize(("dataset", "first"), [("MNIST", "7"), ("FashionMNIST", "Ankle boot")])
def test_torchvisions_sets_are_read_from_their_folder(dataset, first, data_folder):
    if not (data_folder / dataset / "raw").is_dir():
        pytest.skip(f"no {dataset} at {data_folder}")
    images = load(Torchvision(dataset=dataset, root=str(data_folder)))
    assert len(images) == 10_000
    assert images.classes[images.labels[0]] == first
    assert images.tensor([0, 9_999]).shape == (2, 1, 28, 28)
    assert images.tensor([0]).max() == 1


def test_a_set_of_torchvision_is_not_downloaded_unless_asked(tmp_path):
    with pytest.raises(AuditError, match=r"Expected a file at .*MNIST.* Set download: true"):
        load(Torchvision(dataset="MNIST", root=str(tmp_path / "data")))
    assert list(tmp_path.rglob("*")) == []


def _zip_cut_short(tmp_path):
    config = _npz(tmp_path)
    content = (tmp_path / "data.npz").read_bytes()
    (tmp_path / "data.npz").write_bytes(content[:500])
    return config


def _file(tmp_path, content, name="data.npz"):
    (tmp_path / name).write_bytes(content)
    return str(tmp_path / name)


BAD = {
    "label too large": (
        lambda p: _npz(p, y=LABELS * 2, names=np.array(["a", "b"])),
        r"Expected labels from 0 to 1 in data.npz \(it has 2 classes\), got 2",
    ),
    "label below 0": (lambda p: _npz(p, y=LABELS - 1), "Expected labels from 0 to 0 .* got -1"),
    "no images": (lambda p: _npz(p, COLOUR[:0], LABELS[:0]), "Expected images in data.npz"),
    "too few labels": (
        lambda p: _npz(p, y=LABELS[:5]),
        r"Expected 6 whole-number labels .* \(5,\)",
    ),
    "labels of two axes": (lambda p: _npz(p, y=LABELS[:, None]), "Expected 6 whole-number labels"),
    "labels of floats": (lambda p: _npz(p, y=LABELS / 1), "whole-number labels .* float64"),
    "one number for images": (lambda p: _npz(p, x=np.float32(1)), "Expected "),
    "one name for classes": (lambda p: _npz(p, names=np.array("cat")), "Expected "),
    "two classes of one name": (lambda p: _npz(p, names=np.array(["a", "a"])), "Expected .*'a'"),
    "pickled labels": (lambda p: _npz(p, y=LABELS.astype(object)), "archive without pickles at"),
    "no such array": (
        lambda p: _npz(p).model_copy(update={"labels": "t"}),
        "Expected an array 't' in .*, found: x, y",
    ),
    "archive not there": (
        lambda p: Npz(path=str(p / "no.npz")),
        "Expected a file at .*, found none",
    ),
    "archive is text": (lambda p: Npz(path=_file(p, b"hello")), "Expected a NumPy archive"),
    "archive is empty": (lambda p: Npz(path=_file(p, b"")), "Expected a NumPy archive"),
    "archive cut short": (_zip_cut_short, "Expected a NumPy archive"),
    "folder not there": (
        lambda p: Folder(path=str(p / "no")),
        "Expected a folder at .*, found none",
    ),
    "folder is empty": (lambda p: Folder(path=str(p)), "Expected one folder a class with images"),
    "row longer than the header": (
        lambda p: Csv(path=_file(p, b"label,path\na,8,a\nb,3,b\n")),
        "Expected rows with as many fields as the header",
    ),
    "packed table": (
        lambda p: Csv(path=_file(p, gzip.compress(b"path,label\na.png,cat\n"), "table.csv.gz")),
        "Expected a UTF-8 table with a header at .*table.csv.gz",
    ),
    "table not there": (lambda p: Csv(path=str(p / "no.csv")), "Expected a file at"),
    "table is empty": (lambda p: Csv(path=_file(p, b"")), "Expected "),
    "table is no text": (lambda p: Csv(path=_file(p, b"path,label\n\xff,a\n")), "Expected "),
    "table of no rows": (lambda p: Csv(path=_file(p, b"path,label\n")), "Expected images in"),
    "wrong columns": (
        lambda p: Csv(path=_file(p, b"file,label\na.png,cat\n")),
        "Expected a column 'path' in .*, found: 'file', 'label'",
    ),
    "image not there": (
        lambda p: Csv(path=_file(p, b"path,label\na.png,cat\n")),
        r"Expected the images that .* names, .*a\.png is not there",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_data_set_is_refused(case, tmp_path):
    config, message = BAD[case]
    with pytest.raises(AuditError, match=message):
        load(config(tmp_path))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.full((1, 4, 4), 255.0),
            r"float images in \[0, 1\], got values from 255.0 to 255.0 .* 255",
        ),
        (np.full((1, 4, 4), -0.1), r"float images in \[0, 1\], got values from -0.1"),
        (np.full((1, 4, 4), np.nan), r"float images in \[0, 1\], got values from nan"),
        (np.zeros((1, 4, 4), np.int64), "Expected uint8, uint16 or float images, got int64"),
        (np.zeros((1, 4, 4, 4)), r"or \(H, W, 3\), got \(4, 4, 4\) in data.npz, image 0"),
        (np.zeros((1, 3, 8, 8)), r"got \(3, 8, 8\)"),
        (np.zeros((1, 9)), r"got \(1, 9\)"),
    ],
)
def test_bad_pixels_are_refused(images, message, tmp_path):
    with pytest.raises(AuditError, match=message):
        load(_npz(tmp_path, images, np.array([0]))).tensor([0])


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"\x89PNG\r\n")
    message = r"Expected images that can be read in .*, 1 of 1 cannot: a/x\.png \(not an image"
    with pytest.raises(AuditError, match=message):
        load(Folder(path=str(tmp_path)))
