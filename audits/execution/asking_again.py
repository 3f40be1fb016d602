"""Asks an open model the same images when an audit begins and when it ends."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audits.errors import AuditError, Contradicted
from audits.models.adapter import own_runtimes
from fillblanks import Classifier
from fillblanks.batches import changed
from fillblanks.memory import with_fewer_rows
from fillblanks.state import Changed, State

_IMAGES, _AT_ONCE = 32, 8


@dataclass(frozen=True)
class First:
    """What a model answered when it was opened, and what it held then."""

    images: Tensor  # (n, C, H, W) in [0, 1]
    logits: Tensor  # (n, K)
    state: State
    scripts: Sequence[str]

    @classmethod
    def of(cls, classifier: Classifier, images: Tensor) -> "First":
        """Asks `classifier` up to 32 of `images`. Raises AuditError if it changes meanwhile."""
        some = images[:_IMAGES]
        logits = _answers(classifier, some)
        return cls(some, logits, State.of(classifier.net), _scripts(classifier.net))


@dataclass(frozen=True)
class Again:
    """Of `asked` images, `otherwise` are answered otherwise at the end than at the beginning.

    `afresh_otherwise` are answered otherwise by the same model opened again.
    """

    asked: int
    otherwise: int
    holds_the_same: bool
    afresh_otherwise: int = 0

    @property
    def question(self) -> str:
        """One sentence for people; "" if nothing differs."""
        if self.otherwise:
            return (
                f"Asked again at the end of the audit, the model answered {self.otherwise} of "
                f"{self.asked} images otherwise than at the beginning: it remembers what it was "
                "asked. Remove that memory."
            )
        if self.afresh_otherwise:
            return (
                f"Opened again at the end of the audit, the model answered {self.afresh_otherwise} "
                f"of {self.asked} images otherwise than after all it was asked: it remembers that. "
                "Remove that memory."
            )
        if not self.holds_the_same:
            return "The model changed its weights or other values. Remove that memory."
        return ""


def again(first: First, classifier: Classifier, *, only_classes: bool) -> Again:
    """Asks the same images again; and once more, if a runtime of its own opens the model anew.

    A server may ask image by image, or many at once, and the first call may decide.
    """
    logits = _answers(classifier, first.images)
    every = torch.arange(len(logits))

    def otherwise(one: Tensor, other: Tensor) -> int:
        return changed(one, other, every, classifier.rounding, only_classes=only_classes)

    return Again(
        len(logits),
        otherwise(first.logits, logits),
        not first.state.changed(State.of(classifier.net))
        and first.scripts == _scripts(classifier.net),
        max((otherwise(logits, one) for one in _afresh(classifier, first.images)), default=0),
    )


def _afresh(classifier: Classifier, images: Tensor) -> Iterator[Tensor]:
    """Logits of the model opened again: asked image by image, and in batches."""
    nets = own_runtimes(classifier.net)
    for rows in (1, _AT_ONCE) if nets else ():
        with ExitStack() as inside:
            for net in nets:
                inside.enter_context(net.afresh())
            yield _answers(classifier, images, rows)


def _scripts(net: nn.Module) -> list[str]:
    """A sha256 of each network of TorchScript in `net`, and then of torch's random numbers.

    TorchScript can remember in texts, in new keys and in constants of its code, which are no
    tensors of a module, and in the place of the sequence of random numbers. What it would save
    holds all but the last. Empty without TorchScript.
    """
    found: list[str] = []
    inside: tuple[str, ...] = ()
    for path, module in net.named_modules():
        if isinstance(module, torch.jit.ScriptModule) and not path.startswith(inside):
            inside = (*inside, f"{path}." if path else "")
            found.append(hashlib.sha256(module.save_to_buffer()).hexdigest())
    sequence = torch.get_rng_state().numpy().tobytes()
    return [*found, hashlib.sha256(sequence).hexdigest()] if found else []


def _answers(classifier: Classifier, images: Tensor, rows: int = _AT_ONCE) -> Tensor:
    """Logits (n, K), from batches of so many rows or, if memory is short, of less."""

    def run(size: int) -> Tensor:
        with classifier.steady(), torch.no_grad():
            pieces = [classifier(classifier.to_device(one)) for one in images.split(size)]
            return torch.cat(pieces).cpu()

    try:
        return with_fewer_rows(run, rows)
    except ValueError as error:
        kind = Contradicted if isinstance(error, Changed) else AuditError
        raise kind(str(error)) from error
