"""A part is read whole or not at all, and its key depends on all of its inputs."""

import io
import os
import stat
import time

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.errors import AuditError
from audits.execution.keys import key_of
from audits.execution.store import Store, default_folder

KEY = "0" * 64
PART = {
    "label": np.arange(3),
    "shown": np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), dtype=np.uint8),
    "nothing": np.zeros((0, 4), np.float32),
    "nan": np.array([np.nan, 1.0]),
    "found": np.array([True, False]),
    "number": np.array(1.5),
}


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "a" / "store"))


@pytest.fixture
def file(store):
    """The file of a whole part."""
    store.put(KEY, PART)
    (found,) = _files(store)
    return found


def _files(store):
    from pathlib import Path

    return sorted((Path(store.folder) / "parts").iterdir())


def _same(one, other):
    return set(one) == set(other) and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name], True)
        if one[name].dtype.kind == "f"
        else np.array_equal(one[name], other[name])
        for name in one
    )


@pytest.mark.parametrize("where", ["local", "memory"])
def test_a_part_comes_back_as_it_was(where, tmp_path):
    folder = str(tmp_path / "store") if where == "local" else f"memory://{tmp_path.name}/parts"
    store = Store(folder)
    assert not store.has(KEY)
    assert store.get(KEY) is None
    store.put(KEY, PART)
    assert store.has(KEY)
    assert _same(Store(folder).get(KEY), PART)


def test_a_part_in_memory_is_one_file(tmp_path):
    store = Store(f"memory://{tmp_path.name}")
    store.put(KEY, PART)
    names = fsspec.filesystem("memory").ls(f"/{tmp_path.name}/parts", detail=False)
    assert [name.rsplit("/", 1)[-1] for name in names] == [f"{KEY}.npz"]


def test_a_part_written_twice_is_the_later_one(store):
    store.put(KEY, PART)
    store.put(KEY, {"label": np.array([7])})
    assert store.get(KEY)["label"].tolist() == [7]
    assert len(_files(store)) == 1


def test_a_part_cut_short_anywhere_is_absent(store, file):
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        assert store.get(KEY) is None
        assert not store.has(KEY)


def test_a_part_with_a_damaged_byte_is_absent_or_unharmed(store, file):
    whole = file.read_bytes()
    directory = whole.index(b"PK\x01\x02")  # the names in the zip directory have no checksum
    for position in range(directory):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :])
        found = store.get(KEY)
        assert found is None or _same(found, PART)


def _npy():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"hello",
        b"\x80\x04\x95\x00",
        bytes(1000),
        pytest.param(_npy(), id="npy"),
    ],
)
def test_what_is_no_archive_is_absent(content, store, file):
    file.write_bytes(content)
    assert store.get(KEY) is None


def test_a_part_that_someone_pickled_is_absent_and_not_run(store, file, tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (marker.touch, ())

    np.savez(file, label=np.array([Evil()], dtype=object))
    assert store.get(KEY) is None
    assert not marker.exists()
    np.load(file, allow_pickle=True)["label"]
    assert marker.exists(), "the archive was harmless and this test proved nothing"


def test_a_damaged_part_can_be_written_anew(store, file):
    file.write_bytes(b"PK")
    store.put(KEY, PART)
    assert _same(store.get(KEY), PART)


@pytest.mark.parametrize("array", [np.array([None]), np.array([(1, "a")], dtype="i4,O")])
def test_objects_are_refused_and_leave_nothing(array, store):
    with pytest.raises(TypeError, match="Expected plain arrays in a part, got objects in 'bad'"):
        store.put(KEY, {"good": np.arange(3), "bad": array})
    assert _files(store) == []


def test_a_part_may_have_any_name(store):
    store.put(KEY, {"file": np.arange(3)})
    assert store.get(KEY)["file"].tolist() == [0, 1, 2]


def test_nobody_sees_a_part_before_it_is_whole(store, monkeypatch):
    """The disk fills up in the middle of the write."""
    store.put(KEY, PART)
    opened = store._files.open

    def full(path, mode="rb", **options):
        file = opened(path, mode, **options)
        if mode == "wb":
            file.write(b"PK\x03\x04 half of it")
            file.close()
            raise OSError("No space left on device")
        return file

    monkeypatch.setattr(store._files, "open", full)
    for key in (KEY, "1" * 64):
        with pytest.raises(AuditError, match=f"written at {store.folder}, got: No space left"):
            store.put(key, {"label": np.array([7])})
    assert _same(store.get(KEY), PART)
    assert not store.has("1" * 64)


def test_files_with_temporary_names_do_not_count(store, file):
    for name in (f"{KEY[:-1]}1.npz.0123.tmp", f"{'2' * 64}.npz.tmp"):
        (file.parent / name).write_bytes(file.read_bytes())
    assert not store.has(KEY[:-1] + "1")
    assert not store.has("2" * 64)


def test_local_parts_are_their_users_alone(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir(mode=0o755)
    (folder / "parts").mkdir(mode=0o755)
    for made in (folder, tmp_path / "new" / "store"):
        Store(str(made))
        assert stat.S_IMODE((made / "parts").stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_the_default_folder_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == str(tmp_path / "fillblanks")
    assert Store().folder == str(tmp_path / "fillblanks")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == str(tmp_path / "home" / ".cache" / "fillblanks")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_causes = st.dictionaries(st.sampled_from(["model", "images", "unit", "seed"]), _values, min_size=1)


def _turned(value):
    if isinstance(value, dict):
        return {name: _turned(inner) for name, inner in reversed(value.items())}
    return [_turned(inner) for inner in value] if isinstance(value, list) else value


@given(_causes)
def test_a_key_does_not_depend_on_the_order_of_names(causes):
    assert key_of(**_turned(causes)) == key_of(**causes)
    assert len(key_of(**causes)) == 64


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "b" * 64},
        {"seed": 1},
        {"seed": "0"},
        {"check": {"kind": "random_fill", "version": 2}},
        {"check": {"kind": "random_fill", "version": 1, "label": None}},
        {"unit": {"indices": [1, 0]}},
        {"unit": {"indices": [0]}},
        {"mean": [0.1307000001]},
        {"more": None},
    ],
)
def test_a_key_changes_with_every_cause(changed):
    causes = {
        "model": "a" * 64,
        "seed": 0,
        "check": {"kind": "random_fill", "version": 1},
        "unit": {"indices": [0, 1]},
        "mean": [0.1307],
    }
    assert key_of(**{**causes, **changed}) != key_of(**causes)


def test_a_key_of_what_is_not_a_plain_value_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        key_of(seed=float("nan"))
    for value in (np.float32(1), {1, 2}):
        with pytest.raises(TypeError, match=f"{type(value).__name__} is not JSON serializable"):
            key_of(seed=value)


def test_what_nobody_used_for_a_while_is_pruned_and_the_rest_stays(tmp_path):
    store = Store(str(tmp_path))
    old, read, new = (key_of(name=name) for name in ("old", "read", "new"))
    for key in (old, read, new):
        store.put(key, {"a": np.arange(10)})
    somebodys = tmp_path / "parts" / "notes.txt"
    somebodys.touch()
    week = 7 * 86_400
    for file in (store._path(old), store._path(read), somebodys):
        os.utime(file, (time.time() - 2 * week,) * 2)
    assert store.get(read) is not None
    would, _ = store.prune(week, dry_run=True)
    assert (would.files, store.has(old)) == (1, True)
    os.utime(store._path(old), (time.time() - 2 * week,) * 2)  # `has` counted as a use
    deleted, kept = store.prune(week)
    assert deleted == would
    assert (kept.files, deleted.bytes > 0, somebodys.exists()) == (2, True, True)
    assert [store.has(key) for key in (old, read, new)] == [False, True, True]


def test_a_store_that_is_not_local_is_not_pruned(tmp_path):
    with pytest.raises(AuditError, match="Expected a store on a local disk"):
        Store(f"memory://{tmp_path.name}").prune(1.0)
