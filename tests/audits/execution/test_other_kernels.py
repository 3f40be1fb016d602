"""A model is asked on the kernels of older processors too, in processes that choose these."""

import other_kernels_nets as nets
import pytest
import torch
from exact_calls import exact_answers
from sessions import open_session
from simple_nets import logistic

from audits.errors import Contradicted
from audits.execution import other_kernels
from audits.execution.worker import Worker, WorkerFailure
from audits.models.contract import Fit, InputContract
from audits.models.opening import opened, reopened

OLDER = other_kernels.older()
needs_older = pytest.mark.skipif(not OLDER, reason="no kernels of older processors here")
CONFIG = {"checks": [{"kind": "performance"}], "policy": {}}


@pytest.fixture(autouse=True)
def _older_kernels(monkeypatch):
    monkeypatch.setattr(other_kernels, "older", lambda: OLDER)


def _of_process(kernels, function, *args):
    with Worker(variables=kernels and kernels.variables) as worker:
        return worker.call(function, *args, seconds=100)


@needs_older
@pytest.mark.parametrize("kernels", OLDER, ids=lambda one: one.name)
def test_a_process_computes_with_the_kernels_that_its_variables_choose(kernels):
    assert _of_process(kernels, nets.chosen) == kernels.name
    own, others = nets.bits(), _of_process(kernels, nets.bits)
    same = {name for name in own if (own[name] == others[name]).all()}
    assert "softmax" not in same or kernels.name == nets.chosen()
    if kernels is OLDER[-1]:
        assert not same, "MKL and oneDNN compute otherwise too"


@pytest.mark.slow
@needs_older
def test_exact_operators_are_exact_with_the_kernels_of_any_processor():
    own, *others = (_of_process(one, exact_answers, 20) for one in (None, *OLDER))
    assert {call for one in others for call in own if own[call] != one[call]} == set()
    assert len({call.split(".")[1] for call in own}) > 90, "most of them were called"


@needs_older
def test_a_process_with_other_kernels_asks_nothing():
    with Worker() as worker, pytest.raises(WorkerFailure, match="to choose kernels of"):
        worker.call(other_kernels.expect_same, OLDER[-1], None, None, None, seconds=100)


@pytest.mark.slow
@needs_older
@pytest.mark.parametrize("threads", [None, 48])
def test_a_lie_on_one_other_kind_of_processor_is_found(threads, config_of):
    """The oldest one: the bits of a newer one may be those of this one."""
    kernels = OLDER[-1]
    known = _of_process(kernels, nets.whole_numbers)
    ends = None if threads is None else _of_process(kernels, nets.whole_sums, threads)
    config = config_of(nets.Elsewhere(logistic(), known, ends), pickled=False, **CONFIG)
    form = "of 16 images" if threads is None else f"of 2 images with {threads} threads and"
    with pytest.raises(Contradicted, match=f"{form} {kernels.form}"), open_session(config):
        pass


class _Half(torch.nn.Module):
    """Takes and gives bfloat16."""

    def __init__(self):
        super().__init__()
        self.net = logistic().to(torch.bfloat16)

    def forward(self, x):
        return self.net(x.to(torch.bfloat16))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_is_opened_again_as_it_was_opened(dtype):
    contract = InputContract(Fit(1, 28, 28), mean=(0.3,), std=(0.35,), dtype=dtype)
    net, images = (_Half() if dtype == "bfloat16" else logistic()).eval(), torch.rand(16, 1, 28, 28)
    first = opened(net, contract, images, 10, 8)
    again = [*reopened(net, contract, first.adaptation, str(first.classifier.dtype)[6:], 10)]
    assert len(again) == 1 + len(first.in_own)
    for one, other in zip((first.classifier, *(c for c, _ in first.in_own)), again, strict=True):
        assert torch.equal(one(images), other(images))
