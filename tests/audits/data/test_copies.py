"""Copies of data of other machines are taken again if anything shows that the data changed."""

import io
import os
import tarfile
import zipfile

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from audits import AuditError
from audits.data import copies as copies_of
from audits.data.sources import Folder, load


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of copies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fillblanks" / "data"


def _bmp(value):
    """All of one size in bytes, whatever the value."""
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(stream, "BMP")
    return stream.getvalue()


_FIRST, _LATER = 10, 200


def _in_zip(folder, value):
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for name in ("cat/0.bmp", "dog/1.bmp"):
            archive.writestr(zipfile.ZipInfo(f"photos/{name}"), _bmp(value))
    return f"zip://photos::{folder / 'photos.zip'}"


def _in_tar(folder, value):
    with tarfile.open(folder / "photos.tar", "w") as archive:
        for name in ("cat/0.bmp", "dog/1.bmp"):
            member = tarfile.TarInfo(f"photos/{name}")
            member.size = len(_bmp(value))
            archive.addfile(member, io.BytesIO(_bmp(value)))
    return f"tar://photos::{folder / 'photos.tar'}"


@pytest.mark.parametrize("write", [_in_zip, _in_tar])
def test_an_archive_that_has_changed_is_copied_anew(write, cache, tmp_path):
    for value in (_FIRST, _LATER):
        images = load(Folder(path=write(tmp_path, value)))
        assert images.tensor([0]).mean() * 255 == pytest.approx(value)


@pytest.mark.parametrize(
    "form",
    [
        "zip://photos::{}",
        "zip://photos::file://{}",
        "zip://photos::simplecache::file://{}",
        "simplecache::zip://photos::file://{}",
        "zip://photos::zip://in/photos.zip::file://{}.zip",
    ],
)
def test_an_archive_may_be_in_another_and_behind_a_cache(form, tmp_path):
    _in_zip(tmp_path, _LATER)
    with zipfile.ZipFile(tmp_path / "photos.zip.zip", "w") as around:
        around.write(tmp_path / "photos.zip", "in/photos.zip")
    images = load(Folder(path=form.format(tmp_path / "photos.zip")))
    assert images.tensor([0]).mean() * 255 == pytest.approx(_LATER)


@pytest.fixture
def sizes(monkeypatch):
    """fsspec's file system in memory, of which sizes alone are told; a list of what is fetched."""
    find, get_file = MemoryFileSystem.find, MemoryFileSystem.get_file
    fetched = []

    def plain(self, path, **settings):
        found = find(self, path, **settings)
        return {name: {"name": name, "size": info["size"]} for name, info in found.items()}

    def counted(self, *given, **options):
        fetched.append(given)
        get_file(self, *given, **options)

    monkeypatch.setattr(MemoryFileSystem, "find", plain)
    monkeypatch.setattr(MemoryFileSystem, "get_file", counted)
    yield fetched
    monkeypatch.undo()
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def test_files_of_which_sizes_alone_are_told_are_compared_by_each_process(sizes, cache):
    files = fsspec.filesystem("memory")
    for value in (_FIRST, _LATER, _LATER):
        for name in ("cat/0.bmp", "dog/1.bmp"):
            files.pipe_file(f"/bucket/photos/{name}", _bmp(value))
        copies_of._fetched.clear()  # as another process
        for _ in range(2):
            images = load(Folder(path="memory://bucket/photos"))
            assert images.tensor([0]).mean() * 255 == pytest.approx(value)
    assert len(sizes) == 3 * 2
    assert len(list(cache.iterdir())) == 2
    files.pipe_file("/bucket/photos/cat/0.bmp", _bmp(_FIRST) + b" ")  # of another size
    images = load(Folder(path="memory://bucket/photos"))
    assert images.tensor([0]).mean() * 255 == pytest.approx(_FIRST)


def test_copies_in_a_folder_of_somebody_else_are_refused(cache, tmp_path, monkeypatch):
    place = _in_zip(tmp_path, _FIRST)
    load(Folder(path=place))
    copies_of._made.clear()
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(AuditError, match=r"Expected copies of data of your own, got .* belongs to"):
        load(Folder(path=place))
