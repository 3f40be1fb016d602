"""Configs with data that no audit can take, and a part of the line that refuses each."""

import os

import numpy as np
from PIL import Image

_X = np.zeros((4, 28, 28), np.uint8)
_Y = np.arange(4)


def _npz(**changes):
    """An audit of an archive with these arrays, or without those that are None."""

    def arguments(place):
        path = place.folder / "data.npz"
        given = {name: array for name, array in changes.items() if name in ("x", "y", "names")}
        arrays = {"x": _X, "y": _Y, **given}
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        keys = {k: v for k, v in changes.items() if k not in arrays}
        return place.audit(data={"kind": "npz", "path": str(path), **keys})

    return arguments


def _changed(change):
    """An audit of an archive whose bytes were changed."""

    def arguments(place):
        typed = _npz()(place)
        path = place.folder / "data.npz"
        path.write_bytes(change(path.read_bytes()))
        return typed

    return arguments


def _byte(offset, value):
    """Sets a byte of the first entry in the zip's directory."""

    def change(data):
        at = data.index(b"PK\x01\x02") + offset
        return data[:at] + bytes([value]) + data[at + 1 :]

    return change


def _table(content, kind="csv", name="table.csv", **keys):
    def arguments(place):
        path = place.folder / name
        path.write_bytes(content)
        return place.audit(data={"kind": kind, "path": str(path), **keys})

    return arguments


def _folder(make=None, **keys):
    """An audit of a folder of two classes, in which `make(folder)` puts something."""

    def arguments(place):
        folder = place.folder / "photos"
        for name in ("0", "1"):
            (folder / name).mkdir(parents=True)
            Image.new("L", (28, 28)).save(folder / name / "a.png")
        if make is not None:
            make(folder)
        return place.audit(data={"kind": "folder", "path": str(folder), **keys})

    return arguments


def _file(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def _cut(folder):
    file = folder / "0" / "a.png"
    file.write_bytes(file.read_bytes()[:60])


def _empty(folder):
    for file in folder.rglob("*.png"):
        file.unlink()


def _flat(folder):
    for name in ("0", "1"):
        (folder / name / "a.png").rename(folder / f"{name}.png")
        (folder / name).rmdir()


def _data(**values):
    return lambda place: place.audit(data=values)


_DIGITS = {"kind": "digits", "split": "test"}

CASES = {
    "npz is not there": (_data(kind="npz", path="nowhere.npz"), "Expected a file at nowhere.npz"),
    "npz of text": (_changed(lambda data: b"text"), "Expected a NumPy archive"),
    "npz of nothing": (_changed(lambda data: b""), "Expected a NumPy archive"),
    "npz cut in half": (_changed(lambda data: data[: len(data) // 2]), "Expected a NumPy archive"),
    "npz encrypted": (_changed(_byte(8, 1)), "Expected a NumPy archive"),
    "npz of unknown compression": (_changed(_byte(10, 99)), "Expected a NumPy archive"),
    "npz without images": (_npz(x=None), "Expected an array 'x'"),
    "npz without labels": (_npz(y=None), "Expected an array 'y'"),
    "npz without names": (_npz(classes="names"), "Expected an array 'names'"),
    "npz of objects": (_npz(x=np.array([{}] * 4, dtype=object)), "without pickles"),
    "images of one dimension": (_npz(x=np.zeros(4)), r"Expected images of shape \(N, H, W\)"),
    "images of five dimensions": (_npz(x=np.zeros((4, 1, 1, 8, 8))), r"images of shape \(N, H, W"),
    "images of five channels": (_npz(x=np.zeros((4, 28, 28, 5))), "Expected images of shape"),
    "images of two channels": (_npz(x=np.zeros((4, 28, 28, 2))), "Expected images of shape"),
    "images without a side": (_npz(x=np.zeros((4, 0, 28))), "Expected images of shape"),
    "images of NaN": (_npz(x=_X + np.nan), r"float images in \[0, 1\]"),
    "images of infinity": (_npz(x=_X + np.inf), r"float images in \[0, 1\]"),
    "images up to 255": (_npz(x=_X + 255.0), r"float images in \[0, 1\]"),
    "images below 0": (_npz(x=_X - 1.0), r"float images in \[0, 1\]"),
    "images of int32": (_npz(x=_X.astype(np.int32)), "Expected uint8, uint16 or float images"),
    "images of int64": (_npz(x=_X.astype(np.int64)), "Expected uint8, uint16 or float images"),
    "images of complex": (_npz(x=_X.astype(complex)), "Expected uint8, uint16 or float images"),
    "images of text": (_npz(x=_X.astype(str)), "Expected uint8, uint16 or float images"),
    "images brighter than white": (
        _npz(x=_X.astype(np.uint16) + 5000, bits=12),
        "Expected images of 12 bits",
    ),
    "labels of floats": (_npz(y=_Y / 2), "Expected 4 whole-number labels"),
    "labels of text": (_npz(y=_Y.astype(str)), "Expected 4 whole-number labels"),
    "labels of durations": (_npz(y=_Y.astype("m8[s]")), "Expected 4 whole-number labels"),
    "labels in a table": (_npz(y=_Y[:, None]), "Expected 4 whole-number labels"),
    "labels too few": (_npz(y=_Y[:3]), "Expected 4 whole-number labels"),
    "labels of 2**62": (_npz(y=_Y + 2**62), "Expected labels below 100,000"),
    "labels below 0": (_npz(y=_Y - 1), "Expected labels from 0 to"),
    "labels without names": (
        _npz(names=np.array(["a"]), classes="names"),
        "Expected labels from 0",
    ),
    "names that are the same": (
        _npz(names=np.array(["a"] * 4), classes="names"),
        "Expected",
    ),
    "no images at all": (_npz(x=_X[:0], y=_Y[:0]), "Expected"),
    "csv is not there": (_data(kind="csv", path="nowhere.csv"), "Expected a file at nowhere.csv"),
    "csv of nothing": (_table(b""), "Expected a UTF-8 table"),
    "csv of other bytes": (_table(b"path,label\n\xff,1\n"), "Expected a UTF-8 table"),
    "csv without paths": (_table(b"file,label\na,1\n"), "Expected a column 'path'"),
    "csv with two columns of one name": (
        _table(b"path,label,label\na,1,2\n"),
        r"columns with different names in .*, got 'label' twice",
    ),
    "csv with a space in its header": (
        _table(b"path, label\na,1\n"),
        "Expected a column 'label' in .*, found: 'path', ' label'",
    ),
    "csv without labels": (_table(b"path,name\na,1\n"), "Expected a column 'label'"),
    "csv of images that are not there": (_table(b"path,label\na.png,1\n"), "a.png is not there"),
    "csv of a header": (_table(b"path,label\n"), "Expected"),
    "csv with a quote that never ends": (_table(b'path,label\n"a,1\n'), "Expected"),
    "parquet of text": (_table(b"text", name="table.parquet"), "Expected a table in Parquet"),
    "folder is not there": (_data(kind="folder", path="nowhere"), "Expected"),
    "folder is a file": (
        lambda p: p.audit(data={"kind": "folder", "path": str(p.file)}),
        "Expected",
    ),
    "folder without images": (_folder(_empty), "Expected"),
    "folder without classes": (_folder(_flat), "Expected"),
    "folder with text": (_folder(_file("0/b.png", b"text")), "that can be read"),
    "folder with an empty image": (_folder(_file("0/b.png", b"")), "that can be read"),
    "folder with half an image": (_folder(_cut), "that can be read"),
    "folder with a pipe": (_folder(lambda folder: os.mkfifo(folder / "0" / "b.png")), "Expected"),
    "folder without the split": (_folder(split="validation"), "Expected"),
    "data of an unknown kind": (_data(kind="photos"), r"data: unknown kind 'photos'"),
    "data without a kind": (_data(path="x"), "data: "),
    "data of an unknown key": (_data(kind="digits", shuffle=True), "unknown key"),
    "data of a run that is not there": (
        _data(kind="mlflow", run="0" * 32, dataset="x"),
        "Expected the run",
    ),
    "secret without a sample": (_data(**_DIGITS, secret=True), "sample"),
    "sample of nothing": (_data(**_DIGITS, secret=True, sample=0), "greater than"),
    "sample of the whole pool": (_data(**_DIGITS, secret=True, sample=450), "Expected a pool"),
    "sample that is no secret": (_data(**_DIGITS, sample=10), "sample"),
    "isolation that is unknown": (lambda p: p.audit(isolation="chroot"), "isolation: "),
    "docker without an image": (lambda p: p.audit(isolation="docker"), "docker_image"),
    "image without docker": (lambda p: p.audit(docker_image="audits"), "docker"),
    "served as nothing": (lambda p: p.audit(served="a_flavour"), "served"),
}
