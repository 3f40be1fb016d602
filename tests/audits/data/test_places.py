"""Data at URIs: copied once into the cache, and found there by other processes."""

import io
import json
import subprocess
import sys

import fsspec
import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from audits import AuditError
from audits.data import copies as copies_of
from audits.data import places
from audits.data.sources import Csv, Folder, HuggingFace, MlflowDataset, Npz, Table, load

RNG = np.random.default_rng(4)
COLOUR = RNG.integers(0, 256, (4, 6, 7, 3), dtype=np.uint8)
LABELS = [0, 1, 1, 0]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of copies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fillblanks" / "data"


@pytest.fixture
def memory():
    """fsspec's file system in memory, as a bucket."""
    files = fsspec.filesystem("memory")
    for name, content in _files().items():
        files.pipe_file(f"/bucket/{name}", content)
    yield files
    files.rm("/bucket", recursive=True)


def _files():
    """Four PNGs in two folders, tables of them in two formats, and an archive."""
    found = {}
    for i, label in enumerate(LABELS):
        stream = io.BytesIO()
        Image.fromarray(COLOUR[i]).save(stream, "PNG")
        found[f"photos/{('cat', 'dog')[label]}/{i}.png"] = stream.getvalue()
    rows = pd.DataFrame({"path": list(found), "label": [("cat", "dog")[label] for label in LABELS]})
    found["t.csv"] = rows.to_csv(index=False).encode()
    found["t.parquet"] = rows.to_parquet(index=False)
    stream = io.BytesIO()
    np.savez(stream, x=COLOUR, y=np.array(LABELS))
    found["d.npz"] = stream.getvalue()
    return found


def _pixels(images):
    return {images.tensor([i]).numpy().tobytes(): images.labels[i] for i in range(len(images))}


def _wanted():
    images = (COLOUR.transpose(0, 3, 1, 2) / np.float32(255)).astype(np.float32)
    return {image.tobytes(): label for image, label in zip(images, LABELS, strict=True)}


KINDS = {
    "folder": lambda root: Folder(path=f"{root}/photos"),
    "csv": lambda root: Csv(path=f"{root}/t.csv"),
    "table": lambda root: Table(path=f"{root}/t.parquet"),
    "npz": lambda root: Npz(path=f"{root}/d.npz"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_from_a_bucket(kind, memory):
    assert _pixels(load(KINDS[kind]("memory://bucket"))) == _wanted()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_from_a_file_uri(kind, tmp_path, cache):
    for name, content in _files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert _pixels(load(KINDS[kind](tmp_path.as_uri()))) == _wanted()
    assert not cache.exists()


@pytest.fixture
def artifacts(registry, tmp_path):
    """The URI of a run's artifacts that hold the files."""
    for name, content in _files().items():
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_bytes(content)
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path / "files"), "data")
    return f"runs:/{run.info.run_id}/data"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_artifacts_of_a_run_are_data(kind, artifacts):
    assert _pixels(load(KINDS[kind](artifacts))) == _wanted()


def test_files_beside_a_model_are_data_and_an_alias_is_followed(artifacts, tmp_path):
    client = mlflow.MlflowClient()
    client.create_registered_model("m")
    for version, folder in ((1, COLOUR), (2, 255 - COLOUR)):
        for i, label in enumerate(LABELS):
            file = tmp_path / str(version) / "photos" / ("cat", "dog")[label] / f"{i}.bmp"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(folder[i]).save(file)
        (tmp_path / str(version) / "t.csv").write_text("path,label\nphotos/cat/0.bmp,cat\n")
        with mlflow.start_run() as run:
            mlflow.log_artifacts(str(tmp_path / str(version)), "model")
        client.create_model_version("m", f"{run.info.artifact_uri}/model", run.info.run_id)
        client.set_registered_model_alias("m", "champion", str(version))
        for root in (f"models:/m/{version}", "models:/m@champion"):
            images = load(Folder(path=f"{root}/photos"))
            first = folder[[0]].transpose(0, 3, 1, 2) / 255
            assert images.tensor([0]).numpy() == pytest.approx(first, abs=1e-6)
            assert images.labels.tolist() == [0, 0, 1, 1]
            row = load(Csv(path=f"{root}/t.csv"))
            assert row.tensor([0]).numpy() == pytest.approx(first, abs=1e-6)


def test_a_table_in_a_run_names_artifacts_beside_it(artifacts):
    assert _pixels(load(Csv(path=f"{artifacts}/t.csv"))) == _wanted()


_REFUSING = """
import mlflow.artifacts
def refuse(*args, **kwargs): raise AssertionError("downloaded again")
mlflow.artifacts.download_artifacts = refuse
"""


_DIGEST = """
import json, sys
from audits import AuditError
from audits.data import copies as copies_of
from audits.data.sources import Folder, load
path, copies = sys.argv[1], json.loads(sys.argv[2])
for told in (None, copies) if copies else (None,):
    if told:
        copies_of.use(told)
    try:
        print(load(Folder(path=path)).digest(range(4)))
    except AuditError:
        print("refused")
"""


def _digests_elsewhere(path, copies, before=""):
    """Digests of the folder's images in another process, before and after it knows the copies."""
    command = [sys.executable, "-c", before + _DIGEST, path, json.dumps(copies)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.soak
def test_another_process_finds_the_copy(artifacts, cache):
    path = f"{artifacts}/photos"
    first = load(Folder(path=path)).digest(range(4))
    assert cache.stat().st_mode & 0o77 == 0
    assert len(list(cache.rglob("*.png"))) == 4
    assert _digests_elsewhere(path, None, _REFUSING) == [first]


@pytest.mark.soak
def test_a_process_that_is_told_of_the_copies_asks_nobody(artifacts, monkeypatch):
    path = f"{artifacts}/photos"
    first = load(Folder(path=path)).digest(range(4))
    copies = copies_of.copies()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/at/all.db")
    assert _digests_elsewhere(path, copies) == ["refused", first]


def test_what_has_changed_since_is_copied_anew(memory):
    before = load(Folder(path="memory://bucket/photos"))
    again = load(Folder(path="memory://bucket/photos"))
    assert again.digest(range(4)) == before.digest(range(4))
    stream = io.BytesIO()
    Image.fromarray(COLOUR[0] // 2).save(stream, "PNG")
    memory.pipe_file("/bucket/photos/cat/0.png", stream.getvalue())
    after = load(Folder(path="memory://bucket/photos"))
    assert after.digest(range(4)) != before.digest(range(4))
    assert after.tensor([0]).numpy() == pytest.approx(
        (COLOUR[[0]] // 2).transpose(0, 3, 1, 2) / 255, abs=1e-6
    )


def test_rows_of_a_table_here_may_be_uris(memory, tmp_path):
    (tmp_path / "t.csv").write_text(
        "path,label\nmemory://bucket/photos/dog/1.png,dog\nmemory://bucket/photos/cat/3.png,cat\n"
    )
    images = load(Csv(path=str(tmp_path / "t.csv")))
    assert images.labels.tolist() == [1, 0]
    assert images.tensor([0, 1]).numpy() == pytest.approx(
        COLOUR[[1, 3]].transpose(0, 3, 1, 2) / 255, abs=1e-6
    )


def test_a_uri_that_leads_nowhere_is_refused_or_skipped(memory, tmp_path):
    (tmp_path / "t.csv").write_text(
        "path,label\nmemory://bucket/photos/dog/1.png,dog\nmemory://bucket/photos/gone.png,cat\n"
    )
    with pytest.raises(AuditError, match=r"Expected the images that .* names, .*gone\.png"):
        load(Csv(path=str(tmp_path / "t.csv")))
    images = load(Csv(path=str(tmp_path / "t.csv"), unreadable="skip"))
    assert len(images) == 1
    assert images.skipped[0].startswith("memory://bucket/photos/gone.png (")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Folder(path="memory://bucket/none"), "Expected data at memory://bucket/none, found none"),
        (Npz(path="memory://bucket/no.npz"), "Expected data at memory://bucket/no.npz, could not"),
        (
            Folder(path="nonsense://bucket/x"),
            "Expected data at nonsense://bucket/x, could not get them: Proto",
        ),
    ],
)
def test_a_place_without_data_is_refused(config, message, memory):
    with pytest.raises(AuditError, match=message):
        load(config)


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_artifacts_that_are_not_there_are_refused(kind, artifacts):
    for root in (artifacts + "-no", "runs:/" + "0" * 32 + "/data"):
        with pytest.raises(
            AuditError, match=rf"^Expected (data|a file|artifacts) at {root}[^\n]*$"
        ):
            load(KINDS[kind](root))


def test_labels_of_a_table_that_are_numbers_are_sorted_as_numbers(tmp_path):
    rows = ["path,label"]
    for label in ("10", "2", "0"):
        Image.fromarray(COLOUR[0]).save(tmp_path / f"{label}.png")
        rows.append(f"{label}.png,{label}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    images = load(Csv(path=str(tmp_path / "t.csv")))
    assert images.classes == ("0", "2", "10")
    assert images.labels.tolist() == [2, 1, 0]


def test_a_data_set_of_the_datasets_library_may_be_far_too(memory):
    pytest.importorskip("datasets")
    memory.pipe_file("/bucket/photos/metadata.csv", b"file_name,label\ncat/0.png,7\ndog/1.png,9\n")
    images = load(HuggingFace(path="memory://bucket/photos"))
    assert images.classes == ("7", "9")
    assert len(images) == 2


def test_a_file_system_without_its_package_names_the_command(monkeypatch):
    monkeypatch.setitem(
        places.known_implementations,
        "far",
        {"class": "no_such_package.Far", "err": "Install no_such_package to go far"},
    )
    message = "reads far://x/y: Install no_such_package to go far. Do pip install no_such_package."
    with pytest.raises(AuditError, match=message):
        load(Folder(path="far://x/y"))


def test_a_data_set_that_a_run_has_logged_is_read_from_its_source(registry, memory, tmp_path):
    for name, content in _files().items():
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_bytes(content)
    table = tmp_path / "own" / "t.csv"
    with mlflow.start_run() as run:
        for name, source in {"table": str(table), "photos": str(table.parent / "photos")}.items():
            mlflow.log_input(mlflow.data.from_pandas(pd.read_csv(table), source, name=name), "test")
        mlflow.log_input(mlflow.data.from_pandas(pd.read_csv(table), name="unknown"), "test")
    for name in ("table", "photos"):
        config = MlflowDataset(run=run.info.run_id, dataset=name)
        assert _pixels(load(config)) == _wanted()
        assert _pixels(load(config.settled())) == _wanted()
    with pytest.raises(AuditError, match="'none' among those of run"):
        load(MlflowDataset(run=run.info.run_id, dataset="none"))
    with pytest.raises(AuditError, match=r"whose source is a file or a folder, got a source of"):
        load(MlflowDataset(run=run.info.run_id, dataset="unknown"))
    with pytest.raises(AuditError, match=r"Expected the run 0+, found none"):
        load(MlflowDataset(run="0" * 32, dataset="table"))
