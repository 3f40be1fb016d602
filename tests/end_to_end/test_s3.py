"""Data in a bucket of S3 are audited: the parent copies them, the model's process needs no network.

The server is moto's, a process of its own, reached by s3fs as S3 is reached.
"""

import io
import sys

import fsspec
import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from servers import Server, free_port
from simple_nets import logistic
from sklearn.datasets import load_digits

from audits import parse_config, run_audit
from audits.data.sources import Csv, Folder, load

pytest.importorskip("s3fs", reason="s3fs is not installed; run pip install s3fs")
boto3 = pytest.importorskip("boto3", reason="boto3 is not installed; run pip install 'moto[s3]'")
pytest.importorskip("moto", reason="moto is not installed; run pip install 'moto[s3]'")

pytestmark = pytest.mark.slow

_IMAGES = 40


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of S3; the usual variables of AWS lead to it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = Server(command, port, "/moto-api/", tmp_path_factory.mktemp("s3") / "log")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def bucket(server):
    """boto3's client of the server, which has a bucket with the digits and a table of them."""
    client = boto3.client("s3")
    client.create_bucket(Bucket="digits")
    rows = []
    for name, content in _photos():
        client.put_object(Bucket="digits", Key=f"photos/{name}", Body=content)
        rows.append((f"photos/{name}", name.partition("/")[0]))
    table = pd.DataFrame(rows, columns=["path", "label"])
    client.put_object(Bucket="digits", Key="t.parquet", Body=table.to_parquet(index=False))
    yield client
    fsspec.filesystem("s3").clear_instance_cache()  # its connection ends with the server


def _photos():
    """Names and bytes of PNGs, in a folder for each class, sorted by name."""
    images, labels = load_digits(return_X_y=True)
    for number in sorted(range(_IMAGES), key=lambda i: (labels[i], i)):
        stream = io.BytesIO()
        square = np.uint8(images[number].reshape(8, 8) / 16 * 255)
        Image.fromarray(square).resize((28, 28)).save(stream, "PNG")
        yield f"{labels[number]}/{number:02}.png", stream.getvalue()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The same folder on this machine, and a table whose rows are URIs of the bucket."""
    root = tmp_path_factory.mktemp("here")
    rows = []
    for name, content in _photos():
        file = root / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        rows.append((f"s3://digits/photos/{name}", file.parent.name))
    pd.DataFrame(rows, columns=["path", "label"]).to_parquet(root / "t.parquet", index=False)
    return root


@pytest.fixture(scope="module")
def audited(shared_registry, register, tmp_path_factory):
    """A function that audits a trusted pickle on the data."""
    uri, sha256 = register(logistic(), "pickled", pickled=True)
    store = str(tmp_path_factory.mktemp("store"))

    def audit(**data):
        return run_audit(
            parse_config(
                {
                    "model": uri,
                    "data": data,
                    "checks": [
                        {"kind": "performance"},
                        {"kind": "progressive_fill", "images": 10, "patch_size": 7},
                    ],
                    "device": "cpu",
                    "trust_pickle_sha256": sha256,
                    "store": store,
                }
            )
        )

    return audit


@pytest.fixture(scope="module")
def near(audited, here):
    """The evidence about the folder on this machine."""
    return audited(kind="folder", path=str(here / "photos")).evidence


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "folder", "path": "s3://digits/photos"},
        {"kind": "table", "path": "s3://digits/t.parquet"},
        {"kind": "table", "path": "{here}/t.parquet"},
    ],
    ids=["folder", "table", "table here of URIs"],
)
def test_data_on_s3_are_audited_as_here_and_the_process_needs_no_network(
    data, bucket, here, audited, near
):
    far = audited(kind=data["kind"], path=data["path"].format(here=here))
    for there, expected in zip(far.evidence, near, strict=True):
        assert there.status == "ok", there.reason
        assert there.metrics == expected.metrics
    assert far.evidence[0].metrics["accuracy"].estimate.n == _IMAGES
    (note,) = [note for note in far.notes if "may run any code" in note]
    assert "no variables of the environment that may be secret" in note
    assert "remote" not in note
    assert "no network" in note or "The kernel refused more" in note
    assert mlflow.MlflowClient().get_run(far.run_id).info.status == "FINISHED"


def test_an_object_that_has_changed_since_is_copied_anew(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (_, first), (_, second), *_ = _photos()
    for folder, digit in (("one", first), ("two", second)):
        bucket.put_object(Bucket="digits", Key=f"changing/{folder}/a.png", Body=digit)
    (tmp_path / "t.csv").write_text("path,label\ns3://digits/changing/one/a.png,one\n")
    configs = Folder(path="s3://digits/changing"), Csv(path=str(tmp_path / "t.csv"))
    before = [load(config).digest([0]) for config in configs]
    assert [load(config).digest([0]) for config in configs] == before
    bucket.put_object(Bucket="digits", Key="changing/one/a.png", Body=second)
    after = [load(config).digest([0]) for config in configs]
    assert [new != old for new, old in zip(after, before, strict=True)] == [True, True]
