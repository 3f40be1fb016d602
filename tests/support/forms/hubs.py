"""Forms of timm and transformers: networks with a small trained head, and their own settings."""

import copy
from functools import cache
from typing import Any

import mlflow
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from forms.flavours import log_flavour
from forms.form import Form, log_torch
from forms.owner import NAMES, Owner, arrays

_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def _with_head(net: nn.Module, features: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of a head that is fitted to features of the training images."""
    _, _, labels, _ = arrays()
    fitted = LogisticRegression(max_iter=300).fit(features.numpy(), labels)
    return torch.tensor(fitted.coef_).float(), torch.tensor(fitted.intercept_).float()


def _normalised(images: np.ndarray, mean: list[float], std: list[float]) -> Tensor:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


@cache
def _timm_net() -> nn.Module:
    import timm

    torch.manual_seed(0)
    net = timm.create_model("resnet10t", pretrained=False, num_classes=10).eval()
    train, _, _, _ = arrays()
    with torch.no_grad():
        features = net.forward_head(
            net.forward_features(_normalised(train, **_IMAGENET)), pre_logits=True
        )
    net.fc.weight.data, net.fc.bias.data = _with_head(net, features)
    return net


def _timm_answers(owner: Owner) -> Tensor:
    _, test, _, _ = arrays()
    with torch.no_grad():
        return _timm_net()(_normalised(test, **_IMAGENET))


def _log_timm(owner: Owner, name: str) -> None:
    pretrained_cfg = {
        "input_size": [3, 32, 32],
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        **_IMAGENET,
        "num_classes": 10,
    }
    metadata = {"classes": list(NAMES), "pretrained_cfg": pretrained_cfg}
    log_torch(_timm_net(), name, metadata=metadata)


@cache
def _transformers_net() -> Any:
    import transformers

    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32],
        depths=[1, 1],
        layer_type="basic",
        id2label=dict(enumerate(NAMES)),
        label2id={name: i for i, name in enumerate(NAMES)},
    )
    net = transformers.ResNetForImageClassification(config).eval()
    train, _, _, _ = arrays()
    with torch.no_grad():
        features = net.resnet(_normalised(train, [0.5] * 3, [0.5] * 3)).pooler_output.flatten(1)
    net.classifier[1].weight.data, net.classifier[1].bias.data = _with_head(net, features)
    return net


def _processor() -> Any:
    import transformers

    return transformers.ViTImageProcessor(
        size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )


def _transformers_answers(owner: Owner) -> Tensor:
    """By the owner's own pipeline."""
    import transformers
    from PIL import Image

    _, test, _, _ = arrays()
    pipeline = transformers.pipeline(
        "image-classification", model=_transformers_net(), image_processor=_processor()
    )
    answers = pipeline([Image.fromarray(image) for image in test], top_k=1)
    best = [NAMES.index(answer[0]["label"]) for answer in answers]
    return nn.functional.one_hot(torch.tensor(best), 10)


def _log_pipeline(owner: Owner, name: str) -> None:
    import transformers

    pipeline = transformers.pipeline(
        "image-classification", model=_transformers_net(), image_processor=_processor()
    )
    log_flavour(mlflow.transformers, pipeline, name, metadata=None)


def _log_components(owner: Owner, name: str) -> None:
    parts = {"model": _transformers_net(), "image_processor": _processor()}
    log_flavour(mlflow.transformers, parts, name, metadata=None, task="image-classification")


def _log_unnamed_pipeline(owner: Owner, name: str) -> None:
    import transformers

    net = copy.deepcopy(_transformers_net())
    net.config.id2label = {i: f"LABEL_{i}" for i in range(10)}
    net.config.label2id = {f"LABEL_{i}": i for i in range(10)}
    pipeline = transformers.pipeline(
        "image-classification", model=net, image_processor=_processor()
    )
    log_flavour(mlflow.transformers, pipeline, name, metadata=None)


_CLASSES = {"preprocessing": {"classes": list(NAMES)}}

FORMS = (
    Form("timm with its pretrained_cfg", _log_timm, answers=_timm_answers, package="timm"),
    Form(
        "transformers, a pipeline",
        _log_pipeline,
        answers=_transformers_answers,
        package="transformers",
    ),
    Form(
        "transformers, model and image processor",
        _log_components,
        answers=_transformers_answers,
        package="transformers",
    ),
    Form(
        "transformers with the labels LABEL_0, LABEL_1, ...",
        _log_unnamed_pipeline,
        _CLASSES,
        asked=r"preprocessing\.classes",
        answers=_transformers_answers,
        package="transformers",
    ),
)
