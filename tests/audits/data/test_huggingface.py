"""Layouts of the `datasets` library are read as the library reads them."""

import json
import os

import pyarrow as pa
import pytest
from hub_layouts import COLOUR, NAMES, oracle_of, told, write_images, write_metadata
from PIL import Image
from pyarrow import parquet

from audits import AuditError
from audits.data.sources import HuggingFace, load

pytest.importorskip("datasets")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_folder_with_metadata(kind, tmp_path, library):
    folder = tmp_path / "photos"
    write_metadata(folder, kind)
    images = load(HuggingFace(path=str(folder)))
    oracle = library.load_dataset("imagefolder", data_dir=str(folder), split="train")
    assert images.classes == ("bee", "cat", "dog")
    assert sorted(told(images)) == sorted(oracle_of(oracle))
    assert [images.classes[label] for label in images.labels] == ["bee", "dog", "cat", "cat", "dog"]


def test_labels_of_metadata_may_be_numbers_and_have_another_column(tmp_path):
    write_metadata(tmp_path / "photos", "jsonl", labels=[10, 2, 10, 0, 2], column="kind")
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
    assert told(images) == oracle_of(dataset, ["cat", "dog", "bee"])


def test_parquet_in_shards_of_splits(tmp_path, library):
    dataset, folder = _dataset(library), tmp_path / "photos" / "data"
    folder.mkdir(parents=True)
    for number, rows in enumerate([range(3), range(3, 5)]):
        dataset.select(rows).to_parquet(folder / f"test-0000{number}-of-00002.parquet")
    dataset.select([4]).to_parquet(folder / "train-00000-of-00001.parquet")
    with pytest.raises(
        AuditError, match=r"one split .*, found test, train\. Set data\.split: test"
    ):
        load(HuggingFace(path=str(folder.parent)))
    images = load(HuggingFace(path=str(folder.parent), split="test"))
    assert images.name == "photos/test (huggingface)"
    assert told(images) == oracle_of(dataset, ["cat", "dog", "bee"])
    with pytest.raises(AuditError, match=r"the split 'valid' in .*, found: test, train\."):
        load(HuggingFace(path=str(folder.parent), split="valid"))


def test_what_save_to_disk_wrote(tmp_path, library):
    dataset = _dataset(library)
    dataset.save_to_disk(tmp_path / "one")
    assert told(load(HuggingFace(path=str(tmp_path / "one")))) == oracle_of(
        dataset, ["cat", "dog", "bee"]
    )
    library.DatasetDict({"test": dataset, "train": dataset.select([0])}).save_to_disk(
        tmp_path / "two"
    )
    assert len(load(HuggingFace(path=str(tmp_path / "two"), split="test"))) == 5
    with pytest.raises(
        AuditError, match=r"one split .*, found test, train\. Set data\.split: test"
    ):
        load(HuggingFace(path=str(tmp_path / "two")))
    with pytest.raises(AuditError, match=r"the split 'valid' in .*, found: test, train\."):
        load(HuggingFace(path=str(tmp_path / "two"), split="valid"))
    with pytest.raises(AuditError, match=r"the split 'test' in .*one, found: no split\."):
        load(HuggingFace(path=str(tmp_path / "one"), split="test"))


def _elsewhere(folder, key, values):
    (file,) = [f for f in folder.iterdir() if f.name in ("state.json", "dataset_dict.json")]
    file.write_text(json.dumps({**json.loads(file.read_text()), key: values}))


def _piped(folder):
    (file,) = folder.glob("*.arrow")
    file.unlink()
    os.mkfifo(file)


def _linked(folder):
    (file,) = folder.glob("*.arrow")
    file.unlink()
    file.symlink_to("/proc/self/environ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_piped, "Expected files and folders in"),
        (_linked, "which is below /proc"),
        (lambda f: _elsewhere(f, "_data_files", [{"filename": "../a.arrow"}]), "beside .*state"),
        (lambda f: _elsewhere(f, "_data_files", [{"filename": "/dev/zero"}]), "beside .*state"),
    ],
)
def test_a_saved_data_set_is_read_from_its_own_plain_files(change, told, tmp_path, library):
    _dataset(library).save_to_disk(tmp_path / "saved")
    change(tmp_path / "saved")
    with pytest.raises(AuditError, match=told):
        load(HuggingFace(path=str(tmp_path / "saved")))


def test_splits_of_a_saved_data_set_are_its_own(tmp_path, library):
    library.DatasetDict({"test": _dataset(library)}).save_to_disk(tmp_path / "saved")
    _elsewhere(tmp_path / "saved", "splits", ["../other"])
    with pytest.raises(AuditError, match=r"beside .*dataset_dict\.json in it, got '\.\./other'"):
        load(HuggingFace(path=str(tmp_path / "saved")))


def test_parquet_of_plain_bytes_or_of_paths(tmp_path):
    write_images(tmp_path)
    contents = [(tmp_path / f"{i}.png").read_bytes() for i in range(5)]
    for number, column in enumerate([contents, [f"{i}.png" for i in range(5)]]):
        table = pa.table({"picture": column, "label": NAMES})
        parquet.write_table(table, tmp_path / "0000.parquet")
        images = load(HuggingFace(path=str(tmp_path), image_column="picture"))
        assert told(images) == [
            (image.tobytes(), name) for image, name in zip(COLOUR, NAMES, strict=True)
        ], number
        os.remove(tmp_path / "0000.parquet")


def test_labels_of_a_csv_stay_as_they_are_written(tmp_path):
    write_metadata(tmp_path / "photos", "csv", labels=["007", "7", "10", "7", "007"])
    images = load(HuggingFace(path=str(tmp_path / "photos")))
    assert images.classes == ("007", "7", "10")


def test_bytes_win_over_files_of_that_name(tmp_path, library, monkeypatch):
    write_images(tmp_path / "photos")
    content = [
        {"path": f"{i}.png", "bytes": (tmp_path / f"photos/{i}.png").read_bytes()} for i in range(5)
    ]
    features = library.Features({"image": library.Image(), "label": library.Value("string")})
    dataset = library.Dataset.from_dict({"image": content, "label": NAMES}, features=features)
    (tmp_path / "table").mkdir()
    dataset.to_parquet(tmp_path / "table" / "test.parquet")
    dataset.save_to_disk(tmp_path / "saved")
    for place in ("table", "saved", "elsewhere"):
        (tmp_path / place).mkdir(exist_ok=True)
        for i in range(5):
            Image.new("RGB", (7, 6)).save(tmp_path / place / f"{i}.png")
    monkeypatch.chdir(tmp_path / "elsewhere")
    expected = [(image.tobytes(), name) for image, name in zip(COLOUR, NAMES, strict=True)]
    for place in ("table", "saved"):
        assert told(load(HuggingFace(path=str(tmp_path / place)))) == expected


def test_class_labels_that_are_missing_or_beyond_the_names_are_refused(tmp_path, library):
    dataset = _dataset(library)
    for i, (bad, message) in enumerate([(-1, "row 2 has none"), (3, "0 to 2 .*, row 2 has 3")]):
        labels = [0, 1, bad, 0, 1]
        table = dataset.data.table.set_column(1, "label", pa.array(labels))
        (tmp_path / str(i)).mkdir()
        schema = table.schema.with_metadata(dataset.features.arrow_schema.metadata)
        parquet.write_table(table.cast(schema), tmp_path / str(i) / "test.parquet")
        with pytest.raises(AuditError, match=message):
            load(HuggingFace(path=str(tmp_path / str(i))))


def test_shards_that_name_their_classes_otherwise_are_refused(tmp_path, library):
    for number, names in enumerate([["cat", "dog", "bee"], ["bee", "cat", "dog"]]):
        dataset = _dataset(library).cast_column("label", library.Value("string"))
        dataset = dataset.map(lambda row: {"label": "bee"})
        dataset = dataset.cast_column("label", library.ClassLabel(names=names))
        dataset.to_parquet(tmp_path / f"test-0000{number}-of-00002.parquet")
    with pytest.raises(AuditError, match="the same class names in each Parquet file"):
        load(HuggingFace(path=str(tmp_path)))


def test_damaged_bytes_are_named_by_their_row(tmp_path):
    write_images(tmp_path)
    contents = [(tmp_path / f"{i}.png").read_bytes() for i in range(5)]
    contents[3] = contents[3][:-40]
    table = pa.table({"image": contents, "label": NAMES})
    parquet.write_table(table, tmp_path / "0000.parquet")
    with pytest.raises(AuditError, match=r"1 of 5 cannot: row 3 \("):
        load(HuggingFace(path=str(tmp_path)))
    images = load(HuggingFace(path=str(tmp_path), unreadable="skip"))
    assert [images.classes[label] for label in images.labels] == ["dog", "cat", "dog", "cat"]


@pytest.mark.parametrize("place", ["/proc/kmsg", "/proc/self/environ", "a\0b"])
def test_a_place_that_is_no_ordinary_file_is_not_opened(place, tmp_path):
    write_images(tmp_path)
    images = [{"path": None, "bytes": (tmp_path / "0.png").read_bytes()} for _ in range(4)]
    table = pa.table({"image": [*images, {"path": place, "bytes": None}], "label": NAMES})
    parquet.write_table(table, tmp_path / "0000.parquet")
    with pytest.raises(AuditError, match="1 of 5 cannot: "):
        load(HuggingFace(path=str(tmp_path)))
    found = load(HuggingFace(path=str(tmp_path), unreadable="skip"))
    assert (len(found), len(found.skipped)) == (4, 1)


BAD = {
    "no folder": (lambda p: None, {}, "Expected a folder at"),
    "empty": (lambda p: p.mkdir(), {}, r"Expected metadata\.csv, .* found: none of these"),
    "no column": (
        lambda p: write_metadata(p, "csv", column="kind"),
        {},
        r"Expected a column 'label' in .*, found: image, kind\.",
    ),
    "no label": (
        lambda p: write_metadata(p, "jsonl", labels=[*NAMES[:3], None, "cat"]),
        {},
        r"Expected a label for each image in .*, row 0 has none",
    ),
    "a label that the library takes for none": (
        lambda p: write_metadata(p, "csv", labels=["a", "None", "a", "b", "b"]),
        {},
        r"row 3 has none\. In metadata\.csv, NA, None and null are read as none",
    ),
    "no labels": (
        lambda p: write_images(p),
        {},
        r"two or more folders of classes .*, or a metadata\.csv with the columns file_name and lab",
    ),
    "two tables": (
        lambda p: (write_metadata(p, "csv"), write_metadata(p, "jsonl")),
        {},
        r"Expected a table of images at .*: Found metadata files with different extensions",
    ),
    "no names of files": (
        lambda p: (write_images(p), (p / "metadata.csv").write_text("path,label\n1.png,a\n")),
        {},
        r"Expected a table of images at .*metadata\.csv: `file_name`, .* must be present",
    ),
    "a file outside": (
        lambda p: (
            write_images(p),
            (p / "metadata.csv").write_text("file_name,label\n../1.png,a\n"),
        ),
        {},
        r"Expected a table of images at .*metadata\.csv: Invalid metadata file_name '\.\./1\.png'",
    ),
    "not saved whole": (
        lambda p: (p.mkdir(), (p / "state.json").write_text("{}")),
        {},
        r"Expected a table of images at .*photos: Directory .* is neither",
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
        lambda p: (write_metadata(p, "csv"), (p / "2.png").unlink()),
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
