"""How a network answers is recognised from its answers and its graph, or refused."""

import adapted_nets as nets
import pytest
import torch
from torch import nn

from audits.errors import ModelRefused
from audits.models.form import Form
from audits.models.outputs import DoesNotRun, recognised

K = 5


@pytest.fixture
def inputs():
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.stack([images, 1 - images], 1).flatten(0, 1)


def linear(classes=K, scale=20.0, seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, classes))
    net[1].weight.data *= scale
    return net.eval()


def exported(net, rows=2):
    shapes = ({0: torch.export.Dim("n")},) if rows > 1 else None
    return torch.export.export(net, (torch.rand(rows, 1, 8, 8),), dynamic_shapes=shapes).module()


@pytest.mark.parametrize("wrap", [lambda net: net, exported])
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (nn.Sequential, Form()),
        (nets.TupleOutput, Form("[0]")),
        (nets.DictOutput, Form("['logits']")),
        (nets.OneTensorDict, Form("['scores']")),
        (nets.Softmax, Form(scale="probabilities")),
        (nets.LogSoftmax, Form(scale="log-probabilities")),
    ],
)
def test_the_form_is_recognised(kind, form, wrap, inputs):
    assert recognised(wrap(kind(linear())), inputs) == form


def test_forms_that_an_export_does_not_keep_are_recognised(inputs):
    assert recognised(nets.DataclassOutput(linear()), inputs) == Form(".logits")
    assert recognised(nets.Squeezed(linear()), inputs) == Form(shape="(K,) or (N, K)")


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (nets.Difference, Form(columns="one logit")),
        (nets.OneProbability, Form(scale="probabilities", columns="one probability")),
        (
            nets.FlatProbability,
            Form(scale="probabilities", columns="one probability", shape="(N,)"),
        ),
    ],
)
def test_one_column_is_a_logit_or_a_probability(kind, form, inputs):
    found = recognised(kind(linear(2)), inputs)
    assert (found, found.source) == (form, "values")
    assert recognised(exported(kind(linear(2))), inputs) == form
    assert all("preprocessing.outputs" in note for note in found.notes)


def test_every_image_is_asked_before_one_column_is_taken_for_a_probability(inputs):
    class Late(nets.Around):
        def forward(self, x):
            return self.net(x) + 2 * (x[:, 0, 0, :1] == 0.123)

    net = Late(nets.OneProbability(linear(2)))
    assert recognised(net, inputs).columns == "one probability"
    inputs[-1, 0, 0, 0] = 0.123
    found = recognised(net, inputs)
    assert (found.columns, found.tried) == ("one logit", 80)


def test_the_graph_settles_what_values_leave_open(inputs):
    faint = linear(scale=1e-3)
    faint[1].bias.data.uniform_(0.2, 0.4)
    with pytest.raises(ModelRefused, match=r"values between 0 and 1 for all of 80 tried images"):
        recognised(faint, inputs)
    found = recognised(exported(faint), inputs)
    assert (found, found.source) == (Form(), "graph")
    assert recognised(faint, inputs, "logits").source == "config"

    single = linear(1, scale=1e-3)
    single[1].bias.data.fill_(0.4)
    assert recognised(single, inputs).columns == "one probability"
    assert recognised(exported(single), inputs).columns == "one logit"
    assert recognised(single, inputs, "logits").columns == "one logit"


@pytest.mark.parametrize("wrap", [lambda net: net, exported])
def test_labels_that_are_independent_are_refused_with_the_way_out(wrap, inputs):
    net = wrap(nets.Sigmoids(linear()))
    with pytest.raises(ModelRefused, match=r"several labels \(sigmoid\): \d+ of \d+ tried") as told:
        recognised(net, inputs)
    assert "set preprocessing.outputs: logits" in str(told.value)
    assert recognised(net, inputs, "logits") == Form()


@pytest.mark.parametrize(
    ("net", "told", "message"),
    [
        (linear(), "probabilities", "Expected probabilities, as preprocessing.outputs says, got"),
        (linear(), "log-probabilities", "which are logits. Correct it or leave it out"),
        (nets.Softmax(linear()), "logits", "got values .* which are probabilities"),
        (nets.Softmax(linear()), "log-probabilities", "which are probabilities"),
        (nets.Difference(linear(2)), "probabilities", "a probability in \\[0, 1\\], got others"),
    ],
)
def test_outputs_that_contradict_the_config_are_refused(net, told, message, inputs):
    with pytest.raises(ModelRefused, match=message):
        recognised(net, inputs, told)


def test_the_config_is_believed_where_values_agree(inputs):
    assert recognised(nets.Softmax(linear()), inputs, "probabilities").source == "config"
    found = recognised(nets.LogSoftmax(linear()), inputs, "logits")
    assert (found, found.source) == (Form(), "config")


@pytest.mark.parametrize(
    ("net", "rows"),
    [
        (nets.OneAtATime(linear()), "one at a time"),
        (nets.FourAtATime(linear()), "4 at a time"),
        (exported(linear(), rows=1), "one at a time"),
        (
            torch.export.export(linear(), (torch.rand(7, 1, 8, 8),)).module(),
            "7 at a time",
        ),
    ],
)
def test_a_fixed_batch_is_found(net, rows, inputs):
    found = recognised(net, inputs)
    assert found == Form(rows=rows)
    assert "slow" in " ".join(found.notes)


def test_per_cent_are_refused(inputs):
    class PerCent(nets.Around):
        def forward(self, x):
            return 100 * self.net(x).softmax(1)

    with pytest.raises(ModelRefused, match=r"got rows that sum to 100\. Divide them"):
        recognised(PerCent(linear()), inputs)


class _Returns(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(x)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: "3", "or as the first of a tuple, got str"),
        (lambda x: {"a": x, "b": x}, "got dict"),
        (lambda x: x.flatten(1)[:, :3, None, None], r"\(1, 3, 1, 1\): servers take the class from"),
        (lambda x: (), "got tuple"),
        (lambda x: x, r"Expected logits of shape \(1, K\), got \(1, 1, 8, 8\)"),
        (lambda x: x.flatten(1).sum(0), r"Expected logits of shape \(\d, K\), got \(64,\)"),
    ],
)
def test_what_is_no_answer_of_a_classifier_is_refused(answer, message, inputs):
    with pytest.raises(ModelRefused, match=message):
        recognised(_Returns(answer), inputs)


def test_a_network_that_does_not_run_says_why(inputs):
    with pytest.raises(DoesNotRun, match=r"takes 1 image\(s\) of shape \(1, 8, 8\), got Runtime"):
        recognised(nn.Linear(3, 3), inputs)
    with pytest.raises(DoesNotRun, match="Expected finite logits"):
        recognised(_Returns(lambda x: x.flatten(1) / 0 * 0), inputs)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("layer", [nn.Dropout(), nn.BatchNorm2d(1)])
def test_an_export_in_training_mode_is_refused(layer, rows, inputs):
    net = exported(nn.Sequential(layer, *linear()).train(), rows)
    with pytest.raises(ModelRefused, match=r"got (dropout|batch_norm) in training mode\. Call net"):
        recognised(net, inputs)


def test_layers_that_are_idle_in_training_mode_are_no_reason_to_refuse(inputs):
    layers = (nn.Dropout(0), nn.InstanceNorm2d(1))
    net = exported(nn.Sequential(*layers, *linear()).train())
    assert recognised(net, inputs) == Form()


def test_only_a_few_images_are_asked_if_they_settle_the_form(inputs):
    passed = []

    class Counts(nets.Around):
        def forward(self, x):
            passed.append(len(x))
            return self.net(x)

    recognised(Counts(linear()), inputs)
    assert passed == [1, 2, 5]
