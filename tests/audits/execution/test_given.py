"""A model's process is given the files of model and data, and no folder that holds too much."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from audits.data import sources
from audits.execution import given
from audits.execution.confinement import readable
from audits.execution.confinement.landlock import LIST, READ


@pytest.fixture
def image():
    def make(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 5)).save(path)
        return path

    return make


def read(data, copies=None):
    return given.to_read([None], data, sources.load(data), copies or {})


def test_a_folder_of_images_is_given_with_the_folders_behind_its_links(image, tmp_path):
    image(tmp_path / "data" / "a" / "1.png")
    image(tmp_path / "away" / "2.png")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "away")
    data = sources.Folder(path=str(tmp_path / "data"))
    assert read(data) == (str(tmp_path / "away"), str(tmp_path / "data"))


def test_images_in_the_home_are_given_alone(image, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a", "b"):
        image(tmp_path / f"{name}.png")
    image(tmp_path / "photos" / "c.png")
    table = tmp_path / "table.csv"
    table.write_text("path,label\na.png,a\nb.png,b\nphotos/c.png,a\n")
    found = read(sources.Csv(path="~/table.csv"))
    names = ("a.png", "b.png", "photos", "table.csv")
    assert found == tuple(str(tmp_path / name) for name in names)


def test_copies_of_data_that_are_elsewhere_are_given(tmp_path):
    assert read(sources.Digits(), {"s3://bucket/data": str(tmp_path)}) == (str(tmp_path),)


def test_of_a_folder_of_sources_the_modules_are_readable_and_nothing_else(tmp_path):
    (tmp_path / "module.py").write_text("")
    (tmp_path / ".env").write_text("")
    (tmp_path / "secrets.yaml").write_text("")
    for folder in ("package", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "data" / "notes.txt").write_text("")
    found = readable.of_python([str(tmp_path)])
    own = {one.path: one.rights for one in found if one.path.startswith(str(tmp_path))}
    assert own.pop(str(tmp_path)) == LIST
    assert own == {str(tmp_path / name): READ for name in ("module.py", "package")}


def test_the_home_is_not_readable_though_python_looks_for_modules_there(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    found = {one.path for one in readable.of_python([str(home), str(tmp_path), "/", "/home"])}
    assert not found & {str(home), str(tmp_path), "/", "/home"}


def test_packages_are_readable_though_they_lie_in_the_home():
    found = {one.path for one in readable.of_python(sys.path)}
    for place in (os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(Image.__file__))):
        real = Path(os.path.realpath(place))
        assert any(str(folder) in found for folder in (real, *real.parents))
