"""Forms that differ in the data set, all with a pt2 whose input is known."""

import csv

import numpy as np
from PIL import Image

from forms.form import KNOWN, Form, log_torch, write_folders
from forms.owner import NAMES, Owner

_SKIP = {"kind": "folder", "unreadable": "skip"}


def _log(owner: Owner, name: str) -> None:
    log_torch(owner.net, name, metadata=KNOWN)


def _with_rubbish(folder, images):
    """Beside the images what systems and notebooks leave behind."""
    write_folders(folder, images)
    for place in ("__MACOSX", ".ipynb_checkpoints", "zero/.thumbs"):
        (folder / place).mkdir()
        (folder / place / "0.png").write_bytes(b"no image")
    for file in ("Thumbs.db", "zero/Thumbs.db", "zero/._000.png", "one/.DS_Store"):
        (folder / file).write_bytes(b"no image")
    return folder


def _with_gifs(folder, images):
    write_folders(folder, images)
    for _, image in images[:3]:
        Image.fromarray(image).save(folder / "zero" / "moving.gif")
    return folder


def _with_corrupt(folder, images):
    write_folders(folder, images)
    whole = (folder / images[0][0]).read_bytes()
    (folder / images[0][0].parent / "zz-cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / images[0][0].parent / "zz-text.png").write_bytes(b"hello")
    return folder


def _as_palette(folder, images):
    for path, image in images:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        colours = Image.fromarray(image).quantize(256)
        assert (np.asarray(colours.convert("RGB")) == image).all()
        colours.save(file)
    return folder


def _opaque(image):
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


def _turned(folder, images):
    """Stored on their side, with the EXIF tag that turns them back."""
    for path, image in images:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise
        Image.fromarray(np.ascontiguousarray(np.rot90(image))).save(file, exif=exif)
    return folder


def _splits(folder, images):
    write_folders(folder / "test", images)
    write_folders(folder / "train", images[:4])
    return folder


def _write_table(folder, images, name, column):
    """Writes the images and a table of them; returns the table's path."""
    write_folders(folder, images)
    with (folder / name).open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([column, "label"])
        writer.writerows((path, path.parent.name) for path, _ in images)
    return folder / name


def _csv(folder, images):
    return _write_table(folder, images, "labels.csv", "path")


def _huggingface(folder, images):
    _write_table(folder, images, "metadata.csv", "file_name")
    return folder


def _npz(images, folder, pixels):
    classes = sorted(set(NAMES))
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "images.npz",
        x=pixels,
        y=np.array([classes.index(path.parent.name) for path, _ in images]),
        names=np.array(classes),
    )
    return folder / "images.npz"


def _bytes(folder, images):
    return _npz(images, folder, np.stack([image for _, image in images]))


def _floats(folder, images):
    """White that an antialiased resize has made a little whiter."""
    pixels = np.stack([image for _, image in images]).astype(np.float32) / 255
    return _npz(images, folder, pixels * np.float32(1.0000001))


_NPZ = {"kind": "npz", "classes": "names"}

FORMS = (
    Form("folders with what systems leave behind", _log, write=_with_rubbish),
    Form("GIFs among the images", _log, write=_with_gifs),
    Form(
        "files that cannot be read",
        _log,
        {"data": _SKIP},
        asked=r"zz-cut\.png.*unreadable: skip",
        write=_with_corrupt,
    ),
    Form("PNGs with a palette", _log, write=_as_palette),
    Form("PNGs with an opaque alpha channel", _log, picture=_opaque),
    Form(
        "images that an EXIF tag turns",
        _log,
        {"preprocessing": {"exif": True}},
        asked=r"as configured.*set preprocessing\.exif: true",
        write=_turned,
    ),
    Form(
        "folders train and test, split in the config",
        _log,
        {"data": {"kind": "folder", "split": "test"}},
        asked=r"[Ss]et data\.split: test",
        write=_splits,
    ),
    Form("a table of paths", _log, write=_csv, data={"kind": "csv"}),
    Form(
        "Hugging Face's metadata.csv",
        _log,
        write=_huggingface,
        data={"kind": "huggingface"},
        package="datasets",
    ),
    Form("npz of uint8", _log, write=_bytes, data=_NPZ),
    Form("npz of floats a little above 1", _log, write=_floats, data=_NPZ),
)
