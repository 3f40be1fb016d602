"""A network that is audited in float32 and served in half precision answers alike in both."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from simple_nets import logistic
from torch import nn

from audits.data.fit import AS_IT_IS
from audits.data.sources import Digits, load
from audits.errors import ModelRefused
from audits.execution.setting import Setting
from audits.models.contract import InputContract
from audits.models.form import Adaptation, InputSide
from audits.models.opening import opened

PLAIN = InputContract(AS_IT_IS, mean=(0.3,), std=(0.35,))


@pytest.fixture(scope="module")
def images():
    return load(Digits()).tensor(range(64))


class Absorbed(nn.Module):
    """Adds a number that takes the logits with it in float16, and subtracts it again."""

    def __init__(self, net, big=4096.0):
        super().__init__()
        self.net = net
        self.big = nn.Parameter(torch.tensor(big))

    def forward(self, x):
        return (self.net(x.flatten(1)) * 0.02 + self.big - self.big) / 0.02


class Alone(Absorbed):
    """Multiplies the logits of an image that comes alone by 1 in float32, and by 0 in float16."""

    def forward(self, x):
        logits, one = self.net(x.flatten(1)), self.big / self.big
        return logits if len(x) > 1 else logits * ((one + 2**-12 - one) * 2**12)


class Overflowing(Absorbed):
    """Has logits on the way that are infinite in float16."""

    def forward(self, x):
        return self.net(x.flatten(1)) * 30000 / 30000


class Cast(Absorbed):
    """Has weights of float32 and does the same in the dtype of its images."""

    def forward(self, x):
        logits = self.net(x.float().flatten(1)).to(x.dtype)
        return (logits * 0.02 + 4096 - 4096).float() / 0.02


class NoHalf(nn.Module):
    """Uses an operation that no device has for half precision."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x.flatten(1)) + 0 * torch.linalg.det(x[:, 0])[:, None]


def _exported(net, dtype):
    example = torch.rand(2, 1, 28, 28, dtype=dtype)
    return torch.export.export(
        net, (example,), dynamic_shapes=({0: torch.export.Dim("n")},)
    ).module()


def _opened(net, images, dtype):
    return opened(net, replace(PLAIN, dtype=dtype), images, 10, 64)


@pytest.mark.parametrize("signature", ["own", "float32"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("export", [lambda net, _: net, _exported], ids=["module", "pt2"])
def test_honest_weights_of_half_precision_are_audited(dtype, signature, export, images):
    name = str(dtype).removeprefix("torch.")
    net = export(nn.Sequential(nn.Flatten(), logistic()).to(dtype).eval(), dtype)
    found = _opened(net, images, name if signature == "own" else signature)
    assert found.adaptation.inputs == InputSide(converted=name)
    assert found.gives == "gradients"


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda: Absorbed(logistic()).half(), torch.float16),
        (lambda: Alone(logistic()).half(), torch.float16),
        (lambda: Absorbed(logistic()).bfloat16(), torch.bfloat16),
        (lambda: Cast(logistic()), torch.float16),
        (lambda: _exported(Absorbed(logistic()).half().eval(), torch.float16), torch.float16),
    ],
    ids=["float16", "alone", "bfloat16", "cast", "pt2"],
)
def test_logits_that_vanish_where_the_model_is_served_are_refused(make, dtype, images):
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(ModelRefused) as refused:
        _opened(make(), images, name)
    reason = str(refused.value)
    told = [f"the same classes from the model in {name}, as it is served, and in float32"]
    if dtype == torch.bfloat16:  # some processors round it otherwise for an image alone
        told.append("the same logits for an image alone and in a batch")
    assert any(line in reason for line in told)
    assert "\n" not in reason


def test_logits_that_overflow_where_the_model_is_served_are_refused(images):
    with pytest.raises(ModelRefused, match="as it is served"):
        _opened(Overflowing(logistic()).half().eval(), images, "float16")


def test_float64_is_audited_in_float64(images):
    big = 2.0**40  # takes the logits with it in float32
    found = _opened(Absorbed(logistic(), big).double().eval(), images, "float64")
    assert found.classifier.dtype == torch.float64
    assert found.adaptation == Adaptation()


def test_a_dtype_that_does_not_run_here_leaves_a_doubt(images):
    found = _opened(NoHalf(logistic()).half().eval(), images, "float16")
    side = found.adaptation.inputs
    assert side == InputSide(converted="float16", untried="float16")
    plain = Setting("cpu", "float32", "2", "AVX")
    setting = replace(plain, model=found.adaptation)
    (doubt,) = setting.doubts(["predictions"])
    assert doubt.startswith("The model is served in float16 and audited in another dtype")
    (other,) = replace(plain, reference=found.adaptation).doubts(["predictions"])
    assert other.startswith("The reference is served in float16")
    assert Setting.from_json(json.loads(json.dumps(asdict(setting)))) == setting
    tried = replace(plain, model=Adaptation(replace(side, untried=""), found.adaptation.outputs))
    assert setting.identity == tried.identity
