"""Whether MLflow's own server names the same classes as the audit.

All that decides an answer is read from the model's files by the audit, and by MLflow and its
libraries on their own. This asks both, so that whatever one of them reads otherwise is seen.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from audits.data.imageset import ImageSet
from audits.errors import AuditError, Contradicted, one_line
from audits.execution.asking import Asking, steadily
from audits.execution.served_forms import expect_similar
from audits.models.adapter import AdaptedNet
from audits.models.files import ModelFiles
from audits.models.flavours.registered import flavour_named
from audits.models.frozen import as_loaded
from audits.models.opening import OpenedNet
from audits.models.texts import read_mlmodel
from fillblanks.memory import is_short

ByMlflow = Literal["", "alike", "none", "short"]
"""Whether MLflow's server was asked (""), whether it has answered, or whether memory was short."""

log = logging.getLogger(__name__)


def expect_same_classes(
    files: ModelFiles,
    loaded: nn.Module,
    found: OpenedNet,
    images: ImageSet,
    indices: Sequence[int],
) -> ByMlflow:
    """Asks MLflow's server of the network `loaded` about the images at `indices`.

    `found` is the network as the audit asks it. Raises Contradicted if the server names other
    classes than rounding explains, as after resizing, and if the network changes.
    """
    if files.unserved:  # the config says that another one serves it
        return ""
    with steadily(found.classifier):
        asking = Asking.of(found.classifier, images.tensor(indices), True, found.classifier.dtype)
        some = indices[: asking.several]
        usual = asking.usual[: len(some)]
        try:
            answers = _answers(files, loaded, found, images, some, usual)
        except AuditError:
            raise
        except Exception as error:  # of whatever package MLflow loads and runs the model with
            log.warning("MLflow's own server does not answer: %s", one_line(error)[:200])
            return "short" if is_short(error) else "none"
        if answers is None:
            return ""
        try:
            expect_similar(asking, answers, "asked of MLflow", usual)
        except Contradicted as error:
            raise Contradicted(
                "Expected MLflow's own server to name the classes that the audit finds, got others "
                f"for too many of {len(some)} images of the data. Log the model again with the "
                "mlflow and the packages that serve it, and audit it with these."
            ) from error
    return "alike"


def _answers(
    files: ModelFiles,
    loaded: nn.Module,
    found: OpenedNet,
    images: ImageSet,
    indices: Sequence[int],
    usual: Tensor,
) -> Tensor | None:
    """Logits (n, K) of the server's answers; None if it cannot be asked here."""
    flavour, folder = flavour_named(files.flavour), Path(files.folder)
    conf = read_mlmodel(folder)
    if "python_function" not in conf.flavors:
        return None
    if (ask := flavour.asked_by_mlflow(folder, conf)) is not None:
        return _as_logits(ask([images.file(index) for index in indices]), usual)
    side = found.adaptation.inputs
    if side.converted or side.dtype == "bfloat16":  # another dtype is served; numpy has none
        return None
    if (call := flavour.called_by_mlflow(folder, conf, loaded)) is None:
        return None
    net = AdaptedNet(_Called(call), found.adaptation, found.classes)
    with as_loaded(loaded):
        return net(found.classifier.normalised(images.tensor(indices)))


class _Called(nn.Module):
    """A network that a function of arrays answers."""

    def __init__(self, call: Callable[[np.ndarray], Any]):
        super().__init__()
        self.call = call

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.as_tensor(self.call(inputs.cpu().numpy())).to(inputs.device)


def _as_logits(named: Sequence[Sequence[int]], usual: Tensor) -> Tensor:
    """Logits of the classes (n, K) that are `named` for each image; the usual one if it is among.

    If none of them is named, the class is another than the usual one.
    """
    found = torch.zeros_like(usual)
    for row, (numbers, best) in enumerate(zip(named, usual.argmax(1).tolist(), strict=True)):
        other = numbers[0] if numbers else (best + 1) % usual.shape[1]
        found[row, best if best in numbers else other] = 1
    return found
