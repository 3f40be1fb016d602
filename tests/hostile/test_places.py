"""An address says which files are read: none leads to what the kernel tells of this process."""

import json
import os

import pytest

from audits import AuditError
from audits.data.places import file_at, folder_at
from audits.data.sources import Csv, load


@pytest.fixture
def leading(tmp_path, monkeypatch):
    """A file of references, by which `a.png` is the environment of this process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "references.json"
    file.write_text(json.dumps({"version": 1, "refs": {"a.png": ["/proc/self/environ"]}}))
    return file


@pytest.mark.parametrize("around", ["", "simplecache::"])
def test_no_address_reads_what_another_file_names(around, leading, tmp_path):
    place = f"{around}reference://a.png::file://{leading}"
    table = tmp_path / "t.csv"
    table.write_text(f"path,label\n{place},cat\n")
    for read in (lambda: load(Csv(path=str(table))), lambda: folder_at(place)):
        with pytest.raises(AuditError, match="Name the files themselves"):
            read()
    assert not list(tmp_path.glob("cache/**/a.png"))


@pytest.mark.parametrize("inner", ["file:///dev/zero", "/dev/zero", "local:///proc/self/mem"])
@pytest.mark.parametrize("outer", ["zip://x::", "tar://x::", "tar://x::zip://y::"])
def test_no_archive_is_opened_that_is_no_ordinary_file(outer, inner):
    with pytest.raises(AuditError, match="which is below"):
        file_at(outer + inner)


def test_a_name_that_is_too_long_is_told():
    with pytest.raises(AuditError, match="Expected the path of a file, got '/aaa"):
        file_at(f"zip://x::file:///{'a' * 5000}")


@pytest.mark.parametrize("outer", ["zip://x::file://", "local://"])
def test_no_pipe_is_waited_for(outer, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AuditError, match=r"Expected data in ordinary files, got .*pipe"):
        file_at(f"{outer}{tmp_path}/pipe")


@pytest.mark.parametrize("place", ["generic://file:///proc/version", "asynclocal:///proc/version"])
def test_no_address_hides_a_path_of_this_machine(place):
    with pytest.raises(AuditError, match="says which files are read"):
        folder_at(place)
