"""Asks whether a network is a transformer: its layers pass on tokens that attention mixes."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fillblanks import Classifier

# Operators that are attention as a whole.
_FUSED = ("aten::_scaled_dot_product", "aten::_native_multi_head", "aten::_transformer_encoder")
_SOFTMAX = ("aten::_softmax", "aten::_safe_softmax", "aten::softmax")


def mixes_tokens(classifier: Classifier, images: Tensor) -> bool:
    """Whether some layer weighs T tokens by each other, T x T weights, for the first image.

    Windows of tokens count, as in Swin, and so does attention between the places of a convolution.
    `images` are float (N, C, H, W) in [0, 1].
    """
    seen = _Attention()
    with classifier.steady(), torch.no_grad(), seen:
        classifier(images[:1])
    return seen.found


class _Attention(TorchDispatchMode):
    """Looks at each operator that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.name()
        self.found |= name.startswith(_FUSED)
        if name.startswith(_SOFTMAX) and isinstance(result, Tensor) and result.ndim > 2:
            self.found |= result.shape[-1] == result.shape[-2] > 1
        return result
