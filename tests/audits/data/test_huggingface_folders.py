"""Folders of images with or without a table: labels, splits, and the library as the oracle."""

import pytest
from hub_layouts import oracle_of, told, write_classes, write_images, write_metadata

from audits import AuditError
from audits.data.sources import HuggingFace, load

pytest.importorskip("datasets")


def test_folders_of_classes_need_no_table(tmp_path, library):
    folder = write_classes(tmp_path / ".hidden" / "photos [1]")
    (folder / "cat" / "notes.txt").write_text("no image")
    (folder / "cat" / "drawn.eps").write_text("%!PS a program")
    (folder / "cat" / "._0.png").write_text("no image")
    images = load(HuggingFace(path=str(folder)))
    oracle = library.load_dataset(
        "imagefolder", data_files=[str(f) for f in write_classes(tmp_path / "x").rglob("*.png")]
    )["train"]
    assert images.classes == tuple(oracle.features["label"].names) == ("bee", "cat", "dog")
    assert sorted(told(images)) == sorted(oracle_of(oracle, images.classes))
    assert images.scan.notes == (
        "2 files of other kinds are left out: cat/drawn.eps, cat/notes.txt.",
    )


def test_splits_in_sub_folders_are_asked_for(tmp_path):
    for place in ("test", "train"):
        write_classes(tmp_path / "photos" / "data" / place)
    data = tmp_path / "photos" / "data"
    with pytest.raises(
        AuditError, match=r"one split .*, found test, train\. Set data\.split: test"
    ):
        load(HuggingFace(path=str(data)))
    with pytest.raises(AuditError, match=r"found test, train\. Set data\.path to the folder that"):
        load(HuggingFace(path=str(data.parent)))
    with pytest.raises(AuditError, match=r"the split 'dev' in .*, found: test, train\."):
        load(HuggingFace(path=str(data), split="dev"))
    images = load(HuggingFace(path=str(data), split="test"))
    assert images.name == "data/test (huggingface)"
    assert images.classes == ("bee", "cat", "dog")
    assert len(images) == 5


def test_a_class_may_be_called_as_a_split(tmp_path):
    folder = write_classes(tmp_path, ["train", "plane", "train", "test tube", "plane"])
    images = load(HuggingFace(path=str(folder)))
    assert images.classes == ("plane", "test tube", "train")
    assert len(images) == 5


def test_splits_are_seen_if_a_class_is_called_as_one_of_them(tmp_path):
    for place in ("test", "train"):
        write_classes(tmp_path / place, ["train", "plane", "train", "plane", "plane"])
    with pytest.raises(
        AuditError, match=r"one split .*, found test, train\. Set data\.split: test"
    ):
        load(HuggingFace(path=str(tmp_path)))


def test_a_table_above_the_splits_has_the_labels_of_each(tmp_path):
    rows = ["file_name,label"]
    for split, label in [("test", "a"), ("train", "b"), ("test", "c")]:
        write_images(tmp_path / split)
        rows.append(f"{split}/{len(rows)}.png,{label}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    with pytest.raises(
        AuditError, match=r"one split .*, found test, train\. Set data\.split: test"
    ):
        load(HuggingFace(path=str(tmp_path)))
    images = load(HuggingFace(path=str(tmp_path), split="test"))
    assert images.classes == ("a", "c")
    assert [images.stamp(i).size for i in range(2)] == [
        (tmp_path / "test" / f"{i}.png").stat().st_size for i in (1, 3)
    ]


def test_images_that_are_in_no_row_are_told(tmp_path):
    write_images(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,label\n3.png,a\n0.png,b\n")
    images = load(HuggingFace(path=str(tmp_path)))
    assert len(images) == 2
    assert images.scan.notes == (
        "3 of 5 image files are in no row and left out: 1.png, 2.png, 4.png.",
    )
    assert images.scan.notes[0] in images.notes()


def test_images_of_a_split_that_are_in_no_row_are_told(tmp_path):
    write_images(tmp_path / "test")
    (tmp_path / "metadata.csv").write_text("file_name,label\ntest/3.png,a\ntest/0.png,b\n")
    images = load(HuggingFace(path=str(tmp_path), split="test"))
    assert images.scan.notes == (
        "3 of 5 image files are in no row and left out: 1.png, 2.png, 4.png.",
    )


def test_a_table_with_two_columns_of_one_name_is_refused(tmp_path):
    write_images(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,label,label\n3.png,a,b\n0.png,b,a\n")
    with pytest.raises(AuditError, match=r"different names in .*metadata\.csv, got 'label' twice"):
        load(HuggingFace(path=str(tmp_path)))


def test_a_split_that_a_table_does_not_know_is_refused(tmp_path):
    write_metadata(tmp_path / "photos", "csv")
    with pytest.raises(AuditError, match=r"the split 'test' in .*photos, found: no split\."):
        load(HuggingFace(path=str(tmp_path / "photos"), split="test"))
