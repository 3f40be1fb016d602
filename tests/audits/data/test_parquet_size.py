"""A small Parquet file that claims a large table is refused before memory is taken for it."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from audits.data import parquet_size
from audits.data.sources import HuggingFace, Table, load
from audits.errors import AuditError


@pytest.fixture(autouse=True)
def _little(monkeypatch):
    monkeypatch.setattr(parquet_size, "_FREE", 256 << 20)


def _repeated(value, rows):
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [value])


def _saved(file, **columns):
    parquet.write_table(pa.table(columns), file, compression="zstd", store_schema=False)
    return file


def _of_images(rows):
    image = pa.StructArray.from_arrays(
        [pa.array([b"\0" * 1_000_000] * rows), pa.array(["x.png"] * rows)], ["bytes", "path"]
    )
    return {"image": image, "label": ["cat", "dog"] * (rows // 2)}


def test_values_that_repeat_are_counted_each_time(tmp_path):
    file = _saved(
        tmp_path / "t.parquet", path=_repeated("a" * 1_000_000, 600), label=_repeated("cat", 600)
    )
    assert file.stat().st_size < 5_000
    with pytest.raises(AuditError, match=r"at most 256 MiB in memory, .* got more in .*t\.parquet"):
        load(Table(path=str(file)))


def test_images_within_a_table_are_counted(tmp_path):
    file = _saved(tmp_path / "t.parquet", **_of_images(300))
    with pytest.raises(AuditError, match="at most 256 MiB in memory"):
        load(HuggingFace(path=str(tmp_path)))
    parquet_size.expect_bounded(_saved(file, **_of_images(100)))


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.string(), 1)], ids=str
)
def test_lists_are_counted(kind, tmp_path):
    lists = pa.array([["a" * 1_000_000]] * 600, kind)
    table = pa.table({"values": lists})
    parquet.write_table(table, tmp_path / "t.parquet", compression="zstd")
    with pytest.raises(AuditError, match="at most 256 MiB in memory"):
        parquet_size.expect_bounded(tmp_path / "t.parquet")


def test_values_of_one_length_are_counted(tmp_path):
    values = pa.array([b"\0" * 10_000_000] * 40, pa.binary(10_000_000))
    with pytest.raises(AuditError, match="at most 256 MiB in memory"):
        parquet_size.expect_bounded(_saved(tmp_path / "t.parquet", values=values))


def test_maps_are_counted(tmp_path):
    items = pa.array(["a" * 1_000_000] * 600)
    maps = pa.MapArray.from_arrays([0, 600], pa.array([str(n) for n in range(600)]), items)
    with pytest.raises(AuditError, match="at most 256 MiB in memory"):
        parquet_size.expect_bounded(_saved(tmp_path / "t.parquet", values=maps))


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"])
def test_texts_in_other_encodings_are_counted(encoding, tmp_path, monkeypatch):
    file = tmp_path / "t.parquet"
    table = pa.table({"path": [f"images/{n}.png" for n in range(5_000)]})
    options = {"use_dictionary": False, "column_encoding": {"path": encoding}}
    parquet.write_table(table, file, compression="zstd", **options)
    parquet_size.expect_bounded(file)
    monkeypatch.setattr(parquet_size, "_FREE", -8 * file.stat().st_size + 1_000)
    with pytest.raises(AuditError, match="at most 0 MiB in memory"):
        parquet_size.expect_bounded(file)


def test_rows_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_size, "_MOST_ROWS", 10)
    file = tmp_path / "t.parquet"
    parquet_size.expect_bounded(_saved(file, path=_repeated("a.png", 10)))
    with pytest.raises(AuditError, match="at most 10 rows, got 11"):
        parquet_size.expect_bounded(_saved(file, path=_repeated("a.png", 11)))


def test_a_table_of_values_that_differ_may_be_as_large_as_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_size, "_FREE", 0)
    names = [f"{n}.png" for n in np.random.default_rng(0).permutation(50_000)]
    nothing = pa.array([None] * 50_000, pa.string())
    numbers = np.random.default_rng(0).normal(size=50_000)
    file = _saved(tmp_path / "t.parquet", path=names, empty=nothing, number=numbers)
    parquet_size.expect_bounded(file)
