"""The class that a model answers stays its class if its numbers are rounded."""

import numpy as np
import torch

from audits.models.adapter import AdaptedNet
from audits.models.flavours.pyfunc import answered
from audits.models.flavours.tables import Probabilities
from audits.models.form import Adaptation, Form
from audits.models.winner import in_float32, with_largest_at


def _near(rows=50):
    """Doubles of which some are nearer to the largest than float32 tells."""
    values = np.random.default_rng(0).random((rows, 5))
    values[:, 3] = values.max(1) * (1 + 1e-12)
    return values


def test_a_rounded_table_has_its_largest_numbers_where_they_were():
    values = torch.from_numpy(_near())
    assert (values.float().argmax(1) != 3).any()
    rounded = in_float32(values)
    assert rounded.dtype == torch.float32
    assert rounded.argmax(1).tolist() == [3] * 50
    torch.testing.assert_close(rounded.double(), values, rtol=3e-7, atol=0)


def test_of_equal_numbers_the_first_one_stays_the_largest():
    assert in_float32(torch.tensor([[0.5, 0.5]], dtype=torch.float64)).argmax(1).item() == 0


def test_black_boxes_keep_their_class():
    values = _near()
    of_box = Probabilities(lambda rows: values).answer(values)
    of_pyfunc = answered(values, (), len(values))
    whole = answered(np.array([[2**60, 2**60 + 1]]), (), 1)
    assert of_box.argmax(1).tolist() == of_pyfunc.argmax(1).tolist() == [3] * 50
    assert whole.argmax(1).item() == 1


def test_logarithms_of_probabilities_keep_the_class_and_the_gradient():
    class Near(torch.nn.Module):
        def forward(self, images):
            rest = images.flatten(1).mean(1, keepdim=True) * 0
            first = torch.full_like(rest, 0.5) + rest
            return torch.cat([first, torch.nextafter(first, torch.ones_like(first))], 1)

    net = AdaptedNet(Near(), Adaptation(outputs=Form(scale="probabilities")), 2)
    images = torch.rand(3, 1, 4, 4, requires_grad=True)
    logits = net(images)
    assert logits.argmax(1).tolist() == [1, 1, 1]
    logits.sum().backward()
    assert images.grad.isfinite().all()


def test_nothing_changes_if_the_largest_number_is_at_its_place():
    values = torch.randn(20, 4)
    assert torch.equal(with_largest_at(values.argmax(1), values), values)
