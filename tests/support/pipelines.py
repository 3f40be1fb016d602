"""A pipeline of transformers, and changes of the folder in which MLflow has saved it."""

import json

import mlflow
import torch
import transformers
import yaml

NAMES = ("cat", "dog", "ship")


def net():
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        num_channels=3,
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        id2label=dict(enumerate(NAMES)),
        label2id={name: n for n, name in enumerate(NAMES)},
    )
    return transformers.ResNetForImageClassification(config).eval()


def processor():
    return transformers.CLIPImageProcessor(
        size={"shortest_edge": 36},
        crop_size={"height": 32, "width": 32},
        image_mean=[0.3, 0.4, 0.5],
        image_std=[0.2, 0.3, 0.4],
    )


def save(folder):
    """Saves the pipeline by MLflow."""
    pipeline = transformers.pipeline(
        "image-classification", model=net(), image_processor=processor()
    )
    mlflow.transformers.save_model(pipeline, str(folder), pip_requirements=["transformers"])


def edit(file, **changes):
    """Changes keys of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def reconfigure(folder, **changes):
    """Changes keys of the flavour's entry in MLmodel; None leaves a key out."""
    file = folder / "MLmodel"
    values = yaml.safe_load(file.read_text())
    entry = values["flavors"]["transformers"]
    entry |= changes
    values["flavors"]["transformers"] = {k: v for k, v in entry.items() if v is not None}
    file.write_text(yaml.safe_dump(values))
    return folder
