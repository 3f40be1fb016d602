"""Files of torchvision's data sets are read without torchvision and its pickles, or refused."""

import gzip
import hashlib
import os
import pickle
import shutil
import struct
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from torchvision import datasets

from audits.data.sources import Torchvision, load
from audits.errors import AuditError

_IMAGES, _LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
_PIXELS = np.arange(3 * 784, dtype=np.uint8).reshape(3, 28, 28)


def _idx(array, kind=8):
    head = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


@pytest.fixture
def mnist(tmp_path):
    """The folder of MNIST's files, with three images."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for start in ("t10k", "train"):
        (folder / f"{start}-images-idx3-ubyte").write_bytes(_idx(_PIXELS))
        (folder / f"{start}-labels-idx1-ubyte").write_bytes(_idx(np.array([7, 0, 9], np.uint8)))
    return folder


def _loaded(root, dataset="MNIST", split="test"):
    return load(Torchvision(dataset=dataset, root=str(root), split=split))


@pytest.mark.parametrize("split", ["test", "train"])
def test_idx_files_are_read_as_torchvision_reads_them(split, mnist, tmp_path):
    for start in ("t10k", "train"):  # torchvision's own file of labels must be there
        (mnist / f"{start}-labels-idx1-ubyte").touch()
    wanted = datasets.MNIST(str(tmp_path), train=split == "train")
    images = _loaded(tmp_path, split=split)
    assert images.labels.tolist() == wanted.targets.tolist() == [7, 0, 9]
    assert images.tensor([0, 1, 2]).mul(255).round().squeeze(1).tolist() == wanted.data.tolist()


def test_files_are_fetched_if_asked(mnist, tmp_path, monkeypatch):
    packed = {f"{file.name}.gz": gzip.compress(file.read_bytes()) for file in mnist.iterdir()}
    shutil.rmtree(tmp_path / "MNIST")
    known = [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()]
    monkeypatch.setattr(datasets.MNIST, "resources", known)
    asked = Torchvision(dataset="MNIST", root=str(tmp_path), download=True)
    with _mirror(packed) as address:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{address}/nowhere/"])
        with pytest.raises(AuditError, match="Expected to fetch MNIST into"):
            load(asked)
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{address}/"])
        assert load(asked).labels.tolist() == [7, 0, 9]


@contextmanager
def _mirror(files):
    """A server of files; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = files.get(self.path.removeprefix("/"))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (_IMAGES, b""),
        (_IMAGES, b"abcd"),
        (_IMAGES, _idx(_PIXELS)[:6]),
        (_IMAGES, struct.pack(">IIII", 0x803, 2**32 - 1, 2**32 - 1, 0)),
        (_IMAGES, struct.pack(">IIII", 0x803, 3, 0, 28)),
        (_IMAGES, _idx(_PIXELS)[:100]),
        (_IMAGES, struct.pack(">IIII", 0x803, 2**31 - 1, 28, 28) + bytes(100)),
        (_IMAGES, _idx(np.zeros((3, 28), np.uint8))),
        (_IMAGES, _idx(np.full((3, 28, 28), -5.0), kind=14)),
        (_LABELS, _idx(np.full(3, 2**30, ">i4"), kind=12)),
    ],
)
def test_damaged_files_are_told(name, content, mnist, tmp_path):
    (mnist / name).write_bytes(content)
    with pytest.raises(AuditError, match=rf"Expected an idx file of bytes .*{name}, got another"):
        _loaded(tmp_path)


def test_labels_of_other_images_are_told(mnist, tmp_path):
    (mnist / _LABELS).write_bytes(_idx(np.zeros(2, np.uint8)))
    with pytest.raises(AuditError, match=r"a label for each image .* got 2 for 3 images"):
        _loaded(tmp_path)
    (mnist / _LABELS).write_bytes(_idx(np.full(3, 200, np.uint8)))
    with pytest.raises(AuditError, match=r"labels from 0 to 9 .* got 200"):
        _loaded(tmp_path)


def test_files_that_the_kernel_tells_are_not_opened(mnist, tmp_path):
    (mnist / _IMAGES).unlink()
    (mnist / _IMAGES).symlink_to("/proc/kmsg")
    with pytest.raises(AuditError, match="below /proc"):
        _loaded(tmp_path)


def test_what_torch_would_unpickle_is_no_data(tmp_path):
    folder = tmp_path / "MNIST" / "processed"
    folder.mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        (folder / name).write_bytes(pickle.dumps(_Evil(tmp_path / "ran")))
    with pytest.raises(AuditError, match=r"Expected a file at .*MNIST/raw/t10k-images"):
        _loaded(tmp_path)
    assert not (tmp_path / "ran").exists()


class _Evil:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


def _short(text):
    return b"U" + bytes([len(text)]) + text.encode()


def _of_python_2(data, labels):
    """A batch as Python 2 has pickled those of CIFAR-10: text and bytes are one type there."""
    rows, columns = data.shape
    return b"".join(
        [
            b"\x80\x02}(",
            _short("data") + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85",
            _short("b") + b"\x87R(K\x01",
            b"K" + bytes([rows]) + b"M" + struct.pack("<H", columns) + b"\x86",
            b"cnumpy\ndtype\n" + _short("u1") + b"K\x00K\x01\x87R(K\x03" + _short("|"),
            b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"T" + struct.pack("<I", data.size) + data.tobytes() + b"tb",
            _short("labels") + b"](" + b"".join(b"K" + bytes([one]) for one in labels) + b"e",
            b"u.",
        ]
    )


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Writes files, with their hashes as those of CIFAR-10; returns the folder."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    draw = np.random.default_rng(0)

    def written(name, content):
        (folder / name).write_bytes(content)
        return [name, hashlib.md5(content).hexdigest()]

    def files(test):
        batches = [
            written(f"data_batch_{n}", pickle.dumps(_batch(draw, 2), protocol=4)) for n in (1, 2)
        ]
        monkeypatch.setattr(datasets.CIFAR10, "train_list", batches)
        monkeypatch.setattr(datasets.CIFAR10, "test_list", [written("test_batch", test)])
        meta = written("batches.meta", pickle.dumps({"label_names": ["cat", "dog"]}))
        known = {**datasets.CIFAR10.meta, "md5": meta[1]}
        monkeypatch.setattr(datasets.CIFAR10, "meta", known)
        return folder

    return files


def _batch(draw, count):
    data = draw.integers(0, 256, (count, 3072), dtype=np.uint8)
    return {"data": data, "labels": [n % 2 for n in range(count)]}


@pytest.mark.parametrize("split", ["test", "train"])
def test_batches_are_read_as_torchvision_reads_them(split, cifar, tmp_path):
    test = _batch(np.random.default_rng(1), 3)
    cifar(_of_python_2(**test))
    wanted = datasets.CIFAR10(str(tmp_path), train=split == "train")
    images = _loaded(tmp_path, "CIFAR10", split)
    assert (images.classes, images.labels.tolist()) == (("cat", "dog"), wanted.targets)
    found = images.tensor(range(len(images))).mul(255).round().permute(0, 2, 3, 1)
    assert np.array_equal(found.numpy(), wanted.data)


def test_no_other_type_is_unpickled(cifar, tmp_path):
    cifar(pickle.dumps(_Evil(tmp_path / "ran")))
    with pytest.raises(AuditError, match=r"Expected arrays of numpy in CIFAR-10, got \w+\.mkdir"):
        _loaded(tmp_path, "CIFAR10")
    assert not (tmp_path / "ran").exists()


def test_another_file_of_cifar_is_refused(cifar, tmp_path):
    folder = cifar(_of_python_2(**_batch(np.random.default_rng(1), 3)))
    shutil.copy(folder / "data_batch_1", folder / "test_batch")
    with pytest.raises(AuditError, match=r"file of CIFAR-10 at .*test_batch, got another"):
        _loaded(tmp_path, "CIFAR10")
