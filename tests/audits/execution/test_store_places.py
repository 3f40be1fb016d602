"""A store that is another user's, or that takes nothing, is refused and left as it is."""

import os
import resource

import numpy as np
import pytest

from audits.errors import AuditError
from audits.execution.store import Store


@pytest.mark.parametrize("theirs", ["folder", "target of a link", "link", "parts"])
def test_a_store_of_somebody_else_is_refused_and_left_as_it_is(theirs, tmp_path, monkeypatch):
    me, folder = os.geteuid(), tmp_path / "theirs"
    (folder / "parts").mkdir(parents=True, mode=0o755)
    store = folder
    if theirs != "parts":
        store = tmp_path / "store"
        store.symlink_to(folder)
    if theirs == "link":
        if me != 0:
            pytest.skip("only root can give a link away")
        os.lchown(store, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(AuditError, match=r"Expected a store of your own, got .* belongs to"):
        Store(str(store))
    assert (folder / "parts").stat().st_mode & 0o777 == 0o755


def test_a_folder_that_has_other_files_is_not_made_private(tmp_path):
    parts = tmp_path / "shop" / "parts"
    parts.mkdir(parents=True)
    parts.chmod(0o755)
    (parts / "wheel.txt").write_text("round")
    with pytest.raises(AuditError, match=r"a folder of parts, .* got 'wheel\.txt' and no part"):
        Store(str(tmp_path / "shop"))
    assert parts.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("mode", [0o777, 0o733])
def test_a_folder_in_which_everybody_may_write_is_no_store(mode, tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(
        AuditError, match=r"a store in a folder of your own, .* everybody may write"
    ):
        Store(str(folder))
    folder.chmod(mode | 0o1000)  # there nobody may move what others have made
    Store(str(folder)).expect_writable()


def _linked(file):
    file.rename(file.with_name("elsewhere"))
    file.symlink_to(file.with_name("elsewhere"))


def _piped(file):
    file.unlink()
    os.mkfifo(file)


def _given_away(file):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(file, 12345, -1)


@pytest.mark.parametrize("plant", [_linked, _piped, _given_away])
def test_a_part_that_is_no_file_of_ones_own_is_measured_again(plant, tmp_path):
    store, key = Store(str(tmp_path)), "0" * 64
    store.put(key, {"x": np.ones(3)})
    assert store.has(key)
    plant(tmp_path / "parts" / f"{key}.npz")
    assert not store.has(key)
    store.put(key, {"x": np.ones(3)})
    assert store.has(key)


def test_a_link_of_ones_own_is_a_store(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "elsewhere")
    Store(str(tmp_path / "store")).expect_writable()
    assert (tmp_path / "elsewhere" / "parts").is_dir()


def test_a_full_disk_is_told_with_the_store_and_leaves_nothing(tmp_path):
    store = Store(str(tmp_path / "store"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    part = {"noise": np.random.default_rng(0).bytes(100_000)}
    part = {name: np.frombuffer(data, np.uint8) for name, data in part.items()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(AuditError, match=f"can be written at {tmp_path}/store, got: .*File"):
            store.put("0" * 64, part)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "store" / "parts").iterdir())
