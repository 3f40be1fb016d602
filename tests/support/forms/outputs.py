"""Forms that differ in the output that the network gives."""

import copy

from torch import Tensor

from forms import nets
from forms.form import IMAGES, KNOWN, Form, log_torch
from forms.owner import Owner

_TWO = {"classes": ["zero", "one"], "preprocessing": {"range": "0-1"}}


def _given(wrapper, metadata=KNOWN, **arguments):
    def log(owner: Owner, name: str) -> None:
        log_torch(wrapper(owner.net), name, metadata=metadata, **arguments)

    return log


def _two_answers(owner: Owner) -> Tensor:
    return owner.answers()[:, :2]


def _log_dropout(owner: Owner, name: str) -> None:
    log_torch(nets.Trained(copy.deepcopy(owner.net)), name, training=True)


def _log_norm(owner: Owner, name: str) -> None:
    log_torch(copy.deepcopy(owner.net), name, training=True)


def _log_pickled_dropout(owner: Owner, name: str) -> None:
    metadata = {**KNOWN, "preprocessing": {"range": "0-1", "size": 32}}
    net = nets.Trained(copy.deepcopy(owner.net))
    log_torch(net, name, training=True, pickled=True, metadata=metadata)


def _two(name, wrapper):
    return Form(name, _given(wrapper, _TWO), answers=_two_answers, kept=(0, 1))


FORMS = (
    Form("pt2 that gives probabilities", _given(nets.Softmax)),
    Form("pt2 that gives log-probabilities", _given(nets.LogSoftmax)),
    Form('pt2 that gives {"logits": ...}', _given(nets.InDict, signature=IMAGES)),
    Form("pt2 that gives a tuple", _given(nets.InTuple, signature=IMAGES)),
    Form(
        "pickle that gives an object with .logits",
        _given(
            nets.InOutput,
            {**KNOWN, "preprocessing": {"range": "0-1", "size": 32}},
            pickled=True,
        ),
    ),
    _two("pt2 of two classes, two logits", nets.TwoLogits),
    _two("pt2 of two classes, one logit", nets.OneOfTwo),
    _two("pt2 of two classes, one logit as (N,)", nets.OneColumn),
    _two("pt2 of two classes, one probability", nets.OneProbability),
    Form(
        "pt2 of several labels an image",
        _given(nets.ManyLabels),
        refused=r"several|multi-label",
    ),
    Form("pt2 exported in training mode with dropout", _log_dropout, refused="training mode"),
    Form("pt2 exported in training mode with batch norm", _log_norm, refused="training mode"),
    Form("pickle in training mode", _log_pickled_dropout),
)
