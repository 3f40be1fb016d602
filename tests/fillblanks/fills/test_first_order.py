"""The first-order update is the negative gradient of the loss, row by row."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from fillblanks import Classifier, first_order


def gradient_of_loss(net, image, label):
    image = image.clone().requires_grad_()
    loss = -net(image[None])[0].log_softmax(0)[label]
    loss.backward()
    return image.grad


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("given", [True, False], ids=["given labels", "own prediction"])
def test_update_is_minus_the_plain_input_gradient(network, pictures, channels, given):
    net, images = network(channels).eval(), pictures(4, channels)
    labels = torch.tensor([3, 0, 0, 2]) if given else net(images).argmax(1)
    step = first_order(Classifier(net), images, labels if given else None)
    assert torch.equal(step.predicted, net(images).argmax(1))
    assert torch.equal(step.label, labels)
    for image, label, update in zip(images, labels, step.update, strict=True):
        torch.testing.assert_close(update, -gradient_of_loss(net, image, label))


def test_linear_classifier_has_the_closed_form(pictures):
    images, labels = pictures(5, 3, 4, 5), torch.tensor([0, 1, 2, 3, 3])
    std = torch.tensor([0.2, 0.5, 2.0], dtype=torch.float64)
    linear = nn.Linear(60, 4).double()
    classifier = Classifier(
        nn.Sequential(nn.Flatten(), linear), mean=[0.1, 0.2, 0.3], std=std.tolist()
    )
    missing = functional.one_hot(labels, 4) - classifier(images).softmax(1)
    expected = (missing @ linear.weight).view_as(images) / std.view(3, 1, 1)
    torch.testing.assert_close(first_order(classifier, images, labels).update, expected)


@pytest.mark.parametrize("label", range(4))
def test_a_small_step_along_the_update_lowers_the_loss(network, pictures, label):
    net, images = network().eval(), pictures(6)
    labels = torch.full((6,), label)
    update = first_order(Classifier(net), images, labels).update
    before = functional.cross_entropy(net(images), labels, reduction="none")
    after = functional.cross_entropy(net(images + 1e-4 * update), labels, reduction="none")
    assert (after < before).all()
    expected = 1e-4 * update.square().sum((1, 2, 3))
    torch.testing.assert_close(before - after, expected, rtol=0.01, atol=0)


def test_rows_of_a_batch_do_not_touch(network, pictures):
    classifier, images = Classifier(network(3).eval()), pictures(4, 3)
    before = first_order(classifier, images).update
    images[2] = 1 - images[2]
    after = first_order(classifier, images).update
    torch.testing.assert_close(after[[0, 1, 3]], before[[0, 1, 3]], rtol=0, atol=1e-12)
    assert not torch.allclose(after[2], before[2])


@pytest.mark.parametrize("grad_mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_update_does_not_depend_on_the_grad_mode_around_it(network, pictures, grad_mode):
    classifier, images = Classifier(network().eval()), pictures()
    expected = first_order(classifier, images).update
    with grad_mode():
        got = first_order(classifier, images).update
    assert torch.equal(got, expected)
    assert not got.requires_grad


def test_update_leaves_no_gradient_on_weights_or_images(network, pictures):
    net, images = network().eval(), pictures()
    first_order(Classifier(net), images)
    assert not images.requires_grad
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_prediction_that_is_not_finite_is_no_class():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    images = torch.zeros(2, 1, 2, 2)
    images[1] = torch.inf
    assert first_order(Classifier(net), images).predicted.tolist()[1] == -1
