"""The kind of a data set is guessed from its path."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from audits import parse_config
from audits.errors import AuditError
from audits.workflows.data_guess import guessed


def test_a_folder_of_folders_is_a_data_set(tmp_path):
    for name in ("cat", "test", ".hidden"):  # a class may be called like a split
        (tmp_path / name).mkdir()
    assert guessed(str(tmp_path)) == {"kind": "folder", "path": str(tmp_path)}


def test_one_of_several_splits_is_asked_for(tmp_path):
    for name in ("train", "Val"):
        (tmp_path / name).mkdir()
    message = (
        "got Val, train, which look like splits. Set data.split: Val. Without a config, give one "
        f"of --data {tmp_path}/Val, --data {tmp_path}/train."
    )
    with pytest.raises(AuditError) as refused:
        guessed(str(tmp_path))
    assert message in str(refused.value)


def test_an_archive_has_its_arrays_named(tmp_path):
    file = tmp_path / "data.npz"
    images, labels = np.zeros((4, 2, 2)), np.zeros(4, int)
    np.savez(file, x=images, y=labels)
    assert guessed(str(file)) == {"kind": "npz", "path": str(file)}
    np.savez(file, pictures=images, y=labels, names=np.array(["a", "b"]))
    found = {"images": "pictures", "classes": "names"}
    assert guessed(str(file)) == {"kind": "npz", "path": str(file), **found}
    np.savez(file, x=images)
    with pytest.raises(AuditError, match=r"whole-number labels \(N,\) .* found x \(4, 2, 2\)"):
        guessed(str(file))


def test_of_several_arrays_those_of_the_usual_names_are_taken(tmp_path):
    file = tmp_path / "data.npz"
    images, labels = np.zeros((4, 2, 2)), np.zeros(4, int)
    np.savez(file, ids=labels, y=labels, x=images)
    assert guessed(str(file)) == {"kind": "npz", "path": str(file)}
    np.savez(file, images=images, labels=labels, ids=labels, masks=images)
    found = {"kind": "npz", "path": str(file), "images": "images", "labels": "labels"}
    assert guessed(str(file)) == found
    np.savez(file, x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
    with pytest.raises(AuditError, match="one of each or called x and y, found x_train"):
        guessed(str(file))


def test_arrays_are_not_unpacked(tmp_path, monkeypatch):
    file = tmp_path / "data.npz"
    np.savez_compressed(file, x=np.zeros((4, 2, 2)), y=np.zeros(4, int))
    monkeypatch.setattr(np, "load", None)
    assert guessed(str(file)) == {"kind": "npz", "path": str(file)}


def _as_array(file):
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))


def _without_arrays(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"no array")


@pytest.mark.parametrize("write", [_as_array, _without_arrays])
def test_what_is_no_archive_of_arrays_is_refused_in_one_line(write, tmp_path):
    write(tmp_path / "data.npz")
    with pytest.raises(AuditError, match="Expected a NumPy archive without pickles") as refused:
        guessed(str(tmp_path / "data.npz"))
    assert "\n" not in str(refused.value)


def test_a_table_is_read_as_pandas_reads_it(tmp_path):
    file = tmp_path / "data.csv"
    file.write_bytes("\n\npath,label\n".encode("utf-8-sig"))
    assert guessed(str(file)) == {"kind": "csv", "path": str(file)}
    file.write_text("x" * 200_000 + ",label\n")
    with pytest.raises(AuditError, match="Expected a UTF-8 table with a header"):
        guessed(str(file))


def test_a_table_has_its_columns_named(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("path,label\n")
    assert guessed(str(file)) == {"kind": "csv", "path": str(file)}
    file.write_text("id,filename,Class\n")
    columns = {"path_column": "filename", "label_column": "Class"}
    assert guessed(str(file)) == {"kind": "csv", "path": str(file), **columns}
    file.write_text("filename,colour\n")
    with pytest.raises(AuditError, match=r"a column called label, class, .* found filename, col"):
        guessed(str(file))


def test_what_is_not_recognised_is_refused_with_a_way_on(tmp_path):
    with pytest.raises(AuditError, match=r"Expected a folder or a file at .*, found none"):
        guessed(str(tmp_path / "nowhere"))
    with pytest.raises(AuditError, match=r"found no folders\. Sort the images into folders"):
        guessed(str(tmp_path))
    (tmp_path / "data.zip").write_bytes(b"")
    with pytest.raises(AuditError, match=r"ends in \.npz, \.csv, \.parquet, got data\.zip"):
        guessed(str(tmp_path / "data.zip"))


@pytest.mark.parametrize(
    "name", ["metadata.csv", "data/train-00000-of-00001.parquet", "dataset_dict.json"]
)
def test_layouts_of_the_datasets_library_are_recognised(name, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / name).touch()
    assert guessed(str(tmp_path)) == {"kind": "huggingface", "path": str(tmp_path)}


def test_a_table_in_parquet_has_its_columns_named(tmp_path):
    file = tmp_path / "data.parquet"
    pd.DataFrame({"path": ["a"], "target": ["red"]}).to_parquet(file)
    found = {"kind": "table", "path": str(file), "label_column": "target"}
    assert guessed(str(file)) == found
    file.write_bytes(b"no table")
    with pytest.raises(AuditError, match="Expected a table in Parquet at"):
        guessed(str(file))


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("s3://bucket/labels.csv", "csv"),
        ("gs://bucket/labels.parquet", "csv"),
        ("runs:/0123/arrays.NPZ", "npz"),
        ("models:/digits/3/photos", "folder"),
        ("file:///nowhere/photos", "folder"),
    ],
)
def test_a_uri_is_guessed_by_its_ending_alone(uri, kind):
    found = guessed(uri)
    assert found == {"kind": kind, "path": uri}
    parse_config({"model": "models:/m/1", "data": found, "checks": [{"kind": "performance"}]})
