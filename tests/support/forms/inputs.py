"""Forms that differ in the input that the network takes."""

import mlflow
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from forms.form import KNOWN, Form, log_torch, preprocessing
from forms.nets import Bytes, Casting, ChannelsLast, Fed, Grey
from forms.owner import NAMES, Owner, arrays

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_BYTES = {"scale": 255.0}
_SIGNED = {"scale": 2.0, "offset": -1.0}
_NAMED = {"classes": list(NAMES)}
_ASKS_RANGE = r"Nobody named how pixels are normalised .* set preprocessing\.range"


def _known(**fields):
    return {"classes": list(NAMES), "preprocessing": fields}


def _imagenet_255():
    return {
        "scale": 255.0,
        "mean": tuple(255 * value for value in _IMAGENET["mean"]),
        "std": tuple(255 * value for value in _IMAGENET["std"]),
    }


def _fed(metadata, **how):
    def log(owner: Owner, name: str) -> None:
        log_torch(Fed(owner.net, **how), name, metadata=metadata)

    return log


def _without_signature(owner: Owner, name: str) -> None:
    log_torch(owner.net, name, pickled=True)


def _log_half(owner: Owner, name: str) -> None:
    example = np.zeros((2, 3, 32, 32), np.float16)
    log_torch(_copy(owner).half(), name, example=example)


def _copy(owner: Owner):
    net = type(owner.net)()
    net.load_state_dict(owner.net.state_dict())
    return net.eval()


def _log_double(owner: Owner, name: str) -> None:
    log_torch(_copy(owner).double(), name, example=np.zeros((2, 3, 32, 32), np.float64))


def _log_casting(owner: Owner, name: str) -> None:
    log_torch(Casting(_copy(owner), torch.bfloat16), name)


def _cast_answers(owner: Owner) -> Tensor:
    with torch.no_grad():
        return Casting(_copy(owner), torch.bfloat16)(owner.pixels)


def _grey_answers(owner: Owner) -> Tensor:
    with torch.no_grad():
        return Grey(owner.net).eval()(transforms.rgb_to_grayscale(owner.pixels))


def _grey_file_answers(owner: Owner) -> Tensor:
    _, images, _, _ = arrays()
    pixels = torch.from_numpy(np.stack([_grey(image) for image in images]))[:, None] / 255
    with torch.no_grad():
        return Grey(owner.net).eval()(pixels)


def _grey(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).convert("L"))


def _wide(image: np.ndarray) -> np.ndarray:
    """The image in the middle of a wider and brighter one, to be cropped."""
    wide = np.full((32, 56, 3), 255, np.uint8)
    wide[:, 12:44] = image
    return wide


def _log_bytes(owner: Owner, name: str) -> None:
    log_torch(Bytes(owner.net), name, example=np.zeros((2, 3, 32, 32), np.uint8), metadata=_NAMED)


def _log_channels_last(owner: Owner, name: str) -> None:
    log_torch(ChannelsLast(owner.net), name, example=np.zeros((2, 32, 32, 3), np.float32))


def _log_bytes_last(owner: Owner, name: str) -> None:
    net = ChannelsLast(Bytes(owner.net))
    log_torch(net, name, example=np.zeros((2, 32, 32, 3), np.uint8), metadata=_NAMED)


def _log_one_row(owner: Owner, name: str) -> None:
    log_torch(owner.net, name, example=np.zeros((1, 3, 32, 32), np.float32))


def _log_grey_in_three(owner: Owner, name: str) -> None:
    log_torch(Grey(owner.net), name)


def _log_grey(owner: Owner, name: str) -> None:
    log_torch(Grey(owner.net), name, example=np.zeros((2, 1, 32, 32), np.float32))


def _log_two_inputs(owner: Owner, name: str) -> None:
    schema = mlflow.types.Schema(
        [
            mlflow.types.TensorSpec(np.dtype(np.float32), (-1, 3, 32, 32), "image"),
            mlflow.types.TensorSpec(np.dtype(np.float32), (-1, 4), "table"),
        ]
    )
    signature = mlflow.models.ModelSignature(schema)
    log_torch(owner.net, name, pickled=True, signature=signature)


FORMS = (
    Form("pt2 of [0, 1], everything in the metadata", _fed(KNOWN)),
    Form(
        "pt2 of [0, 1], range in the config",
        _fed(_NAMED),
        preprocessing(range="0-1"),
        asked=_ASKS_RANGE,
    ),
    Form("pt2 of 0-255, range in the metadata", _fed(_known(range="0-255"), **_BYTES)),
    Form(
        "pt2 of 0-255, range in the config",
        _fed(_NAMED, **_BYTES),
        preprocessing(range="0-255"),
        asked=_ASKS_RANGE,
    ),
    Form(
        "pt2 of 0-255, whose metadata say 0-1",
        _fed(KNOWN, **_BYTES),
        preprocessing(range="0-255"),
        asked=r"as configured.*set preprocessing\.range: 0-255",
    ),
    Form("pt2 of -1..1, range in the metadata", _fed(_known(range="-1..1"), **_SIGNED)),
    Form(
        "pt2 of -1..1, whose metadata say 0-1",
        _fed(KNOWN, **_SIGNED),
        preprocessing(range="-1..1"),
        asked=r"as configured.*set preprocessing\.",
    ),
    Form(
        "pt2 with ImageNet's mean and std in the metadata",
        _fed({"classes": list(NAMES), **{k: list(v) for k, v in _IMAGENET.items()}}, **_IMAGENET),
    ),
    Form(
        "pt2 with mean and std in the config",
        _fed(_NAMED, **_IMAGENET),
        preprocessing(mean=list(_IMAGENET["mean"]), std=list(_IMAGENET["std"])),
        asked=_ASKS_RANGE,
    ),
    Form(
        "pt2 with mean and std of 0-255",
        _fed(_NAMED, **_imagenet_255()),
        preprocessing(
            range="0-255",
            mean=list(_imagenet_255()["mean"]),
            std=list(_imagenet_255()["std"]),
        ),
        asked=_ASKS_RANGE,
    ),
    Form(
        "pt2 whose metadata have mean and std of 0-255 and no range",
        _fed(
            {
                "classes": list(NAMES),
                **{k: list(v) for k, v in _imagenet_255().items() if v != 255.0},
            },
            **_imagenet_255(),
        ),
        preprocessing(
            range="0-255",
            mean=list(_imagenet_255()["mean"]),
            std=list(_imagenet_255()["std"]),
        ),
        asked=r"Expected mean of at most 1 .* set preprocessing\.range: 0-255",
    ),
    Form("pt2 of uint8", _log_bytes, fills="not_applicable"),
    Form("pt2 of uint8 with channels last", _log_bytes_last, fills="not_applicable"),
    Form("pt2 with channels last", _log_channels_last),
    Form("pt2 in half precision", _log_half),
    Form("pt2 in double precision", _log_double),
    Form("pt2 in bfloat16 that casts its input", _log_casting, answers=_cast_answers),
    Form("pt2 whose example had one row", _log_one_row),
    Form("pt2 of one channel, colour images", _log_grey, answers=_grey_answers),
    Form(
        "pt2 of three channels, grey images",
        _log_grey_in_three,
        picture=_grey,
        answers=_grey_file_answers,
    ),
    Form(
        "pt2 of 32x32, wide images that are cropped",
        _fed(_known(range="0-1", resize="crop")),
        picture=_wide,
    ),
    Form(
        "pt2 of 32x32, wide images, crop in the config",
        _fed(KNOWN),
        preprocessing(resize="crop"),
        asked=r"as configured.*set preprocessing\.resize: crop",
        picture=_wide,
    ),
    Form(
        "pickle without a signature, size in the config",
        _without_signature,
        preprocessing(size=32),
        asked=r"Nobody named the size .* set preprocessing\.size",
    ),
    Form(
        "pickle of two inputs",
        _log_two_inputs,
        refused=r"Expected a signature of one image tensor",
    ),
)
