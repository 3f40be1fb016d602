"""progressive_fill agrees with a slow plain loop, and with itself in other chunks and splits."""

import copy

import numpy as np
import pytest
import torch

from fillblanks import Classifier, Plan, fill_regions, progressive_fill

SHAPE = (29, 31)
OPTIONS = {"groups": 5, "patch_size": 4, "seed": 7}
INDICES = torch.tensor([8, 0, 3])
LABELS = torch.tensor([2, 1, 0])
NORMALISATION = {"mean": 0.5, "std": 0.1}
FLOATS = ["update", "prototype", "composite", "masked", "steps"]


def plain_fill(plain, net, image, index, label, truth, target):
    """Fills one image in plain Python; T is the positive part above 0.1 of its maximum."""
    region = plain.regions(OPTIONS["seed"], index, SHAPE, OPTIONS["patch_size"], OPTIONS["groups"])
    current, update = image, torch.zeros_like(image)
    predictions, asked, steps = [], [], []
    for i in range(OPTIONS["groups"]):
        blank = region == i
        masked = torch.where(blank, 0.0, current).requires_grad_()
        log_p = net((masked[None] - 0.5) / 0.1).log_softmax(1)[0]
        predictions.append(log_p.argmax().item())
        first, own = predictions[0], predictions[-1]
        wanted = {"step": own, "first": first, "true": truth}[label] if target is None else target
        (gradient,) = torch.autograd.grad(log_p[wanted], masked)
        positive = np.where(blank, gradient, 0).clip(min=0)
        filled = torch.from_numpy(positive / positive.max() > 0.1).to(image.dtype)
        current = torch.where(blank, filled, masked.detach())
        update = torch.where(blank, gradient, update)
        asked.append(wanted)
        steps.append(current)
    return predictions[0], asked, update, torch.stack(steps)


@pytest.fixture(scope="module", params=[1, 3], ids=["1 channel", "3 channels"])
def case(request, network, pictures):
    return network(request.param), pictures(3, request.param)


@pytest.mark.parametrize("target", [None, 3])
@pytest.mark.parametrize("label", ["step", "first", "true"])
def test_fill_is_that_of_a_slow_plain_loop(case, plain, label, target):
    net, images = case
    fill = progressive_fill(
        Classifier(net, **NORMALISATION),
        images,
        LABELS,
        label=label,
        target=target,
        indices=INDICES,
        **OPTIONS,
    )
    evaluated = copy.deepcopy(net).eval()
    for i, index in enumerate(INDICES.tolist()):
        first, asked, update, steps = plain_fill(
            plain, evaluated, images[i], index, label, LABELS[i].item(), target
        )
        assert fill.label[i] == first
        assert fill.accepted[i] == (first == LABELS[i])
        assert fill.step_labels[i].tolist() == asked
        torch.testing.assert_close(fill.update[i], update, rtol=0, atol=1e-10)
        assert torch.equal(fill.steps[i], steps)
        assert torch.equal(fill.prototype[i], steps[-1])


def test_labels_of_the_steps_differ_between_the_options(case):
    step, first, true = (
        progressive_fill(
            Classifier(case[0], **NORMALISATION), case[1], LABELS, label=label, **OPTIONS
        ).step_labels
        for label in ("step", "first", "true")
    )
    assert not torch.equal(step, first)
    assert not torch.equal(first, true)


@pytest.mark.parametrize("blank_value", [0.0, 0.3])
def test_a_step_changes_its_own_group_only_and_the_last_one_gives_the_prototype(case, blank_value):
    net, images = case
    fill = progressive_fill(
        Classifier(net, **NORMALISATION),
        images,
        blank_value=blank_value,
        indices=INDICES,
        **OPTIONS,
    )
    region = fill_regions(images, indices=INDICES, **OPTIONS).expand_as(images)
    before = images
    for i in range(OPTIONS["groups"]):
        after = fill.steps[:, i]
        assert torch.equal(after[region != i], before[region != i])
        assert set(after[region == i].unique().tolist()) <= {0.0, 1.0}
        before = after
    assert torch.equal(fill.prototype, fill.steps[:, -1])
    assert torch.equal(fill.composite, fill.steps[:, 0])
    assert torch.equal(fill.blank, region[:, :1] == 0)
    blanked = torch.where(fill.blank, blank_value, images)
    assert torch.equal(fill.masked, blanked)


@pytest.mark.parametrize("label", ["step", "first", "true"])
@pytest.mark.parametrize("chunk", [1, 2])
def test_chunks_do_not_matter(case, chunk, label):
    classifier, images = Classifier(case[0], **NORMALISATION), case[1]
    options = {**OPTIONS, "label": label, "binarise": None}
    whole = progressive_fill(classifier, images, LABELS, plan=Plan(256), **options)
    parts = progressive_fill(classifier, images, LABELS, plan=Plan(chunk), **options)
    for name in FLOATS:
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=0, atol=1e-10)
    for name in ("blank", "label", "accepted", "drawn", "step_labels"):
        assert torch.equal(getattr(parts, name), getattr(whole, name)), name


def test_splitting_the_images_into_calls_does_not_matter(case):
    classifier, images = Classifier(case[0], **NORMALISATION), case[1]
    whole = progressive_fill(classifier, images, indices=INDICES, **OPTIONS)
    for part in (slice(0, 2), slice(2, 3)):
        got = progressive_fill(classifier, images[part], indices=INDICES[part], **OPTIONS)
        for name, values in whole.tensors.items():
            torch.testing.assert_close(
                got.tensors[name],
                values[part],
                rtol=0,
                atol=1e-10,
                equal_nan=True,
            )


def test_an_image_counts_as_accepted_by_its_first_masked_image(case):
    classifier, images = Classifier(case[0], **NORMALISATION), case[1]
    fill = progressive_fill(classifier, images, **OPTIONS)
    with classifier.steady():
        first, whole = classifier.predict(fill.masked), classifier.predict(images)
    assert torch.equal(fill.label, first)
    assert torch.equal(fill.found, first == whole)
    right = progressive_fill(classifier, images, first, **OPTIONS)
    wrong = progressive_fill(classifier, images, (first + 1) % 4, **OPTIONS)
    assert right.accepted.tolist() == [1, 1, 1]
    assert wrong.accepted.tolist() == [0, 0, 0]
    assert torch.equal(right.prototype, wrong.prototype)


@pytest.mark.parametrize("label", ["step", "first"])
def test_an_image_whose_logits_are_not_finite_is_not_accepted(nan_on_bright, third_bright, label):
    fill = progressive_fill(
        Classifier(nan_on_bright), third_bright, groups=4, patch_size=1, label=label
    )
    assert not fill.found[2]
