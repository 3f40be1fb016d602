"""Layouts of the `datasets` library are read as the library reads them."""

import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from audits import AuditError
from audits.data.sources import HuggingFace, load

RNG = np.random.default_rng(6)
COLOUR = RNG.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
NAMES = ["dog", "cat", "dog", "bee", "cat"]


@pytest.fixture
def library(tmp_path, monkeypatch):
    """The `datasets` library, with its cache in a temporary folder and without the hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home")
    datasets.disable_progress_bars()
    return datasets


def _images(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(COLOUR):
        Image.fromarray(image).save(folder / f"{i}.png")


def _metadata(folder, kind, labels=NAMES, column="label"):
    _images(folder)
    rows = [{"file_name": f"{i}.png", column: labels[i]} for i in (3, 0, 4, 1, 2)]
    if kind == "csv":
        pd.DataFrame(rows).to_csv(folder / "metadata.csv", index=False)
    elif kind == "jsonl":
        (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    else:
        pd.DataFrame(rows).to_parquet(folder / "metadata.parquet")


def _told(images):
    """Each image's pixels and class."""
    pixels = (images.tensor(range(len(images))).numpy() * 255).round().astype(np.uint8)
    pairs = zip(pixels.transpose(0, 2, 3, 1), images.labels, strict=True)
    return [(image.tobytes(), images.classes[label]) for image, label in pairs]


def _oracle(dataset, names=None):
    return [
        (
            np.asarray(row["image"].convert("RGB")).tobytes(),
            str(row["label"]) if names is None else names[row["label"]],
        )
        for row in dataset
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_folder_with_metadata(kind, tmp_path, library):
    folder = tmp_path / "photos"
    _metadata(folder, kind)
    images = load(HuggingFace(path=str(folder)))
    oracle = library.load_dataset("imagefolder", data_dir=str(folder), split="train")
    assert images.classes == ("bee", "cat", "dog")
    assert sorted(_told(images)) == sorted(_oracle(oracle))
    assert [images.classes[label] for label in images.labels] == ["bee", "dog", "cat", "cat", "dog"]


def test_labels_of_metadata_may_be_numbers_and_have_another_column(tmp_path):
    _metadata(tmp_path / "photos", "jsonl", labels=[10, 2, 10, 0, 2], column="kind")
    images = load(HuggingFace(path=str(tmp_path / "photos"), label_column="kind"))
    assert images.classes == ("0", "2", "10")
    assert images.labels.tolist() == [0, 2, 1, 1, 2]


def _dataset(library):
    features = library.Features(
        {"image": library.Image(), "label": library.ClassLabel(names=["cat", "dog", "bee"])}
    )
    rows = {"image": [Image.fromarray(image) for image in COLOUR], "label": NAMES}
    return library.Dataset.from_dict(rows, features=features)


def test_parquet_with_bytes_has_the_classes_of_its_schema(tmp_path, library):
    dataset = _dataset(library)
    folder = tmp_path / "photos"
    folder.mkdir()
    dataset.to_parquet(folder / "test-00000-of-00001.parquet")
    images = load(HuggingFace(path=str(folder)))
    assert images.classes == ("cat", "dog", "bee")
    assert _told(images) == _oracle(dataset, ["cat", "dog", "bee"])


def test_parquet_in_shards_of_splits(tmp_path, library):
    dataset, folder = _dataset(library), tmp_path / "photos" / "data"
    folder.mkdir(parents=True)
    for number, rows in enumerate([range(3), range(3, 5)]):
        dataset.select(rows).to_parquet(folder / f"test-0000{number}-of-00002.parquet")
    dataset.select([4]).to_parquet(folder / "train-00000-of-00001.parquet")
    with pytest.raises(AuditError, match=r"one split in .*, found test, train\. Set data\.split"):
        load(HuggingFace(path=str(folder.parent)))
    images = load(HuggingFace(path=str(folder.parent), split="test"))
    assert images.name == "photos/test (huggingface)"
    assert _told(images) == _oracle(dataset, ["cat", "dog", "bee"])
    with pytest.raises(AuditError, match=r"Expected metadata.csv, .* found: test, train\."):
        load(HuggingFace(path=str(folder.parent), split="valid"))


def test_what_save_to_disk_wrote(tmp_path, library):
    dataset = _dataset(library)
    dataset.save_to_disk(tmp_path / "one")
    assert _told(load(HuggingFace(path=str(tmp_path / "one")))) == _oracle(
        dataset, ["cat", "dog", "bee"]
    )
    library.DatasetDict({"test": dataset, "train": dataset.select([0])}).save_to_disk(
        tmp_path / "two"
    )
    assert len(load(HuggingFace(path=str(tmp_path / "two"), split="test"))) == 5
    with pytest.raises(AuditError, match=r"found: test, train\. Set data\.path and data\.split"):
        load(HuggingFace(path=str(tmp_path / "two")))


def test_parquet_of_plain_bytes_or_of_paths(tmp_path):
    _images(tmp_path)
    contents = [(tmp_path / f"{i}.png").read_bytes() for i in range(5)]
    for number, column in enumerate([contents, [f"{i}.png" for i in range(5)]]):
        table = pa.table({"picture": column, "label": NAMES})
        parquet.write_table(table, tmp_path / "0000.parquet")
        images = load(HuggingFace(path=str(tmp_path), image_column="picture"))
        assert _told(images) == [
            (image.tobytes(), name) for image, name in zip(COLOUR, NAMES, strict=True)
        ], number
        os.remove(tmp_path / "0000.parquet")


def test_damaged_bytes_are_named_by_their_row(tmp_path):
    _images(tmp_path)
    contents = [(tmp_path / f"{i}.png").read_bytes() for i in range(5)]
    contents[3] = contents[3][:-40]
    table = pa.table({"image": contents, "label": NAMES})
    parquet.write_table(table, tmp_path / "0000.parquet")
    with pytest.raises(AuditError, match=r"1 of 5 cannot: row 3 \("):
        load(HuggingFace(path=str(tmp_path)))
    images = load(HuggingFace(path=str(tmp_path), unreadable="skip"))
    assert [images.classes[label] for label in images.labels] == ["dog", "cat", "dog", "cat"]


BAD = {
    "no folder": (lambda p: None, {}, "Expected a folder at"),
    "empty": (lambda p: p.mkdir(), {}, r"Expected metadata\.csv, .* found: none of these"),
    "no column": (
        lambda p: _metadata(p, "csv", column="kind"),
        {},
        r"Expected a column 'label' in .*, found: file_name, kind\.",
    ),
    "no label": (
        lambda p: _metadata(p, "jsonl", labels=[*NAMES[:3], None, "cat"]),
        {},
        r"Expected a label for each image in .*, row 0 has none",
    ),
    "no json": (
        lambda p: (p.mkdir(), (p / "metadata.jsonl").write_text("{oh")),
        {},
        r"Expected a table of images at .*metadata\.jsonl",
    ),
    "no parquet": (
        lambda p: (p.mkdir(), (p / "x.parquet").write_text("oh")),
        {},
        r"Expected a table of images at .*x\.parquet",
    ),
    "image not there": (
        lambda p: (_metadata(p, "csv"), (p / "2.png").unlink()),
        {},
        r"1 of 5 cannot: 2\.png \(not there\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_folder_is_refused(case, tmp_path):
    make, fields, message = BAD[case]
    make(tmp_path / "photos")
    with pytest.raises(AuditError, match=message):
        load(HuggingFace(path=str(tmp_path / "photos"), **fields))
