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
