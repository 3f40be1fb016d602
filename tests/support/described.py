"""Registered models of which little more than MLmodel is there, as of other teams."""

import json
import os

import yaml
from mlflow import MlflowClient

TABLE = [{"type": "double", "name": f"column {n}", "required": True} for n in range(13)]
TEXT = [{"type": "string", "required": True}]


def tensor(*shape, dtype="float32"):
    return [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}]


def write(folder, flavour, inputs=None, outputs=None, entry=None, **more):
    """Writes MLmodel; the other file cannot be copied: it is a pipe that nobody writes to."""
    folder.mkdir(parents=True)
    os.mkfifo(folder / "model.bin")
    pyfunc = {"loader_module": f"mlflow.{flavour}"}
    content = {"flavors": {flavour: entry or {"data": "model.bin"}, "python_function": pyfunc}}
    if inputs is not None:
        said = {"inputs": inputs, "outputs": outputs, "params": None}
        content["signature"] = {k: json.dumps(v) if v else None for k, v in said.items()}
    (folder / "MLmodel").write_text(yaml.safe_dump(content | more))
    return folder


def register(name, folder):
    """Registers the folder's files as the next version of `name`; returns its number."""
    client = MlflowClient()
    if not [m for m in client.search_registered_models() if m.name == name]:
        client.create_registered_model(name)
    return client.create_model_version(name, folder.as_uri()).version


# Name, the reason for which a sweep leaves it alone, and its MLmodel.
FOREIGN = {
    "sklearn": ("sklearn", {"flavour": "sklearn", "inputs": TABLE}),
    "sklearn rows": ("sklearn", {"flavour": "sklearn", "inputs": tensor(-1, 64)}),
    "sklearn bare": ("sklearn", {"flavour": "sklearn"}),
    "xgboost": ("xgboost", {"flavour": "xgboost", "inputs": TABLE}),
    "pyfunc": ("python_function", {"flavour": "python_function", "inputs": TABLE}),
    "spark": ("spark", {"flavour": "spark", "inputs": TABLE}),
    "chain": ("langchain", {"flavour": "langchain", "inputs": TEXT}),
    "words": (
        "transformers (text-generation)",
        {"flavour": "transformers", "inputs": TEXT, "entry": {"task": "text-generation"}},
    ),
    "table net": ("pytorch of other inputs", {"flavour": "pytorch", "inputs": tensor(-1, 20)}),
    "frame net": ("pytorch of other inputs", {"flavour": "pytorch", "inputs": TABLE}),
    "tokens": (
        "pytorch of other inputs",
        {"flavour": "pytorch", "inputs": tensor(-1, 128, dtype="int64")},
    ),
    "video": (
        "pytorch of other inputs",
        {"flavour": "pytorch", "inputs": tensor(-1, 3, 16, 64, 64)},
    ),
    "satellite": (
        "pytorch of other inputs",
        {"flavour": "pytorch", "inputs": tensor(-1, 12, 64, 64)},
    ),
    "embeddings": (
        "pytorch of other inputs",
        {"flavour": "pytorch", "inputs": tensor(-1, 512, 300), "outputs": tensor(-1, 2)},
    ),
    "series": (
        "pytorch of other inputs",
        {"flavour": "pytorch", "inputs": tensor(-1, 24, 7), "outputs": tensor(-1, 1)},
    ),
    "series of a channel": (
        "onnx of other inputs",
        {"flavour": "onnx", "inputs": tensor(-1, 1, 24, 7), "outputs": tensor(-1, 2)},
    ),
    "short squares": (
        "pytorch of other inputs",
        {"flavour": "pytorch", "inputs": tensor(-1, 5, 5)},
    ),
    "free": ("onnx of other inputs", {"flavour": "onnx", "inputs": tensor(-1, -1, -1, -1)}),
    "free sequences": (
        "pytorch of other inputs",
        {"flavour": "pytorch", "inputs": tensor(-1, -1, -1)},
    ),
    "regressor": (
        "pytorch that gives no classes",
        {
            "flavour": "pytorch",
            "inputs": tensor(-1, 3, 64, 64),
            "outputs": tensor(-1, 1),
        },
    ),
    "regressor in one row": (
        "onnx that gives no classes",
        {"flavour": "onnx", "inputs": tensor(-1, 3, 64, 64), "outputs": tensor(-1)},
    ),
    "regressor of keras": (
        "python_function that gives no classes",
        {
            "flavour": "python_function",
            "inputs": tensor(-1, 64, 64, 3),
            "outputs": [{"type": "double", "name": "age", "required": True}],
        },
    ),
    "unsigned": ("pytorch without a signature", {"flavour": "pytorch"}),
    "unsigned onnx": (
        "onnx without a signature",
        {"flavour": "onnx", "metadata": {"preprocessing": {}, "owner": "somebody"}},  # says nothing
    ),
    "no task": (
        "transformers without a task",
        {"flavour": "transformers", "inputs": TEXT, "entry": {"data": "model.bin"}},
    ),
    "segments": (
        "pytorch that gives no classes",
        {
            "flavour": "pytorch",
            "inputs": tensor(-1, 3, 64, 64),
            "outputs": tensor(-1, 21, 64, 64),
        },
    ),
}
