"""A model's process is given the files of model and data, and no folder that holds too much."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from audits import parse_config
from audits.data import sources
from audits.execution import given
from audits.execution.confinement import readable
from audits.execution.confinement.landlock import LIST, READ
from audits.execution.inputs import at_home


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


def test_a_place_that_is_named_by_a_link_is_given_by_both_names(image, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    image(tmp_path / "home" / "c.png")
    image(tmp_path / "real" / "a" / "1.png")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "house").symlink_to(tmp_path / "home")
    data = sources.Folder(path=str(tmp_path / "link"))
    assert read(data) == (str(tmp_path / "link"), str(tmp_path / "real"))
    table = tmp_path / "table.csv"
    table.write_text(f"path,label\n{tmp_path}/link/a/1.png,a\n{tmp_path}/house/c.png,b\n")
    names = ("home/c.png", "house/c.png", "link/a", "real/a", "table.csv")
    found = read(sources.Csv(path=str(table)))
    assert found == tuple(str(tmp_path / name) for name in names)


def test_a_path_below_the_working_folder_is_written_out_with_its_links(
    image, tmp_path, monkeypatch
):
    (tmp_path / "link").symlink_to("real")
    for name in ("real", "b"):
        image(tmp_path / "real" / name / "a" / "1.png")
    monkeypatch.chdir(tmp_path)
    values = {"kind": "folder", "path": "link/../real/b"}
    config = parse_config(
        {"model": "models:/m/1", "checks": [{"kind": "performance"}], "data": values}
    )
    assert at_home(config).data.path == str(tmp_path / "link/../real/b")
    assert config.data.path == "link/../real/b"


def test_a_link_in_the_home_gives_no_more_than_the_image_behind_it(image, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    image(tmp_path / "real" / "1.png")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "a.png").symlink_to(tmp_path / "real" / "1.png")
    table = tmp_path / "table.csv"
    table.write_text("path,label\nhome/a.png,a\nreal/1.png,b\n")
    found = read(sources.Csv(path=str(table)))
    assert found == tuple(str(tmp_path / name) for name in ("home/a.png", "real", "table.csv"))


def test_a_folder_that_a_check_names_is_given_and_written_out(image, tmp_path, monkeypatch):
    image(tmp_path / "data" / "a" / "1.png")
    image(tmp_path / "masks" / "a" / "1.png")
    monkeypatch.chdir(tmp_path)
    values = {"kind": "folder", "path": "data"}
    checks = [{"kind": "performance"}, {"kind": "evidence", "regions": "masks"}]
    config = parse_config({"model": "models:/m/1", "checks": checks, "data": values})
    found = given.to_read([None], config.data, sources.load(config.data), {}, config.checks)
    assert found == (str(tmp_path / "data"), str(tmp_path / "masks"))
    assert at_home(config).checks[1].regions == str(tmp_path / "masks")
    assert at_home(config).checks[0] == config.checks[0]
    assert config.checks[1].regions == "masks"
