"""Opens the models that an audit asks beside the audited one: its reference, its other versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from audits.errors import ModelRefused
from audits.models import loading
from audits.models.contract import Outputs
from audits.models.files import ModelFiles
from audits.models.opening import OpenedNet, opened
from fillblanks import Classifier

_COMPARED = 8  # images, on which another model must differ
_ALIKE = 0.9999  # correlation of answers; two trainings of one architecture are far below


@dataclass(frozen=True)
class Beside:
    """Opens other models for the classes of the audited one, `own`, and refuses copies of it."""

    own: OpenedNet
    images: Tensor  # on which they are tried
    classes: Sequence[str]
    device: str
    outputs: Outputs | None  # as the config says them of the audited model

    def reference(self, files: ModelFiles | None, uri: str) -> OpenedNet | None:
        """The reference, if there is one; `uri` is its address.

        Raises ModelRefused for one with other classes, and for one that answers just as the audited
        model.
        """
        if files is None:
            return None
        found = self._opened("reference", files)
        found.classifier.name = f"a reference, {uri},"
        # Two good models may well predict the same classes.
        if "predictions" not in (self.own.gives, found.gives) and self._same(self.own, found):
            raise ModelRefused(
                "Expected another model under reference, got one that answers just as the audited "
                "one."
            )
        return found

    def versions(self, files: Mapping[str, ModelFiles]) -> list[OpenedNet]:
        """The other versions, whose files are given by their URIs.

        Raises ModelRefused for one with other classes, one that gives no probabilities, and one
        that answers just as the audited model or another of them.
        """
        found: dict[str, OpenedNet] = {}
        for uri, one in files.items():
            version = self._opened(f"version {uri}", one)
            if version.gives == "predictions":
                raise ModelRefused(
                    "Expected versions that give probabilities, got classes alone from "
                    f"{uri}. Take it out of versions."
                )
            others = {"the audited model": self.own, **found}
            for name, other in others.items():
                if other.gives != "predictions" and self._same(other, version):
                    raise ModelRefused(
                        f"Expected another model under versions, got {uri}, which answers just as "
                        f"{name}. Name versions that were trained apart."
                    )
            version.classifier.name = f"a version, {uri},"
            found[uri] = version
        return list(found.values())

    def _opened(self, name: str, files: ModelFiles) -> OpenedNet:
        contract, certain = files.contract, files.contract.outputs is not None
        if not certain:
            contract = replace(contract, outputs=self.outputs)
        net = loading.load(files, self.device, self.classes)
        try:
            found = opened(net, contract, self.images, self.own.classes, 2, certain=certain)
        except ModelRefused as error:
            raise ModelRefused(f"{name}: {error}") from error
        if found.classes != self.own.classes:
            raise ModelRefused(
                f"Expected a {name} with logits of {self.own.classes} classes, got {found.classes}."
            )
        return found

    def _same(self, one: OpenedNet, other: OpenedNet) -> bool:
        """Whether two models answer alike on the first images."""
        first = self.images[:_COMPARED]
        answers, others = (_answers(net.classifier, first) for net in (one, other))
        close = torch.allclose(answers, others, rtol=1e-3, atol=1e-3)
        return close or _alike(answers, others)


def _alike(answers: Tensor, others: Tensor) -> bool:
    """Whether log-probabilities (n, K) differ by their scale and a value of each class alone.

    A copy with another temperature or bias has the gradients of the model.
    """
    own, other = (one - one.mean(1, keepdim=True) for one in (answers, others))
    own, other = (one - one.mean(0) for one in (own, other))
    lengths = own.norm() * other.norm()
    return bool(lengths > 0) and bool((own * other).sum() > _ALIKE * lengths)


def _answers(classifier: Classifier, images: Tensor) -> Tensor:
    with classifier.steady(), torch.no_grad():
        return classifier(classifier.to_device(images)).double().cpu().log_softmax(1)
