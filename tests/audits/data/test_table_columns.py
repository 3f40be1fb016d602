"""Columns of the data's table reach the ImageSet in the order of its images."""

import numpy as np
import pandas as pd
import pytest
from hub_layouts import NAMES, write_images
from PIL import Image

from audits import AuditError
from audits.data.kinds.folder import Folder
from audits.data.sources import Csv, Digits, HuggingFace, Table, load

FILES = [f"{n}.png" for n in range(5)]
CAMERAS = ["A", "B", "", "A", "<b>"]
YEARS = [1.0, None, 3.0, 2.5, 4.0]


@pytest.fixture
def manifest(tmp_path):
    """The path of a CSV of five images, and the same as a DataFrame."""
    write_images(tmp_path)
    frame = pd.DataFrame(
        {
            "path": FILES,
            "label": NAMES,
            "camera": CAMERAS,
            "site/ü <i>": ["x"] * 5,
            "year": YEARS,
        }
    )
    frame.to_csv(tmp_path / "images.csv", index=False)
    return tmp_path / "images.csv", frame


def test_a_csv_has_them_as_they_are_written(manifest):
    images = load(Csv(path=str(manifest[0])))
    assert images.column("camera") == ("A", "B", None, "A", "<b>")
    assert images.column("site/ü <i>") == ("x",) * 5
    assert images.column("year") == ("1.0", None, "3.0", "2.5", "4.0")
    assert images.column("label") == tuple(NAMES)


def test_parquet_has_whole_numbers_as_such(manifest, tmp_path):
    _, frame = manifest
    frame.assign(sure=[True, False, None, True, True], seen=pd.Timestamp("2026-01-02")).to_parquet(
        tmp_path / "images.parquet"
    )
    images = load(Table(path=str(tmp_path / "images.parquet")))
    assert images.column("year") == ("1", None, "3", "2.5", "4")
    assert images.column("sure") == ("True", "False", None, "True", "True")
    assert images.column("seen")[0].startswith("2026-01-02")


def test_they_follow_a_sample_and_images_that_are_left_out(manifest):
    path, frame = manifest
    (path.parent / "broken.png").write_bytes(b"no image")
    frame.loc[1, "path"] = "broken.png"
    frame.to_csv(path, index=False)
    images = load(Csv(path=str(path), unreadable="skip"))
    assert images.column("camera") == ("A", None, "A", "<b>")
    chosen = np.array([3, 0])
    part = images.part(chosen, "some").part(np.array([1, 0]), "turned")
    assert part.column("camera") == ("A", "<b>")
    relabelled = images.for_model(None, images.fit)
    assert relabelled.column("camera") == images.column("camera")


def test_their_digest_changes_with_a_value_and_that_of_the_images_does_not(manifest):
    path, frame = manifest
    before = load(Csv(path=str(path)))
    frame.loc[0, "camera"] = "B"
    frame.to_csv(path, index=False)
    after = load(Csv(path=str(path)))
    assert before.columns_digest(["camera"]) != after.columns_digest(["camera"])
    assert before.columns_digest(["year"]) == after.columns_digest(["year"])
    assert before.digest(range(5)) == after.digest(range(5))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("camra", r"a column 'camra' in images\.csv, found none\. Did you mean 'camera'\?"),
        ("zzz", r"found none\. Its columns: path, label, camera, site/ü <i>, year\."),
        ("\x1b[31m", r"a column '\\x1b\[31m' in"),
    ],
)
def test_a_column_that_is_not_there_is_told_with_the_nearest(manifest, name, told):
    with pytest.raises(AuditError, match=told):
        load(Csv(path=str(manifest[0]))).column(name)


def test_images_without_a_table_say_so(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / name / "1.png")
    for data in (Digits(), Folder(path=str(tmp_path))):
        with pytest.raises(
            AuditError, match=r"got images without a table\. Name one by data\.kind"
        ):
            load(data).column("camera")


def _hugging_face(folder, **fields):
    pytest.importorskip("datasets")
    return load(HuggingFace(path=str(folder), **fields))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_metadata_of_the_datasets_library_has_them(tmp_path, ending):
    folder = tmp_path / "photos"
    folder.mkdir()
    write_images(folder)
    cameras = ["A", "B", None, "A", "<b>"]
    frame = pd.DataFrame({"file_name": FILES, "label": NAMES, "camera": cameras, "site": 7})
    file = folder / f"metadata.{ending}"
    if ending == "csv":
        frame.to_csv(file, index=False)
    elif ending == "jsonl":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_parquet(file)
    images = _hugging_face(folder)
    by_file = dict(zip(images.files, images.column("camera"), strict=True))
    assert [by_file[folder / name] for name in FILES] == cameras
    assert images.column("site") == ("7",) * 5
    with pytest.raises(AuditError, match="Did you mean 'camera'"):
        images.column("kamera")


def test_saved_data_sets_and_parquet_with_bytes_have_them(tmp_path):
    library = pytest.importorskip("datasets")
    features = library.Features(
        {
            "image": library.Image(),
            "label": library.ClassLabel(names=["cat", "dog", "bee"]),
            "camera": library.ClassLabel(names=["A", "B"]),
            "patient": library.Value("int64"),
        }
    )
    rows = {
        "image": [Image.new("RGB", (4, 4), (n, 0, 0)) for n in range(5)],
        "label": NAMES,
        "camera": ["A", "B", None, "A", "B"],
        "patient": [1, 2, None, 4, 5],
    }
    dataset = library.Dataset.from_dict(rows, features=features)
    dataset.save_to_disk(tmp_path / "saved")
    (tmp_path / "shards").mkdir()
    for number, part in enumerate([range(3), range(3, 5)]):
        dataset.select(part).to_parquet(tmp_path / "shards" / f"test-0000{number}-of-00002.parquet")
    for folder in ("saved", "shards"):
        images = _hugging_face(tmp_path / folder)
        assert images.column("camera") == ("A", "B", None, "A", "B")
        assert images.column("patient") == ("1", "2", None, "4", "5")


@pytest.mark.parametrize("column", ["path", "label"])
def test_rows_without_a_value_are_refused(column, tmp_path):
    rows = pd.DataFrame({"path": ["a.png", "b.png"], "label": [1, 2]}).astype({"label": "Int64"})
    rows.loc[1, column] = None
    rows.to_parquet(tmp_path / "t.parquet", index=False)
    with pytest.raises(AuditError, match=f"each row of the column '{column}' .* in 1 of 2 rows"):
        load(Table(path=str(tmp_path / "t.parquet")))
