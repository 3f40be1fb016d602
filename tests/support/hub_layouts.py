"""Data sets in the layouts of the `datasets` library, and the images that they have."""

import json

import numpy as np
import pandas as pd
from PIL import Image

RNG = np.random.default_rng(6)
COLOUR = RNG.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
NAMES = ["dog", "cat", "dog", "bee", "cat"]


def write_images(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(COLOUR):
        Image.fromarray(image).save(folder / f"{i}.png")


def write_metadata(folder, kind, labels=NAMES, column="label"):
    write_images(folder)
    rows = [{"file_name": f"{i}.png", column: labels[i]} for i in (3, 0, 4, 1, 2)]
    if kind == "csv":
        pd.DataFrame(rows).to_csv(folder / "metadata.csv", index=False)
    elif kind == "jsonl":
        (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    else:
        pd.DataFrame(rows).to_parquet(folder / "metadata.parquet")


def write_classes(folder, names=NAMES):
    for i, image in enumerate(COLOUR):
        (folder / names[i]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / names[i] / f"{i}.png")
    return folder


def told(images):
    """Each image's pixels and class."""
    pixels = (images.tensor(range(len(images))).numpy() * 255).round().astype(np.uint8)
    pairs = zip(pixels.transpose(0, 2, 3, 1), images.labels, strict=True)
    return [(image.tobytes(), images.classes[label]) for image, label in pairs]


def oracle_of(dataset, names=None):
    return [
        (
            np.asarray(row["image"].convert("RGB")).tobytes(),
            str(row["label"]) if names is None else names[row["label"]],
        )
        for row in dataset
    ]
