"""Whether MLflow's own server names the same classes as the audit, for models of image files.

All that decides an answer is read from the model's files by the audit, and by MLflow and its
libraries on their own. This asks both, so that whatever one of them reads otherwise is seen.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from mlflow.exceptions import MlflowException
from torch import Tensor

from audits.data.imageset import ImageSet
from audits.errors import Contradicted, one_line
from audits.execution.asking import Asking
from audits.execution.served_forms import expect_similar
from audits.models.adapter import NETWORK_ERRORS
from audits.models.files import ModelFiles
from audits.models.flavours.registered import flavour_named
from audits.models.texts import read_mlmodel
from fillblanks import Classifier
from fillblanks.memory import is_short

ByMlflow = Literal["", "alike", "none"]
"""Whether MLflow's server was asked (""), and whether it has answered."""

_ERRORS = (*NETWORK_ERRORS, MlflowException, OSError, ImportError)
log = logging.getLogger(__name__)


def expect_same_classes(
    files: ModelFiles, classifier: Classifier, images: ImageSet, indices: Sequence[int]
) -> ByMlflow:
    """Asks MLflow's server about the images at `indices`, if it takes image files.

    Raises Contradicted if it names other classes than rounding explains, as after resizing.
    """
    folder = Path(files.folder)
    if files.unserved:  # the config says that another one serves it
        return ""
    with classifier.steady(), torch.no_grad():
        asking = Asking.of(classifier, images.tensor(indices), True, classifier.dtype)
        some = indices[: asking.several]
        try:
            ask = flavour_named(files.flavour).asked_by_mlflow(folder, read_mlmodel(folder))
            if ask is None:
                return ""
            named = ask([images.file(index) for index in some])
        except _ERRORS as error:
            if is_short(error):
                raise
            log.warning("MLflow's own server does not answer: %s", one_line(error)[:200])
            return "none"
        usual = asking.usual[: len(some)]
        try:
            expect_similar(asking, _as_logits(named, usual), "asked of MLflow", usual)
        except Contradicted as error:
            raise Contradicted(
                "Expected MLflow's own server to name the classes that the audit finds, got others "
                f"for too many of {len(some)} images of the data. Log the model again with the "
                "mlflow and the packages that serve it, and audit it with these."
            ) from error
    return "alike"


def _as_logits(named: Sequence[Sequence[int]], usual: Tensor) -> Tensor:
    """Logits of the classes (n, K) that are `named` for each image; the usual one if it is among.

    If none of them is named, the class is another than the usual one.
    """
    found = torch.zeros_like(usual)
    for row, (numbers, best) in enumerate(zip(named, usual.argmax(1).tolist(), strict=True)):
        other = numbers[0] if numbers else (best + 1) % usual.shape[1]
        found[row, best if best in numbers else other] = 1
    return found
