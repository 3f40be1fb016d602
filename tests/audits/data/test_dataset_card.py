"""The card of a data set: names and files are those that the `datasets` library takes from it."""

import json
import os

import pandas as pd
import pytest
import yaml
from hub_layouts import COLOUR, NAMES, oracle_of, told, write_classes, write_images, write_metadata
from PIL import Image

from audits import AuditError
from audits.data.sources import HuggingFace, load

pytest.importorskip("datasets")

CLASSES = ["dog", "bee", "cat"]
INDEX = [CLASSES.index(name) for name in NAMES]


def _info(names=CLASSES, **more):
    dtype = {"class_label": {"names": {str(i): name for i, name in enumerate(names)}, **more}}
    features = [{"name": "image", "dtype": "image"}, {"name": "label", "dtype": dtype}]
    return {"dataset_info": {"features": features}}


def _files(**paths):
    splits = [{"split": split, "path": path} for split, path in paths.items()]
    return {"configs": [{"config_name": "default", "data_files": splits}]}


def _at(files):
    return {"config_name": "default", "data_files": files}


def _card(folder, values, text="A data set.\n"):
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(values)}---\n{text}")


def _parquet(file, labels, rows=range(5)):
    """A table as pandas writes it, which knows no classes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    images = file.parent.parent / "pictures"
    write_images(images)
    pictures = [{"bytes": (images / f"{i}.png").read_bytes(), "path": None} for i in rows]
    pd.DataFrame({"image": pictures, "label": [labels[i] for i in rows]}).to_parquet(file)
    return file.parent


@pytest.mark.parametrize("labels", [INDEX, NAMES], ids=["indices", "names"])
@pytest.mark.parametrize("place", ["README.md", ".huggingface.yaml"])
def test_the_classes_of_a_table_without_any_are_those_of_the_card(labels, place, tmp_path, library):
    folder = _parquet(tmp_path / "photos" / "test.parquet", labels)
    if place == "README.md":
        _card(folder, _info())
    else:
        (folder / place).write_text(yaml.safe_dump(_info()))
    images = load(HuggingFace(path=str(folder)))
    oracle = library.load_dataset(str(folder), split="test")
    assert images.classes == tuple(oracle.features["label"].names) == tuple(CLASSES)
    assert told(images) == oracle_of(oracle, CLASSES)


def test_the_classes_may_be_in_the_older_file(tmp_path, library):
    folder = _parquet(tmp_path / "photos" / "test.parquet", INDEX)
    features = {"image": {"_type": "Image"}, "label": {"names": CLASSES, "_type": "ClassLabel"}}
    (folder / "dataset_infos.json").write_text(json.dumps({"default": {"features": features}}))
    images = load(HuggingFace(path=str(folder)))
    oracle = library.load_dataset(str(folder), split="test")
    assert told(images) == oracle_of(oracle, CLASSES)


def test_folders_of_classes_have_their_own_names(tmp_path, library):
    folder = write_classes(tmp_path / "photos")
    _card(folder, _info())
    oracle = library.load_dataset(str(folder), split="train")
    assert oracle.features["label"].names == ["bee", "cat", "dog"]
    assert load(HuggingFace(path=str(folder))).classes == ("bee", "cat", "dog")


def test_the_classes_of_a_schema_must_be_those_of_the_card(tmp_path, library):
    features = library.Features(
        {"image": library.Image(), "label": library.ClassLabel(names=NAMES[:2])}
    )
    rows = {"image": [Image.fromarray(COLOUR[0])], "label": [1]}
    (tmp_path / "photos").mkdir()
    table = library.Dataset.from_dict(rows, features=features)
    table.to_parquet(tmp_path / "photos" / "test.parquet")
    _card(tmp_path / "photos", _info(NAMES[1::-1]))
    with pytest.raises(AuditError, match=r"card \(cat, dog\), got dog, cat from the data"):
        load(HuggingFace(path=str(tmp_path / "photos")))
    _card(tmp_path / "photos", _info(NAMES[:2]))
    assert load(HuggingFace(path=str(tmp_path / "photos"))).classes == ("dog", "cat")


@pytest.mark.parametrize(
    ("labels", "names"),
    [(["1", "2", "1", "2", "1"], ["1", "2"]), ([0.0, 1.0, 2.0, 0.0, 1.0], CLASSES)],
    ids=["texts", "floats"],
)
def test_texts_are_names_first_and_numbers_are_indices(labels, names, tmp_path, library):
    folder = _parquet(tmp_path / "photos" / "test.parquet", labels)
    _card(folder, _info(names))
    oracle = library.load_dataset(str(folder), split="test")
    assert told(load(HuggingFace(path=str(folder)))) == oracle_of(oracle, names)


def test_files_of_the_hubs_cache_are_links_without_endings(tmp_path, library):
    folder = tmp_path / "snapshots" / "revision"
    _parquet(folder / "data" / "test-00000-of-00001.parquet", NAMES)
    _card(folder, _files(test="data/test-*", train="data/train-*"))
    (folder / "data" / "train-00000-of-00001.parquet").write_bytes(
        (folder / "data" / "test-00000-of-00001.parquet").read_bytes()
    )
    (tmp_path / "blobs").mkdir()
    for number, file in enumerate(sorted(folder.glob("data/*"))):
        blob = tmp_path / "blobs" / str(number)
        file.rename(blob)
        file.symlink_to(blob)
    assert len(load(HuggingFace(path=str(folder), split="test"))) == 5


def test_other_configurations_may_be_elsewhere(tmp_path, library):
    folder = _parquet(tmp_path / "photos" / "test.parquet", NAMES)
    own = _files(test="test.parquet")["configs"][0]
    other = {"config_name": "other", "data_files": "hf://datasets/a/b/*"}
    _card(folder, {"configs": [own | {"default": True}, other]})
    assert len(load(HuggingFace(path=str(folder)))) == 5


def test_numbers_of_a_csv_may_not_be_names_as_well(tmp_path, library):
    write_metadata(tmp_path / "photos", "csv", labels=[0, 1, 2, 0, 1])
    _card(tmp_path / "photos", _info(["1", "0", "2"]))
    with pytest.raises(AuditError, match="or their indices, and not both, got '0' in"):
        load(HuggingFace(path=str(tmp_path / "photos")))


def test_a_table_of_metadata_has_the_classes_of_the_card(tmp_path, library):
    write_metadata(tmp_path / "photos", "csv", labels=INDEX)
    _card(tmp_path / "photos", _info())
    images = load(HuggingFace(path=str(tmp_path / "photos")))
    assert images.classes == tuple(CLASSES)
    assert sorted(told(images)) == sorted(
        (image.tobytes(), name) for image, name in zip(COLOUR, NAMES, strict=True)
    )


def test_files_that_the_card_names_for_a_split_are_those_that_are_read(tmp_path, library):
    folder = tmp_path / "photos"
    _parquet(folder / "data" / "test-00000-of-00001.parquet", NAMES, [0, 1])
    _parquet(folder / "data" / "train-00000-of-00001.parquet", NAMES, [2, 3])
    _card(folder, _files(test="data/test-*", train="data/train-*"))
    images = load(HuggingFace(path=str(folder), split="test"))
    oracle = library.load_dataset(str(folder), split="test")
    assert told(images) == oracle_of(oracle.cast_column("image", library.Image()))
    for wrong in (
        _files(test="data/train-*", train="data/test-*"),
        _files(test="data/*"),
        _files(test=["data/test-*", "hold/*"]),
    ):
        _parquet(folder / "hold" / "x.parquet", NAMES, [4])
        _card(folder, wrong)
        with pytest.raises(AuditError, match=r"the files that the data set's card names for 'test"):
            load(HuggingFace(path=str(folder), split="test"))


def test_images_that_the_card_leaves_out_are_told(tmp_path, library):
    folder = tmp_path / "photos"
    write_classes(folder / "test")
    _card(folder, _files(test="test/**"))
    assert len(load(HuggingFace(path=str(folder), split="test"))) == 5
    Image.fromarray(COLOUR[0]).save(folder / "more.png")
    _card(folder, _files(test=["test/**", "more.png"]))
    with pytest.raises(AuditError, match=r"card names for 'test' \(it has: test\), got 5 others"):
        load(HuggingFace(path=str(folder), split="test"))


def test_a_card_of_several_configurations_has_one_list_of_classes(tmp_path, library):
    folder = _parquet(tmp_path / "photos" / "test.parquet", INDEX)
    one, two = _info()["dataset_info"], _info(CLASSES[::-1])["dataset_info"]
    _card(folder, {"dataset_info": [one | {"config_name": "a"}, two | {"config_name": "b"}]})
    with pytest.raises(AuditError, match="Expected one list of class names for 'label'"):
        load(HuggingFace(path=str(folder)))


NESTED = "[" * 60 + "]" * 60
BAD = {
    "elsewhere": (_files(test="../other/*"), r"below the folder of the card, .* got '\.\./other"),
    "at a URL": (_files(test="hf://datasets/a/b/*"), "below the folder of the card, .* got 'hf://"),
    "absolute": (_files(test=["x", "/etc/*"]), "below the folder of the card, .* got '/etc"),
    "twice, then at a URL": (
        {"configs": [_files(test="test.parquet")["configs"][0], _at("hf://datasets/a/b/*")]},
        "of different names in README.md, got 'default' twice",
    ),
    "twice without a name": ({"configs": [{"data_files": "*"}] * 2}, "got 'default' twice"),
    "a second folder elsewhere": (
        {"configs": [_at("test.parquet"), {"config_name": "b", "data_dir": "/usr/share"}]},
        "below the folder of the card, .* got '/usr/share'",
    ),
    "fewer rows": (
        {"configs": [{"config_name": "a", "data_files": "*.parquet", "columns": ["image"]}]},
        "names files and features alone, got columns",
    ),
    "many stars": (_files(test="*a*a*.parquet"), r"at most 2 stars a name, got '\*a"),
    "many folders": (_files(test="**/**/**/*"), r"at most 2 stars a name, got '\*\*/"),
    "too few": (_info(["a", "b"]), "or their indices, and not both, got '2' in row 2"),
    "no list": ({"configs": {"a": 1}}, "Expected"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_card_is_refused_in_one_line(case, tmp_path, library):
    values, message = BAD[case]
    folder = _parquet(tmp_path / "photos" / "test.parquet", [0, 1, 2, 0, 1])
    _card(folder, values)
    with pytest.raises(AuditError, match=message) as refused:
        load(HuggingFace(path=str(folder)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (f"dataset_info: {NESTED}", "at most 500,000 values and 50 levels"),
        ("configs: &a [*a]", "at most 500,000 values and 50 levels"),
        ("# " + "x" * (4 << 20), "Expected a README.md of at most 4 MiB"),
        ("dataset_info: !!python/object/apply:os.getpid []", "Expected a table of images at"),
        ("- configs", "Expected a mapping as the card"),
    ],
    ids=["deep", "in itself", "large", "object", "list"],
)
def test_a_head_that_is_no_card_is_refused(head, message, tmp_path, library):
    folder = _parquet(tmp_path / "photos" / "test.parquet", [0, 1, 2, 0, 1])
    (folder / "README.md").write_text(f"---\n{head}\n---\n")
    with pytest.raises(AuditError, match=message):
        load(HuggingFace(path=str(folder)))


def test_a_file_of_names_is_not_opened(tmp_path, library):
    folder = _parquet(tmp_path / "photos" / "test.parquet", NAMES)
    _card(folder, _info(names=[], names_file="/dev/zero"))
    assert load(HuggingFace(path=str(folder))).classes == ("bee", "cat", "dog")


def test_what_lies_beside_a_card_is_no_link_to_the_kernel(tmp_path, library):
    folder = _parquet(tmp_path / "photos" / "test.parquet", INDEX)
    _card(folder, _info())
    (folder / "test-0.zip").symlink_to("/proc/self/environ")
    with pytest.raises(AuditError, match="Expected data in ordinary files"):
        load(HuggingFace(path=str(folder)))


def test_names_of_classes_may_be_numbers(tmp_path, library):
    features = library.Features(
        {"image": library.Image(), "label": library.ClassLabel(names=list(range(3)))}
    )
    rows = {"image": [Image.fromarray(image) for image in COLOUR], "label": INDEX}
    library.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "saved"))
    assert load(HuggingFace(path=str(tmp_path / "saved"))).classes == ("0", "1", "2")


@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml", "dataset_infos.json"])
def test_a_card_that_is_a_pipe_is_not_opened(name, tmp_path, library):
    folder = _parquet(tmp_path / "photos" / "test.parquet", NAMES)
    os.mkfifo(folder / name)
    with pytest.raises(AuditError, match=r"Expected an ordinary file at .*, got a pipe"):
        load(HuggingFace(path=str(folder)))


def test_files_are_looked_for_in_few_configurations(tmp_path, library, monkeypatch):
    folder = _parquet(tmp_path / "photos" / "test.parquet", NAMES)
    other = _files(test="none*")["configs"][0]
    own = _files(test="test.parquet")["configs"][0]
    many = [{**other, "config_name": str(n)} for n in range(30)]
    _card(folder, {"configs": [{**own, "config_name": "own", "default": True}, *many]})
    looked, resolve = [], library.data_files.DataFilesPatternsList.resolve
    monkeypatch.setattr(
        library.data_files.DataFilesPatternsList,
        "resolve",
        lambda self, *given: looked.append(given) or resolve(self, *given),
    )
    assert len(load(HuggingFace(path=str(folder), split="test"))) == 5
    assert len(looked) == 1


def test_a_readme_that_is_no_card_changes_nothing(tmp_path, library):
    folder = _parquet(tmp_path / "photos" / "test.parquet", NAMES)
    _card(folder, {"license": "mit"}, "Pictures: of animals\n---\n")
    assert load(HuggingFace(path=str(folder))).classes == ("bee", "cat", "dog")
