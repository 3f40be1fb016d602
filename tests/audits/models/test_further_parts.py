"""Parts of an output that name a class name the class of the audited part."""

from dataclasses import dataclass

import pytest
import torch

from audits.models.adapter import AdaptedNet
from audits.models.form import Adaptation, Form
from audits.models.further_parts import expect_same_classes

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
OTHER = LOGITS.roll(1, 1)


@dataclass
class Output:
    logits: torch.Tensor
    probabilities: torch.Tensor


@pytest.mark.parametrize(
    "output",
    [
        LOGITS,
        {"logits": LOGITS, "probabilities": LOGITS.softmax(1), "label": torch.tensor([0, 2])},
        {"logits": LOGITS, "scores": LOGITS.half(), "Labels": torch.tensor([[0], [1]])},
        {"logits": LOGITS, "aux_logits": OTHER, "hidden": torch.rand(2, 5), "count": 3},
        {"logits": LOGITS, "labels": torch.zeros(7, dtype=torch.long)},  # of other rows
        (LOGITS, torch.tensor([0, 1]), torch.rand(2, 5), torch.rand(2)),
        {"logits": LOGITS, "hidden_states": (OTHER, OTHER), "mask": torch.ones(2, 2).long()},
        {"logits": LOGITS, "top": torch.tensor([[0, 1], [2, 0]]), "surely": torch.ones(2, 1)},
        Output(LOGITS, LOGITS.softmax(1)),
    ],
)
def test_parts_with_the_same_classes_are_taken(output):
    expect_same_classes(output, LOGITS)


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ({"logits": LOGITS, "probabilities": OTHER.softmax(1)}, "probabilities"),
        ({"logits": LOGITS, "label": torch.tensor([1, 1])}, "label"),
        ({"logits": LOGITS, "Class": torch.tensor([[0], [9]])}, "Class"),
        ((LOGITS, torch.tensor([2, 2])), r"\[1\]"),
        (Output(LOGITS, OTHER), "probabilities"),
        ((LOGITS, OTHER.softmax(1)), r"\[1\]"),
        ({"logits": LOGITS, "pred": torch.tensor([1, 1])}, "pred"),
        ({"logits": LOGITS, "argmax": torch.tensor([2.0, 2.0])}, "argmax"),
        ({"logits": LOGITS, "one_hot": torch.eye(3)[[1, 0]].bool()}, "one_hot"),
        ({"logits": LOGITS, "indices": torch.tensor([[1, 0], [0, 1]])}, "indices"),
        ({"logits": LOGITS, "out": {"label": torch.tensor([[1], [1]])}}, r"out\.label"),
        ({"logits": LOGITS, "out": [{"p": OTHER}]}, r"out\[0\]\.p"),
        ({"logits": LOGITS, "map": OTHER.reshape(2, 3, 1, 1)}, "map"),
    ],
)
def test_a_part_with_another_class_is_refused(output, name):
    with pytest.raises(ValueError, match=f"same class from all parts .* '{name}'"):
        expect_same_classes(output, LOGITS)


def test_an_adapted_network_is_looked_at_in_each_pass():
    class Lying(torch.nn.Module):
        def forward(self, images):
            logits = images.flatten(1)[:, :3]
            return {"logits": logits, "label": (logits.argmax(1) + (len(images) > 2)) % 3}

    net = AdaptedNet(Lying(), Adaptation(outputs=Form(container="['logits']")), 3)
    net(torch.rand(2, 1, 2, 2))
    with pytest.raises(ValueError, match="same class from all parts"):
        net(torch.rand(3, 1, 2, 2))
