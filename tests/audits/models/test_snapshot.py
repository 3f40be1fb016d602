"""A snapshot asks the registry once for each alias and copies files once."""

import mlflow
import pytest

from audits.errors import ModelRefused
from audits.models.registry import fetch, resolve
from audits.models.snapshot import copied_once, files_anew, snapshot


@pytest.fixture
def moving(registry, tmp_path):
    """An alias, and a function that moves it to another version with other files."""
    client = mlflow.MlflowClient()
    client.create_registered_model("m")
    for number in (1, 2):
        folder = tmp_path / f"version_{number}"
        folder.mkdir()
        (folder / "MLmodel").write_text(f"number: {number}")
        client.create_model_version("m", folder.as_uri())
    client.set_registered_model_alias("m", "champion", "1")
    return lambda: client.set_registered_model_alias("m", "champion", "2")


def test_an_alias_means_one_version_as_long_as_the_snapshot_is_open(moving):
    with snapshot():
        assert resolve("models:/m@champion").version == "1"
        moving()
        with snapshot():
            assert resolve("models:/m@champion").version == "1"
        with files_anew():
            assert resolve("models:/m@champion").version == "1"
        assert resolve("models:/m@champion").version == "1"
    assert resolve("models:/m@champion").version == "2"


def test_files_are_copied_once_and_anew_when_asked(moving, tmp_path):
    source = tmp_path / "version_1" / "MLmodel"

    def read():
        target = tmp_path / "target"
        target.mkdir(exist_ok=True)
        return (fetch(resolve("models:/m/1"), target) / "MLmodel").read_text()

    with snapshot():
        before = read()
        source.write_text("number: 3")
        assert read() == before == "number: 1"
        with files_anew():
            assert read() == "number: 3"
        assert read() == before
    assert read() == "number: 3"


def test_copies_are_gone_with_the_snapshot(moving, tmp_path):
    with snapshot():
        folder = fetch(resolve("models:/m/1"), tmp_path)
        assert (folder / "MLmodel").exists()
        assert tmp_path not in folder.parents
    assert not folder.exists()


def test_a_copy_that_failed_is_tried_again(tmp_path):
    answers = iter([ModelRefused("away"), ModelRefused("still away"), "MLmodel"])

    def copy(folder):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        (folder / answer).touch()
        return folder

    with snapshot():
        for _ in range(2):
            with pytest.raises(ModelRefused, match="away"):
                copied_once("models:/m/1", tmp_path, copy)
        copied = copied_once("models:/m/1", tmp_path, copy)
        assert [file.name for file in copied.iterdir()] == ["MLmodel"]
        assert copied_once("models:/m/1", tmp_path, copy) == copied
