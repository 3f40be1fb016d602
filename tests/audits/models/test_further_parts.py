"""Parts of an output that name a class name the class of the audited part."""

from contextlib import nullcontext
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
        {"logits": LOGITS, "order": torch.tensor([[0, 1, 2], [1, 2, 0]])},
        {"logits": LOGITS, "cls_logits": OTHER, "distillation_logits": OTHER},
        {"logits": LOGITS, "scores": torch.tensor([[3.0, 3.0, 1.0], [0.0, 2.0, 1.0]])},  # equal
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
        ({"logits": LOGITS, "order": torch.tensor([[1, 0, 2], [1, 2, 0]])}, "order"),
        ({"logits": LOGITS, "map": OTHER.reshape(2, 3, 1, 1)}, "map"),
    ],
)
def test_a_part_with_another_class_is_refused(output, name):
    with pytest.raises(ValueError, match=f"same class from all parts .* '{name}'"):
        expect_same_classes(output, LOGITS)


def test_an_image_without_an_answer_has_no_class():
    broken = torch.cat([LOGITS, torch.full((1, 3), torch.nan)])
    expect_same_classes({"logits": broken, "scores": broken.softmax(1)}, broken)


def test_an_adapted_network_is_looked_at_in_each_pass():
    class Lying(torch.nn.Module):
        def forward(self, images):
            logits = images.flatten(1)[:, :3]
            return {"logits": logits, "label": (logits.argmax(1) + (len(images) > 2)) % 3}

    net = AdaptedNet(Lying(), Adaptation(outputs=Form(container="['logits']")), 3)
    net(torch.rand(2, 1, 2, 2))
    with pytest.raises(ValueError, match="same class from all parts"):
        net(torch.rand(3, 1, 2, 2))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("lies", [False, True])
@pytest.mark.parametrize("columns", ["one logit", "one probability"])
def test_parts_beside_one_number_for_two_classes_are_compared(columns, lies, flat):
    class Binary(torch.nn.Module):
        def forward(self, images):
            number = images.flatten(1)[:, :1]
            label = (number > (0.5 if columns == "one probability" else 0))[:, 0] ^ lies
            return {"logits": number[:, 0] if flat else number, "label": label.long()}

    form = Form(
        container="['logits']",
        columns=columns,
        scale="probabilities" if columns == "one probability" else "logits",
        shape="(N,)" if flat else "(N, K)",
    )
    net = AdaptedNet(Binary(), Adaptation(outputs=form), 2)
    images = torch.tensor([0.9, 0.2, 0.7, 0.1]).reshape(4, 1, 1, 1)
    images = images if columns == "one probability" else images - 0.5
    with pytest.raises(ValueError, match="same class") if lies else nullcontext():
        assert net(images).argmax(1).tolist() == [1, 0, 1, 0]
