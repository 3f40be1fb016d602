"""Adapted networks give the logits, gradients and fills of the network inside them."""

from dataclasses import replace

import adapted_nets as nets
import pytest
import torch
from torch import nn

from audits.data.fit import AS_IT_IS
from audits.errors import ModelRefused
from audits.models.adapter import AdaptedNet
from audits.models.contract import InputContract
from audits.models.form import Adaptation, InputSide
from audits.models.opening import opened
from fillblanks import Classifier, Plan, expected_fill, progressive_fill
from fillblanks.engine.engine import Engine
from fillblanks.fills.first_order import first_order
from fillblanks.fills.update import FIRST_ORDER

PLAIN = InputContract(AS_IT_IS, mean=(0.3,), std=(0.35,))


@pytest.fixture(scope="module")
def images():
    return torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def convolutional(classes=4):
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, classes)
    ).eval()


def flat(classes=4, dtype=torch.float32):
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes)).eval().to(dtype)


def exported(net, rows=2, dtype=torch.float32):
    shapes = ({0: torch.export.Dim("n")},) if rows > 1 else None
    example = torch.rand(rows, 1, 8, 8, dtype=dtype)
    return torch.export.export(net, (example,), dynamic_shapes=shapes).module()


def _open(net, images, count=4, certain=True, **contract):
    return opened(net, replace(PLAIN, **contract), images, count, 16, certain=certain)


def _plain(net):
    return Classifier(net, mean=0.3, std=0.35)


FORMS = {
    ".logits": (nets.DataclassOutput, 4),
    "tuple": (nets.TupleOutput, 4),
    "dict": (nets.DictOutput, 4),
    "one tensor of a dict": (nets.OneTensorDict, 4),
    "softmax": (nets.Softmax, 4),
    "log_softmax": (nets.LogSoftmax, 4),
    "squeezed": (nets.Squeezed, 4),
    "one at a time": (nets.OneAtATime, 4),
    "four at a time": (nets.FourAtATime, 4),
    "fixed pt2": (lambda net: exported(net, rows=1), 4),
    "softmax pt2": (lambda net: exported(nets.Softmax(net)), 4),
    "one logit": (nets.Difference, 2),
    "one probability": (nets.OneProbability, 2),
    "(N,)": (nets.FlatProbability, 2),
}


@pytest.mark.parametrize("name", FORMS)
def test_updates_and_fills_are_those_of_the_logits(name, images):
    wrap, classes = FORMS[name]
    net = convolutional(classes)
    found = _open(wrap(net), images, classes)
    assert isinstance(found.classifier.net, AdaptedNet)
    assert (found.gives, found.classes) == ("gradients", classes)
    # A shape that holds the same values in the same order is no news to anybody.
    assert found.adaptation.notes or name in ("unflattened", "squeezed")
    plain = _plain(net)
    labels = torch.arange(9) % classes
    own, theirs = first_order(plain, images, labels), first_order(found.classifier, images, labels)
    torch.testing.assert_close(theirs.update, own.update, rtol=1e-4, atol=1e-6)
    assert torch.equal(theirs.predicted, own.predicted)
    differences = found.classifier(images).log_softmax(1) - plain(images).log_softmax(1)
    assert differences.abs().max() < 1e-5
    for fill in (expected_fill, progressive_fill):
        options = {"samples": 4} if fill is expected_fill else {}
        answers = [fill(c, images, binarise=None, **options) for c in (plain, found.classifier)]
        torch.testing.assert_close(answers[1].masked, answers[0].masked, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("net", [convolutional(), exported(convolutional())])
def test_a_network_that_needs_nothing_is_taken_as_it_is(net, images):
    found = _open(net, images)
    assert found.classifier.net is net
    assert found.adaptation == Adaptation()
    assert found.adaptation.notes == ()


@pytest.mark.parametrize("precision", ["full", "mixed", "float64", "bfloat16"])
@pytest.mark.parametrize("name", ["softmax", "softmax pt2", "tuple"])
def test_every_plan_runs_an_adapted_network(name, precision, images):
    net = convolutional()
    found = _open(FORMS[name][0](net), images)
    plan = Plan(8, precision=precision, fused=True, memory_format="channels_last")
    own, got = (
        Engine(c, plan, images).steps(images, torch.arange(9) % 4, FIRST_ORDER).update
        for c in (_plain(net), found.classifier)
    )
    bound = 0.03 if precision in ("mixed", "bfloat16") else 1e-5
    assert (got - own).norm() < bound * own.norm()


def test_a_loop_cannot_be_rewritten_and_says_so(images):
    found = _open(FORMS["fixed pt2"][0](convolutional()), images)
    with pytest.raises(ValueError, match=r"Expected a network that torch\.export takes"):
        expected_fill(found.classifier, images, samples=2, plan=Plan(8, fused=True))


def test_probabilities_of_0_keep_logits_finite(images):
    class Certain(nets.Around):
        def forward(self, x):
            return (1000 * self.net(x)).softmax(1)

    net = convolutional()
    classifier = _open(Certain(net), images).classifier
    logits = classifier(images)
    assert logits.isfinite().all()
    assert torch.equal(classifier.predict(images), _plain(net).predict(images))
    assert first_order(classifier, images).update.isfinite().all()


def test_channels_last_images_are_given_as_the_network_wants_them(images):
    net = convolutional()
    found = _open(nets.ChannelsLast(net), images, layout="NHWC")
    torch.testing.assert_close(found.classifier(images), _plain(net)(images))
    assert found.gives == "gradients"
    assert "(N, H, W, C)" in found.adaptation.notes[0]


def test_bytes_are_rounded_and_have_no_gradient(images):
    bytes_, net = (255 * images).round(), convolutional()
    found = _open(
        nets.UnsignedBytes(net), images, dtype="uint8", range="0-255", mean=(0.0,), std=(1.0,)
    )
    assert found.gives == "logits"
    torch.testing.assert_close(found.classifier(images), net(bytes_ / 255))


@pytest.mark.parametrize(("layout", "axes"), [("NHW", 3), ("flat", 2)])
def test_a_layout_without_channels_is_given(layout, axes, images):
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = flat()

        def forward(self, x):
            assert x.ndim == axes
            return self.net(x)

    found = _open(Rows(), images, layout=layout)
    torch.testing.assert_close(found.classifier(images), _plain(flat())(images))
    assert found.gives == "gradients"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_on_a_cpu_runs_in_float32(dtype, images):
    net = flat(dtype=dtype)
    found = _open(net, images)
    side = found.adaptation.inputs
    assert side == InputSide(converted=str(dtype).removeprefix("torch."))
    assert next(net.parameters()).dtype == dtype
    assert "it is run in float32" in found.adaptation.notes[0]
    expected = _plain(flat(dtype=dtype).float())
    assert torch.equal(found.classifier(images), expected(images))
    assert found.classifier.dtype == torch.float32


def test_a_network_with_its_own_cast_runs_as_it_is(images):
    net = nets.OwnCast(flat())
    found = _open(net, images)
    assert found.adaptation.inputs == InputSide()
    assert found.adaptation.outputs.half == "bfloat16"
    logits = found.classifier(images)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, net((images - 0.3) / 0.35).float())
    assert first_order(found.classifier, images).update.dtype == torch.float32
    assert found.gives == "gradients"


def test_an_export_in_half_precision_runs_in_float32_if_its_graph_allows(images):
    net = flat(dtype=torch.bfloat16)
    found = _open(exported(net, dtype=torch.bfloat16), images)
    assert found.adaptation.inputs == InputSide(converted="bfloat16")
    assert "is run in float32" in found.adaptation.notes[0]
    expected = flat(dtype=torch.bfloat16).float()((images - 0.3) / 0.35)
    torch.testing.assert_close(found.classifier(images), expected, rtol=1e-5, atol=1e-5)


def test_an_export_with_a_cast_in_its_graph_gets_images_in_half_precision(images):
    class Twice(nn.Module):
        """Casts to half precision in the middle, between two layers of it."""

        def __init__(self):
            super().__init__()
            self.first, self.second = flat(8, torch.bfloat16), nn.Linear(8, 4).bfloat16()

        def forward(self, x):
            return self.second(self.first(x).float().sin().to(torch.bfloat16))

    torch.manual_seed(0)
    net = Twice().eval()
    found = _open(exported(net, dtype=torch.bfloat16), images)
    assert found.adaptation.inputs == InputSide(dtype="bfloat16")
    assert "cast to bfloat16" in found.adaptation.notes[0]
    normalised = ((images - 0.3) / 0.35).to(torch.bfloat16)
    assert torch.equal(found.classifier(images), net(normalised).float())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float64_runs_in_float64_whatever_the_signature_says(dtype, images):
    found = _open(flat(dtype=torch.float64), images, dtype=dtype)
    assert found.classifier.dtype == torch.float64
    assert found.adaptation == Adaptation()
    assert _open(flat(), images, dtype="float64").classifier.dtype == torch.float32


@pytest.mark.parametrize(
    ("kind", "gives"),
    [
        (nets.Detached, "logits"),
        (nets.ByNumpy, "logits"),
        (nets.DetachedSoftmax, "probabilities"),
        (nets.Classes, "predictions"),
        (nets.Box, "predictions"),
        (nets.ProbabilityBox, "probabilities"),
    ],
)
def test_a_network_without_a_gradient_says_what_it_gives(kind, gives, images):
    net = convolutional()
    found = _open(kind(net), images)
    assert found.gives == gives
    assert torch.equal(found.classifier.predict(images), _plain(net).predict(images))


def test_an_attribute_marks_a_black_box(images):
    net = nets.Classes(convolutional())
    net.gives = "predictions"
    assert _open(net, images).gives == "predictions"
    net = nets.Softmax(convolutional())
    net.gives = "predictions"
    with pytest.raises(ModelRefused, match=r"predicted classes as whole numbers .* got probabil"):
        _open(net, images)


def test_predicted_classes_that_the_data_has_not_are_refused(images):
    with pytest.raises(ModelRefused, match="Expected predicted classes that the data has"):
        _open(nets.Classes(convolutional(40)), images)


def test_a_baseline_is_told_of_its_outputs_only_if_they_are_ambiguous(images):
    softmax = nets.Softmax(convolutional())
    with pytest.raises(ModelRefused, match="which are probabilities"):
        _open(softmax, images, outputs="logits")
    assert _open(softmax, images, outputs="logits", certain=False).gives == "gradients"
    labels = nets.Sigmoids(convolutional())
    form = _open(labels, images, outputs="logits", certain=False).adaptation.outputs
    assert (form.scale, form.source) == ("logits", "config")


class _DropsAlways(nets.Around):
    def forward(self, x):
        return nn.functional.dropout(self.net(x), training=True)


@pytest.mark.parametrize("wrap", [lambda net: net, nets.OneAtATime])
def test_answers_that_differ_each_time_are_refused(wrap, images):
    with pytest.raises(ModelRefused, match="same logits for an image each time, got different"):
        _open(wrap(_DropsAlways(convolutional())), images)


class _AlwaysTraining(nn.BatchNorm1d):
    def forward(self, values):
        return nn.functional.batch_norm(values, None, None, training=True)


def test_rows_that_touch_are_refused_in_a_fixed_batch_too(images):
    net = nn.Sequential(flat(), _AlwaysTraining(4))
    for wrapped in (net, nets.FourAtATime(net)):
        with pytest.raises(ModelRefused, match="for an image alone and in a batch"):
            _open(wrapped, images)
