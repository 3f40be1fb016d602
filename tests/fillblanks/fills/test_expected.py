"""expected_fill agrees with a slow plain loop, with captum, and with itself in other chunks."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from captum.attr import Saliency
from torch import Tensor

from fillblanks import Classifier, Plan, expected_fill, threshold

SHAPE = (29, 31)
PATCH, BLANK_COUNT = 4, 26  # round(0.4 * 64) of the 8 x 8 patches; 4 does not divide 29 or 31
NORMALISATION = {1: {"mean": 0.4, "std": 0.1}, 3: {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]}}
SETTINGS = {"mask_ratio": 0.4, "patch_size": PATCH, "samples": 6, "max_draws": 20, "seed": -5}
AVERAGES = ["per_blank", "masked", "raw"]
NEVER = 3  # a class that the networks below never predict


@dataclass
class Draws:
    """The draws that a plain loop accepted for one image."""

    updates: list[Tensor]
    blanks: list[Tensor]
    masked: list[Tensor]
    drawn: int

    def values(self, average: str) -> np.ndarray:
        """The accepted updates as `average` sees them; NaN where a draw does not count."""
        updates, blanks = torch.stack(self.updates), torch.stack(self.blanks)[:, None]
        outside = {"per_blank": torch.nan, "masked": 0.0, "raw": updates}[average]
        return torch.where(blanks, updates, outside).numpy()


@dataclass
class Case:
    """A network, images, and the draws of a plain loop for each image."""

    classifier: Classifier
    images: Tensor
    indices: Tensor
    draws: list[Draws]

    def fill(self, **changes):
        options = {**SETTINGS, "indices": self.indices, **changes}
        return expected_fill(self.classifier, self.images, **options)


def plain_draws(plain, net, normalisation, image, index) -> Draws:
    mean, std = (
        torch.tensor(normalisation[k], dtype=image.dtype).reshape(-1, 1, 1) for k in ("mean", "std")
    )
    reference = net((image[None] - mean) / std).argmax(1)
    got = Draws([], [], [], 0)
    while got.drawn < SETTINGS["max_draws"] and len(got.updates) < SETTINGS["samples"]:
        blank = plain.blank(SETTINGS["seed"], index, got.drawn, SHAPE, PATCH, BLANK_COUNT)
        masked = torch.where(blank, 0.0, image).requires_grad_()
        logits = net((masked[None] - mean) / std)
        if logits.argmax(1) == reference:
            (update,) = torch.autograd.grad(logits.log_softmax(1)[0, reference].sum(), masked)
            got.updates.append(update)
            got.blanks.append(blank)
            got.masked.append(masked.detach())
        got.drawn += 1
    return got


@pytest.fixture(scope="module", params=[1, 3], ids=["1 channel", "3 channels"])
def case(request, plain, network, pictures) -> Case:
    channels = request.param
    net, images, indices = network(channels), pictures(3, channels), torch.tensor([2, 0, 70_000])
    net[-1].bias.data[NEVER] = -1e3
    evaluated, options = copy.deepcopy(net).eval(), NORMALISATION[channels]
    draws = [
        plain_draws(plain, evaluated, options, image, index)
        for image, index in zip(images, indices.tolist(), strict=True)
    ]
    return Case(Classifier(net, **options), images, indices, draws)


def equal(one, other, tolerance=0.0):
    for name, values in one.tensors.items():
        torch.testing.assert_close(
            values,
            other.tensors[name],
            rtol=0,
            atol=tolerance,
            equal_nan=True,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_the_cases_reject_draws_and_reach_both_limits(case):
    accepted = [len(draws.updates) for draws in case.draws]
    assert min(accepted) < max(accepted) == SETTINGS["samples"]
    assert all(draws.drawn > len(draws.updates) > 1 for draws in case.draws)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom")
@pytest.mark.parametrize("average", AVERAGES)
def test_update_and_its_standard_error_are_those_of_a_slow_plain_loop(case, average):
    fill = case.fill(average=average)
    for i, draws in enumerate(case.draws):
        values = draws.values(average)
        count = (~np.isnan(values)).sum(0)
        mean = np.nan_to_num(np.nanmean(values, axis=0))
        error = np.nanstd(values, axis=0, ddof=1) / np.sqrt(count)
        np.testing.assert_allclose(fill.update[i], mean, rtol=0, atol=1e-10)
        np.testing.assert_allclose(fill.standard_error[i], error, rtol=1e-6, atol=1e-10)


def test_accepted_drawn_and_first_mask_are_those_of_a_slow_plain_loop(case):
    fill = case.fill()
    assert fill.accepted.tolist() == [len(draws.updates) for draws in case.draws]
    assert fill.drawn.tolist() == [draws.drawn for draws in case.draws]
    assert torch.equal(fill.blank[:, 0], torch.stack([d.blanks[0] for d in case.draws]))
    assert torch.equal(fill.masked, torch.stack([d.masked[0] for d in case.draws]))


def test_exactly_samples_draws_are_accepted_and_the_last_draw_is_one_of_them(case):
    many = case.fill(samples=9, max_draws=400)
    assert many.accepted.tolist() == [9, 9, 9]
    for i, drawn in enumerate(many.drawn.tolist()):
        one_less = case.fill(samples=9, max_draws=max(drawn - 1, 9))
        assert one_less.accepted[i] == (8 if drawn > 9 else 9)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("chunk", [1, 7])
def test_chunks_do_not_matter(case, average, chunk):
    whole = case.fill(average=average, plan=Plan(256))
    equal(case.fill(average=average, plan=Plan(chunk)), whole, 1e-10)


def test_splitting_the_images_into_calls_does_not_matter(case):
    whole = case.fill()
    for part in (slice(0, 1), slice(1, 3)):
        got = expected_fill(
            case.classifier, case.images[part], indices=case.indices[part], **SETTINGS
        )
        wanted = replace(whole, **{name: rows[part] for name, rows in whole.tensors.items()})
        equal(got, wanted, 1e-10)


def test_raw_average_of_one_sample_is_the_plain_gradient_at_the_accepted_image(case):
    fill = case.fill(samples=1, average="raw")
    masked = fill.masked.clone().requires_grad_()
    with case.classifier.steady():
        log_p = case.classifier(masked).log_softmax(1)
    log_p.gather(1, fill.label[:, None]).sum().backward()
    torch.testing.assert_close(fill.update, masked.grad, rtol=0, atol=1e-12)


def test_masked_average_is_that_of_captum_on_the_same_masks(case):
    fill = case.fill(average="masked")
    saliency = Saliency(lambda x: case.classifier(x).log_softmax(1))
    for i, draws in enumerate(case.draws):
        with case.classifier.steady():
            gradients = saliency.attribute(
                torch.stack(draws.masked).requires_grad_(), target=fill.label[i].item(), abs=False
            )
        mean = (gradients * torch.stack(draws.blanks)[:, None]).mean(0)
        torch.testing.assert_close(fill.update[i], mean, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("target", [0, NEVER])
def test_target_is_the_class_that_is_asked_for_and_not_the_one_that_accepts(case, target):
    plainly, asked = case.fill(average="raw"), case.fill(average="raw", target=target)
    assert torch.equal(asked.accepted, plainly.accepted)
    assert torch.equal(asked.label, plainly.label)
    for i, draws in enumerate(case.draws):
        masked = torch.stack(draws.masked).requires_grad_()
        with case.classifier.steady():
            case.classifier(masked).log_softmax(1)[:, target].sum().backward()
        torch.testing.assert_close(asked.update[i], masked.grad.mean(0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("blank_value", [0.0, 0.3, "mean"])
def test_composite_keeps_what_is_seen_bit_for_bit_and_fills_blanks_with_t(case, blank_value):
    fill = case.fill(normalise="minmax", binarise=0.4, blank_value=blank_value)
    blank = fill.blank.expand_as(fill.composite)
    assert torch.equal(fill.composite[~blank], case.images[~blank])
    filled = threshold(fill.update, fill.blank, normalise="minmax", binarise=0.4)
    assert torch.equal(fill.composite[blank], filled[blank])
    everywhere = torch.ones_like(fill.blank)
    prototype = threshold(fill.update, everywhere, normalise="minmax", binarise=0.4)
    assert torch.equal(fill.prototype, prototype)


@pytest.mark.parametrize("value", ["mean", 0.75])
def test_blanks_get_the_blank_value_and_the_rest_is_the_image(case, value):
    fill = case.fill(blank_value=value)
    expected = case.classifier.mean if value == "mean" else torch.tensor(value).double()
    expected = expected.expand_as(fill.masked)
    blank = fill.blank.expand_as(fill.masked)
    assert torch.equal(fill.masked[blank], expected[blank])
    assert torch.equal(fill.masked[~blank], case.images[~blank])


def test_blanks_get_the_pixels_of_a_tensor_image_by_image(case):
    noise = torch.rand(case.images.shape, generator=torch.Generator().manual_seed(0)).double()
    fill = case.fill(blank_value=noise)
    blank = fill.blank.expand_as(fill.masked)
    assert torch.equal(fill.masked[blank], noise[blank])
    assert torch.equal(fill.masked[~blank], case.images[~blank])
    grey = torch.full_like(noise, 0.75)
    one, other = case.fill(blank_value=grey), case.fill(blank_value=0.75)
    assert torch.equal(one.update.nan_to_num(), other.update.nan_to_num())
    with pytest.raises(ValueError, match="Expected a blank_value of the images' shape"):
        case.fill(blank_value=noise[:1])


def test_an_image_that_no_mask_classifies_right_is_a_miss(case):
    labels = case.fill().label
    labels[1] = NEVER
    fill, found = case.fill(labels=labels), case.fill()
    assert fill.found.tolist() == [True, False, True]
    assert (fill.accepted[1], fill.drawn[1]) == (0, SETTINGS["max_draws"])
    for name in ("update", "prototype", "composite", "standard_error"):
        assert getattr(fill, name)[1].isnan().all(), name
    for name in ("update", "prototype", "composite"):
        torch.testing.assert_close(
            getattr(fill, name)[::2], getattr(found, name)[::2], rtol=0, atol=1e-10
        )


@pytest.mark.parametrize("labels", [None, torch.zeros(3, dtype=torch.int64)])
def test_an_image_whose_logits_are_not_finite_is_a_miss(nan_on_bright, third_bright, labels):
    fill = expected_fill(Classifier(nan_on_bright), third_bright, labels, samples=2, patch_size=1)
    assert fill.found.tolist() == [True, True, False]
    assert fill.prototype[2].isnan().all()


def test_images_that_ask_for_gradients_give_a_fill_without_them(case):
    images = case.images.clone().requires_grad_()
    fill = expected_fill(case.classifier, images, indices=case.indices, **SETTINGS)
    assert not [name for name, values in fill.tensors.items() if values.requires_grad]
