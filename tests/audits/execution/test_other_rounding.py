"""A network that makes much of how numbers are rounded is refused, on whatever machine."""

import pytest
import torch
from lying_nets import Lying
from onnx import TensorProto, helper, numpy_helper, save
from torch import nn

from audits.errors import Contradicted
from audits.execution import served_forms
from audits.execution.asking import Asking
from audits.execution.other_rounding import other_roundings
from audits.models.adapter import AdaptedNet
from audits.models.flavours.onnx_net import OnnxNet
from audits.models.form import Adaptation, Form, InputSide
from fillblanks import Classifier


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    """Each way is drawn so often that no lie is missed by chance."""
    monkeypatch.setattr(served_forms, "_ROUNDED", 20)
    monkeypatch.setattr(served_forms, "_ROUNDED_IF_QUICK", 20)


_CHANCE, _BITS, _ORDER = "rounded by chance", "to fewer bits", "in another order"


def _inside(way, function, each=1):
    """What a function gives inside contexts of one way."""
    found = []
    for form, inside in other_roundings(each):
        if way in form:
            with torch.no_grad(), inside:
                found.append(function())
    return found


def _ask(net, images):
    classifier = Classifier(net.eval())
    with torch.no_grad():
        asking = Asking.of(classifier, images[:16], False, torch.float32)
        served_forms._ask_rounded(asking)


class _Rounded(Lying):
    """Lies by a product of matrices, compared with what it was when the network was made."""

    def __init__(self, lies):
        super().__init__(lambda x: lies(self.product(), self.known))
        drawn = torch.Generator().manual_seed(0)
        for name, shape in (("one", (8, 700)), ("other", (700, 8))):
            self.register_buffer(name, torch.randn(shape, generator=drawn))
        self.register_buffer("known", self.product())

    def product(self):
        return self.one @ self.other


def test_a_lie_to_last_bits_that_are_not_the_audits_is_found(images):
    net = _Rounded(lambda product, known: not torch.equal(product, known))
    with pytest.raises(Contradicted, match=_CHANCE):
        _ask(net, images)


def test_a_lie_to_last_bits_of_one_other_machine_alone_is_found(images):
    """No number by chance is that of the other machine, but with fewer bits both are alike."""
    net = _Rounded(lambda product, known: torch.equal(product, known))
    net.known = torch.nextafter(net.known, torch.tensor(torch.inf))
    with torch.no_grad():
        assert not net.lies(None)
    with pytest.raises(Contradicted, match=_BITS):
        _ask(net, images)


class _Absorbing(Lying):
    """Lies if terms that are absorbed by a large one make the sum another by more than rounding.

    It is honest if equal products differ, as they do by chance.
    """

    def __init__(self):
        super().__init__(self._lies)
        terms = torch.full((1, 4096), 2.0**-13)  # the half of the last bit of the large one
        terms[0, -1] = 2.0**12
        self.register_buffer("terms", terms)
        self.register_buffer("ones", torch.ones(4096, 1))
        self.register_buffer("known", self.terms @ self.ones)

    def _lies(self, x):
        found, again = self.terms @ self.ones, self.terms @ self.ones
        return torch.equal(found, again) and bool((found - self.known).abs() > 2.0**-9)


def test_a_lie_to_another_order_of_terms_is_found(images):
    with pytest.raises(Contradicted, match=_ORDER):
        _ask(_Absorbing(), images)


def test_equal_calls_have_one_order():
    one, other = torch.randn(5, 600), torch.randn(600, 4)
    images, kernel = torch.randn(3, 64, 9, 9), torch.randn(8, 64, 3, 3)

    def twice():
        products = one @ other, one @ other, (2 * one) @ other / 2
        return products, torch.conv2d(images, kernel), torch.conv2d(images, kernel)

    for (product, *same), answer, again in _inside(_ORDER, twice, each=3):
        assert all(torch.equal(product, values) for values in same)
        assert torch.equal(answer, again)


@pytest.mark.parametrize("way", [_CHANCE, _BITS, _ORDER])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_results_are_near_those_of_usual_rounding(way, dtype):
    one, other = torch.randn(5, 600, dtype=dtype), torch.randn(600, 7, dtype=dtype)
    images, kernel = torch.randn(3, 6, 9, 9, dtype=dtype), torch.randn(8, 3, 3, 3, dtype=dtype)

    def results():
        return [
            *(one @ other, one.addmm(one, other @ other.T), one @ other[:, 0], one[0].dot(one[1])),
            *(one.sum(), one.sum(1), one.mean((0, 1)), one.mean(-1, keepdim=True), one.var(1)),
            torch.conv2d(images, kernel, groups=2),
            torch.conv2d(images[:, :3], kernel),
            torch.conv_transpose2d(images, kernel[:6]),
            nn.functional.layer_norm(one, (600,)),
            images.clone().exp_()[:, 1].mul_(2),
        ]

    usual = results()
    for found in _inside(way, results, each=4):
        for values, expected in zip(found, usual, strict=True):
            assert values.shape == expected.shape
            torch.testing.assert_close(
                values, expected, rtol=1e-3, atol=1e-3 * expected.abs().max()
            )


def test_numbers_are_changed_by_their_last_bits_or_not_at_all():
    numbers = torch.tensor([0.0, 1 / 3, -2.5e-30, 3e38, torch.inf, -torch.inf, torch.nan])
    chosen = numbers.clone()

    def squashed():
        return chosen.relu(), chosen.sigmoid(), chosen.clone().neg_()

    for way in (_CHANCE, _BITS):
        for relu, sigmoid, negative in _inside(way, squashed, each=4):
            torch.testing.assert_close(relu, numbers.relu(), rtol=1e-4, atol=0, equal_nan=True)
            torch.testing.assert_close(
                sigmoid, numbers.sigmoid(), rtol=1e-3, atol=0, equal_nan=True
            )
            torch.testing.assert_close(negative, -numbers, rtol=1e-4, atol=0, equal_nan=True)
    for relu, *_ in _inside(_CHANCE, squashed, each=4):  # it chooses: nothing is rounded
        torch.testing.assert_close(relu, numbers.relu(), rtol=0, atol=0, equal_nan=True)


def test_weights_and_whole_numbers_stay(images):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten())
    before = {name: values.clone() for name, values in net.state_dict().items()}
    _ask(net, images)
    assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())
    for form in (_CHANCE, _BITS, _ORDER):
        for counted in _inside(form, lambda: torch.arange(9).cumsum(0).view(3, 3).roll(1)):
            assert torch.equal(counted, torch.arange(9).cumsum(0).view(3, 3).roll(1))


class _Complex(_Rounded):
    """Products of complex numbers, which processors compute in several ways."""

    def product(self):
        one, other = (part.view(8, 350, 2) for part in (self.one, self.other.T.contiguous()))
        return torch.view_as_real(torch.view_as_complex(one) * torch.view_as_complex(other))


class _Steps(_Rounded):
    """Numbers at equal distances, which processors compute in several ways."""

    def product(self):
        return torch.arange(0, 30, 0.7) + torch.linspace(0, 1, 43)


@pytest.mark.parametrize("kind", [_Complex, _Steps])
def test_complex_numbers_and_steps_are_rounded_too(kind, images):
    with pytest.raises(Contradicted, match=_CHANCE):
        _ask(kind(lambda product, known: not torch.equal(product, known)), images)
    conjugate = torch.tensor([1 + 2j]).conj()
    assert all(
        abs(one - 0.5) < 1e-3 for one in _inside(_CHANCE, lambda: (conjugate * (0.1 + 0.2j)).real)
    )
    counted = _inside(_CHANCE, lambda: torch.arange(0.0, 9.0))
    assert all(torch.equal(one, torch.arange(0.0, 9.0)) for one in counted), "of whole steps"


def test_networks_of_torchscript_are_rounded_too(images):
    class Script(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = _Rounded(None)

        def forward(self, x):
            logits = x.flatten(1)[:, :4]
            apart = (self.net.one @ self.net.other != self.net.known).any()
            return torch.where(apart, logits.roll(1, 1), logits)

    with pytest.raises(Contradicted, match=_CHANCE):
        _ask(torch.jit.trace(Script().eval(), images[:2], check_trace=False), images)


@pytest.mark.parametrize("lies", [True, False])
def test_the_graph_of_an_onnx_file_is_rounded_in_torch(lies, images, tmp_path):
    drawn = torch.Generator().manual_seed(0)
    constants = {
        "weights": torch.randn(192, 4, generator=drawn),
        "one": torch.randn(8, 700, generator=drawn),
        "other": torch.randn(700, 8, generator=drawn),
        "huge": torch.tensor(1e30),
        "limit": torch.tensor([1.0]),
    }
    constants["same"] = constants["other"].clone()
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("ReduceSum", ["flat"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "one"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "other"], ["product"]),
        helper.make_node("MatMul", ["scaled", "same"], ["again"]),
        helper.make_node("Sub", ["product", "again"], ["apart"]),
        helper.make_node("Abs", ["apart"], ["size"]),
        helper.make_node("Mul", ["size", "huge"], ["made"]),
        helper.make_node("ReduceMax", ["made"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "limit"], ["told"]),
        helper.make_node("Neg", ["logits"], ["others"]),
        helper.make_node("Where", ["told", "others", "logits"], ["lied"]),
    ]
    nodes.append(helper.make_node("Identity", ["lied" if lies else "logits"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "rounding",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(value.numpy(), name) for name, value in constants.items()],
    )
    file = tmp_path / "model.onnx"
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=8), file)
    net = AdaptedNet(OnnxNet(file), Adaptation(inputs=InputSide(dtype="float32")))
    assert net.net.graph is not None
    if not lies:
        return _ask(net, images)
    with pytest.raises(Contradicted, match=_CHANCE):
        _ask(net, images)


@pytest.mark.parametrize("columns", ["K", "one probability"])
def test_probabilities_near_1_are_not_refused(columns, images):
    """Rounding leaves nothing of 1 - p there, or makes any large logit of it."""

    class Sure(nn.Module):
        def forward(self, x):
            p = (40 * (x.flatten(1)[:, :1] - 0.5)).sigmoid()
            return p if columns != "K" else torch.cat([1 - p, p], 1)

    form = Form(shape="(N, K)", scale="probabilities", columns=columns)
    _ask(AdaptedNet(Sure(), Adaptation(outputs=form), classes=2), images)
