"""What a model's files and arrays claim is bounded before anything is built of it."""

import json

import numpy as np
import pytest
import yaml
from bad_places import model_files

from audits.data.kinds.npz import Npz
from audits.errors import AuditError, ModelRefused
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing
from audits.models.trust import Trust


def _told(folder):
    with pytest.raises(ModelRefused) as caught:
        inspect(folder, Preprocessing(), Trust(by_name=True))
    (line,) = caught.value.args
    return line


_SIGNATURE = (
    'flavors: {{}}\nsignature: {{inputs: \'[{{"type": "tensor", "tensor-spec": '
    '{{"dtype": "{}", "shape": [-1, 1]}}}}]\'}}'
)


def _laughs(levels):
    """Lists of nine aliases of the list before, which hold 9 ** levels values."""
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n  ".join(["metadata:", "a0: &a0 [0, 0, 0, 0, 0, 0, 0, 0, 0]", *lines])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: " + "[" * 5_000 + "]" * 5_000, "100 levels, got more"),
        ("a: " + "[" * 300_000, "100 levels, got more"),
        (_laughs(40), "1,000,000 values, aliases written out"),
        ("metadata: &a [*a]", "values that contain themselves"),
        ("metadata: [*a]", "values that contain themselves"),
        ("a: '" + "x" * (2 << 20) + "'", "at most 2 MiB in MLmodel"),
        ("[]", "Expected a mapping in MLmodel, got list"),
        ("a: \x00", "got the control character '\\x00'"),
        ("flavors: {}\n\ufeffflavors: {}", "got the control character '\\ufeff'"),
        ("a: 1\x85b: 2", "got the control character '\\x85'"),
        ("a: 1\rb: 2", "got the control character '\\r'"),
        ("flavors: {}\na: 1\nflavors: {}", "each key once in a mapping of MLmodel, got 'flavors'"),
        ("a: {b: {c: 1, c: 1}}", "got 'c' twice"),
        ("a: " + ":".join(["1"] * 60_000), "numbers of at most 100 digits"),
        ("a: " + ":".join(["1"] * 60_000) + ".5", "numbers of at most 100 digits"),
        ("a: " + "9" * 6_000, "numbers of at most 100 digits"),
        (_SIGNATURE.format("1 1f4"), "can be read, got SyntaxError"),
        (_SIGNATURE.format("f4, 99999999999f8"), "can be read, got ValueError"),
    ],
)
def test_an_mlmodel_that_is_larger_than_any_real_one_is_refused(text, told, tmp_path):
    folder = model_files(tmp_path / "m")
    (folder / "MLmodel").write_text(text)
    assert told in _told(folder)


def test_an_mlmodel_with_the_line_ends_of_windows_is_read(tmp_path):
    folder = model_files(tmp_path / "m")
    text = (folder / "MLmodel").read_bytes().replace(b"\n", b"\r\n")
    (folder / "MLmodel").write_bytes(text)
    assert inspect(folder, Preprocessing(), Trust(by_name=True)).classes is not None


def test_aliases_that_mlflow_writes_are_read(tmp_path):
    names = [f"name {i}" for i in range(1_000)]
    folder = model_files(tmp_path / "m", classes=names, names=names)
    assert "&id001" in (folder / "MLmodel").read_text()
    found = inspect(folder, Preprocessing(), Trust(by_name=True))
    assert found.classes == tuple(names)


def _signed(folder, **signature):
    content = yaml.safe_load((folder / "MLmodel").read_text())
    tensors = {
        name: json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": shape}}])
        for name, shape in signature.items()
    }
    (folder / "MLmodel").write_text(yaml.safe_dump({**content, "signature": tensors}))
    return folder


def test_a_signature_of_huge_images_or_of_huge_answers_is_refused(tmp_path):
    folder = model_files(tmp_path / "m")
    image, huge = [-1, 1, 28, 28], [-1, 1, 100_000, 100_000]
    line = _told(_signed(folder, inputs=huge))
    assert "height of at most 8,192 pixels, got 100,000 from the signature" in line
    line = _told(_signed(folder, inputs=image, outputs=[-1, 2**62]))
    assert "at most 100,000 logits" in line
    line = _told(_signed(folder, inputs=[-1, 10**18]))
    assert "height of at most 8,192 pixels, got 1,000,000,000 from the signature" in line


def test_metadata_that_resize_to_a_huge_image_are_refused(tmp_path):
    wanted = {"resize": "crop", "resize_to": 10**9, "size": [28, 28]}
    line = _told(model_files(tmp_path / "m", preprocessing=wanted))
    assert "resize_to: Input should be less than or equal to 8192" in line


def _npz(path, labels, images=None):
    images = np.zeros((2, 4, 4), np.uint8) if images is None else images
    np.savez_compressed(path, x=images, y=labels)
    return Npz(path=str(path))


@pytest.mark.parametrize("label", [2**62, 2**63 + 1, 100_000])
def test_labels_that_no_classifier_has_are_refused(label, tmp_path):
    data = _npz(tmp_path / "data.npz", np.array([0, label], np.uint64))
    with pytest.raises(AuditError, match=r"labels below 100,000 in .*data\.npz, got [\d,]+\. Num"):
        data.load()


def test_negative_labels_are_refused(tmp_path):
    with pytest.raises(AuditError, match="Expected labels from 0 to 0"):
        _npz(tmp_path / "data.npz", np.array([-(2**62), 0])).load()


def test_arrays_that_are_larger_than_memory_once_inflated_are_refused(tmp_path, monkeypatch):
    data = _npz(tmp_path / "data.npz", np.zeros(2, int), np.zeros((2, 1024, 1024), np.uint8))
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 1, "SC_PAGE_SIZE": 1 << 20}.get)
    with pytest.raises(AuditError, match=r"fit into memory \(0 GiB\) in .*, got 0 GiB"):
        data.load()


def test_an_array_whose_header_lies_about_its_size_is_refused(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 4, 4), np.uint8), y=np.zeros(2, int))
    content = (tmp_path / "data.npz").read_bytes()
    header = b"'shape': (2, 4, 4), }"
    huge = b"'shape': (99999999999, 4, 4), }"
    at = content.index(header)
    room = len(huge) - len(header)
    assert content[at + len(header) :][:room].isspace()
    changed = content[:at] + huge + content[at + len(huge) :]
    (tmp_path / "data.npz").write_bytes(changed)
    with pytest.raises(AuditError, match=r"Expected a NumPy archive|fit into memory"):
        Npz(path=str(tmp_path / "data.npz")).load()


def _damaged(path):
    """Archives for which NumPy and zipfile have errors of many kinds."""
    np.savez(path, x=np.zeros((2, 4, 4), np.uint8), y=np.zeros(2, int))
    whole = path.read_bytes()
    flags = whole.index(b"PK\x01\x02") + 8
    yield whole[:flags] + b"\x01" + whole[flags + 1 :]  # encrypted
    yield whole[: len(whole) // 2]
    method = whole.index(b"PK\x01\x02") + 10
    yield whole[:method] + b"\x63\x00" + whole[method + 2 :]


def test_a_damaged_archive_is_one_line(tmp_path):
    path = tmp_path / "data.npz"
    for content in [*_damaged(path)]:
        path.write_bytes(content)
        with pytest.raises(AuditError) as caught:
            Npz(path=str(path)).load()
        assert len(caught.value.args) == 1


def test_labels_that_are_durations_are_refused(tmp_path):
    labels = np.zeros(2, "timedelta64[s]")
    with pytest.raises(AuditError, match="whole-number labels"):
        _npz(tmp_path / "data.npz", labels).load()


def test_a_file_that_mlflows_client_writes_over_is_no_data(tmp_path):
    folder = model_files(tmp_path / "m")
    (folder / "data").rename(folder / "registered_model_meta")
    values = yaml.safe_load((folder / "MLmodel").read_text())
    values["flavors"]["pytorch"]["model_data"] = "registered_model_meta"
    (folder / "MLmodel").write_text(yaml.safe_dump(values))
    with pytest.raises(ModelRefused, match="files of other names, got registered_model_meta"):
        inspect(folder, Preprocessing(), Trust(by_name=True))
