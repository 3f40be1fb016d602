"""A Classifier refuses bad input, leaves its network as found, and takes exported programs."""

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fillblanks import Classifier, Plan, expected_fill, progressive_fill
from fillblanks.state import Changed


class Net(nn.Module):
    """A linear network whose logits then go through `change`."""

    def __init__(self, change: Callable[[Tensor], Any] = lambda logits: logits, classes: int = 3):
        super().__init__()
        self.linear = nn.Linear(2 * 6 * 6, classes)
        self.change = change

    def forward(self, images: Tensor) -> Tensor:
        return self.change(self.linear(images.flatten(1)))


class AlwaysTraining(nn.BatchNorm1d):
    """Normalises by the batch, even after eval()."""

    def forward(self, values: Tensor) -> Tensor:
        return functional.batch_norm(values, None, None, training=True)


def images(count: int = 3, channels: int = 2) -> Tensor:
    return torch.rand(count, channels, 6, 6, generator=torch.Generator().manual_seed(0))


@dataclass
class Bad:
    """One fault in the input, and the words that must name it."""

    message: str
    images: Tensor = field(default_factory=images)
    net: Callable[[], nn.Module] = Net
    classifier: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)


def with_value(value: float) -> Tensor:
    bad = images()
    bad[-1, 0, 3, 3] = value
    return bad


BAD = {
    "uint8": Bad("Expected float images in [0, 1], got torch.uint8.", images().mul(255).byte()),
    "up to 255": Bad("got a maximum of 255.0. Divide by 255.", with_value(255)),
    "above 255": Bad("Expected images in [0, 1], got a maximum of 300.0.", with_value(300)),
    "below 0": Bad("Expected images in [0, 1], got a minimum of -1.0.", with_value(-1)),
    "NaN images": Bad("Expected images in [0, 1], got a minimum of nan.", with_value(torch.nan)),
    "3 dimensions": Bad("images of shape (N, C, H, W) with N >= 1, got (2, 6, 6).", images()[0]),
    "no images": Bad("(N, C, H, W) with N >= 1, got (0, 2, 6, 6).", images(0)),
    "channels of mean": Bad(
        "Expected images of 3 channels, as mean and std have, got 2.",
        classifier={"mean": [0.1, 0.2, 0.3]},
    ),
    "mean and std": Bad(
        "Expected mean and std of one length", classifier={"mean": [0.1] * 2, "std": [1] * 3}
    ),
    "std 0": Bad("Expected std > 0, got 0.", classifier={"std": 0}),
    "one std 0": Bad("Expected std > 0, got [1, 0].", classifier={"std": [1, 0]}),
    "std NaN": Bad("Expected std > 0, got nan.", classifier={"std": torch.nan}),
    "size of images": Bad(
        "Expected a network that takes 1 image(s) of shape (3, 6, 6), got RuntimeError",
        images(3, channels=3),
    ),
    "probabilities": Bad(
        "Expected logits, got probabilities", net=lambda: Net(lambda logits: logits.softmax(1))
    ),
    "one logit": Bad("Expected logits of at least 2 classes, got 1.", net=lambda: Net(classes=1)),
    "one row in all": Bad(
        "Expected logits of shape (256, K), got (3,).",
        net=lambda: Net(lambda logits: logits.sum(0)),
    ),
    "a tuple": Bad(
        "Expected logits of shape (256, K), got tuple.", net=lambda: Net(lambda logits: (logits,))
    ),
    "class names": Bad(
        "Expected logits of 2 classes, as there are class names, got 3.",
        classifier={"classes": ["a", "b"]},
    ),
    "NaN logits": Bad("Expected finite logits", net=lambda: Net(lambda logits: logits * torch.nan)),
    "infinite logits": Bad("Expected finite logits", net=lambda: Net(lambda logits: logits / 0)),
    "no gradients": Bad("gradient", net=lambda: Net(lambda logits: logits.detach())),
    "batch norm in training": Bad(
        "Expected the same logits for an image alone and in a batch",
        net=lambda: nn.Sequential(AlwaysTraining(72), Net()),
        images=images(),
    ),
    "mean as blank value": Bad(
        "Expected a blank_value in [0, 1], got",
        classifier={"mean": 127.5, "std": 127.5},
        call={"blank_value": "mean"},
    ),
    "label too large": Bad(
        "Expected labels from 0 to 2, got 3.", call={"labels": torch.tensor([0, 3, 1])}
    ),
    "label below 0": Bad(
        "Expected labels from 0 to 2, got -1.", call={"labels": torch.tensor([0, 2, -1])}
    ),
    "labels too few": Bad(
        "Expected labels as 3 whole numbers, one an image, got shape (2,)",
        call={"labels": torch.tensor([0, 1])},
    ),
    "labels of 2 dimensions": Bad(
        "Expected labels as 3 whole numbers, one an image, got shape (3, 1)",
        call={"labels": torch.zeros(3, 1, dtype=torch.int64)},
    ),
    "labels not whole": Bad(
        "Expected labels as 3 whole numbers, one an image", call={"labels": torch.zeros(3)}
    ),
    "indices too few": Bad(
        "Expected indices as 3 whole numbers", call={"indices": torch.tensor([0])}
    ),
    "target too large": Bad("Expected a target from 0 to 2, got 3.", call={"target": 3}),
    "target below 0": Bad("Expected a target from 0 to 2, got -1.", call={"target": -1}),
    "patch size 0": Bad("Expected patch_size >= 1, got 0.", call={"patch_size": 0}),
    "blank value": Bad("Expected a blank_value in [0, 1], got [2.0].", call={"blank_value": 2}),
    "normalise": Bad("Expected normalise to be", call={"normalise": "max"}),
    "seed": Bad("Expected a seed from -2", call={"seed": 2**64}),
}
EXPECTED_ONLY = {
    "no samples": Bad("Expected samples >= 1, got 0.", call={"samples": 0}),
    "max_draws": Bad(
        "Expected max_draws >= samples (5), got 4.", call={"samples": 5, "max_draws": 4}
    ),
    "mask ratio 0": Bad("Expected a mask_ratio that blanks 1 to 8", call={"mask_ratio": 0.0}),
    "mask ratio 1": Bad("of 9 patches, got 1.0, which blanks 9.", call={"mask_ratio": 1.0}),
    "average": Bad("Expected average to be", call={"average": "mean"}),
}
PROGRESSIVE_ONLY = {
    "true without labels": Bad('Expected labels with label="true"', call={"label": "true"}),
    "label": Bad('Expected label to be "step"', call={"label": "last"}),
    "one group": Bad("Expected 2 to 9 groups for 9 patches, got 1.", call={"groups": 1}),
    "too many groups": Bad("Expected 2 to 9 groups for 9 patches, got 10.", call={"groups": 10}),
}
TABLE = [
    pytest.param(fill, bad, id=f"{fill.__name__}: {name}")
    for fill, rows in [
        (expected_fill, BAD | EXPECTED_ONLY),
        (progressive_fill, BAD | PROGRESSIVE_ONLY),
    ]
    for name, bad in rows.items()
]


@pytest.mark.parametrize(("fill", "bad"), TABLE)
def test_bad_input_is_refused_in_words_and_leaves_the_network_as_found(fill, bad):
    net = bad.net()
    net.requires_grad_(True).train()
    options = {"samples": 2} if fill is expected_fill else {}
    with pytest.raises(ValueError, match=re.escape(bad.message)):
        fill(Classifier(net, **bad.classifier), bad.images, **(options | bad.call))
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("chunk", [0, -1])
def test_a_plan_without_a_chunk_is_refused(chunk):
    with pytest.raises(ValueError, match=f"Expected chunk >= 1, got {chunk}"):
        Plan(chunk)


@pytest.mark.parametrize("fill", [expected_fill, progressive_fill])
def test_mixed_modes_frozen_weights_and_statistics_are_left_as_found(fill, network, pictures):
    net = network()
    net[1].eval()
    net[0].weight.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    frozen = [parameter.requires_grad for parameter in net.parameters()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    fill(Classifier(net), pictures(), **({"samples": 2} if fill is expected_fill else {}))
    assert [module.training for module in net.modules()] == modes
    assert [parameter.requires_grad for parameter in net.parameters()] == frozen
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_an_error_inside_steady_leaves_the_network_as_found(network):
    net = network()
    inside = []
    with suppress(KeyError), Classifier(net).steady():
        inside += [module.training for module in net.modules()]
        inside += [parameter.requires_grad for parameter in net.parameters()]
        raise KeyError
    assert not any(inside)
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_the_network_is_given_normalised_images():
    mean, std = torch.tensor([0.2, 0.7]), torch.tensor([0.5, 2.0])
    classifier = Classifier(nn.Flatten(), mean=mean.tolist(), std=std.tolist())
    got = classifier(images())
    expected = torch.stack([(images()[:, i] - mean[i]) / std[i] for i in range(2)], 1)
    torch.testing.assert_close(got, expected.flatten(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", [torch.float32, torch.float64])
def test_a_fill_has_the_dtype_of_the_network(network, pictures, dtype, given):
    classifier = Classifier(network(dtype=dtype), mean=0.5)
    fill = expected_fill(classifier, pictures().to(given), samples=2, patch_size=4)
    floats = ("update", "standard_error", "prototype", "composite", "masked")
    assert {getattr(fill, name).dtype for name in floats} == {dtype}


def test_images_have_the_dtype_that_is_asked_for(pictures):
    class Casting(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(29 * 31, 4, dtype=torch.float64)

        def forward(self, images):
            assert images.dtype == torch.float32
            return self.head(images.double().flatten(1))

    classifier = Classifier(Casting(), mean=0.5, dtype=torch.float32)
    assert classifier.mean.dtype == torch.float32
    fill = expected_fill(classifier, pictures(), samples=2, patch_size=4)
    assert fill.update.dtype == torch.float32
    with pytest.raises(ValueError, match=r"Expected a float dtype of images, got torch\.uint8"):
        Classifier(Casting(), dtype=torch.uint8)


def test_a_row_of_logits_that_is_not_finite_is_predicted_as_no_class():
    rows = torch.tensor([[0.0, 1.0], [torch.nan, 1.0], [torch.inf, 1.0], [2.0, 1.0]])
    assert Classifier(nn.Flatten()).predict(rows[:, None, None]).tolist() == [1, -1, -1, 0]


@pytest.fixture(scope="module")
def exported(network, pictures):
    net = network().eval()
    batch = {0: torch.export.Dim("n", min=1)}
    return net, torch.export.export(net, (pictures(),), dynamic_shapes=(batch,)).module()


@pytest.mark.parametrize("fill", [expected_fill, progressive_fill])
def test_an_exported_program_gives_the_fills_of_the_network(fill, exported, pictures):
    options = {"patch_size": 4, "binarise": None}
    options |= {"samples": 4, "mask_ratio": 0.4} if fill is expected_fill else {}
    eager, program = (fill(Classifier(net), pictures(), **options) for net in exported)
    for name, values in eager.tensors.items():
        torch.testing.assert_close(
            program.tensors[name],
            values,
            rtol=0,
            atol=1e-10,
            equal_nan=True,
        )


def test_a_network_exported_in_training_mode_is_refused(network, pictures):
    batch = {0: torch.export.Dim("n", min=1)}
    net = torch.export.export(network(), (pictures(),), dynamic_shapes=(batch,)).module()
    with pytest.raises(ValueError, match=r"Was the network exported in training mode\?"):
        expected_fill(Classifier(net), pictures(), samples=2)


def test_a_network_without_weights_is_taken_in_the_default_dtype():
    images = torch.rand(2, 1, 1, 3, dtype=torch.float64)
    fill = progressive_fill(Classifier(nn.Flatten()), images, groups=2, patch_size=1)
    assert fill.masked.dtype == torch.get_default_dtype()


@pytest.mark.slow
def test_importing_the_method_imports_no_registry_scheduler_or_data_library():
    code = (
        "import fillblanks, sys;"
        "others = {'mlflow', 'prefect', 'torchvision', 'sklearn', 'pandas'};"
        "print(sorted(others & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_kernels_repeat_their_bytes_while_the_network_is_steady():
    # On an H100, fills of ResNet-18 and SqueezeNet were others in each run without that.
    assert not torch.backends.cudnn.deterministic
    with Classifier(nn.Flatten()).steady():
        assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.deterministic


class _Counts(nn.Module):
    """Counts its calls in a buffer, and draws a random number."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.head(x.flatten(1)) + 0 * torch.rand(1)


def test_a_network_beside_another_is_named_and_leaves_random_numbers_alone():
    classifier = Classifier(_Counts())
    classifier.name = "a reference, models:/x/1,"
    images, before = torch.rand(1, 1, 2, 2), torch.get_rng_state()
    message = "Expected a reference, models:/x/1, that stays as it is"
    with pytest.raises(Changed, match=message) as told, classifier.steady():
        classifier(images)
    assert told.value.name == classifier.name
    assert torch.equal(before, torch.get_rng_state())
