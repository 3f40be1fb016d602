"""Parts have columns of a reference if the audit has one, whatever the model's process sends."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from audits.checks.ablation import Ablation
from audits.checks.class_pictures import ClassPictures
from audits.checks.completion import Completion
from audits.checks.context import AuditContext
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.execution.concluding import checked_answers, checked_part
from audits.execution.worker import WorkerFailure
from fillblanks import Classifier, Plan

CHECKS = (
    RandomFill(samples=2, patch_size=2),
    ProgressiveFill(patch_size=2),
    Completion(images=4, steps=2),
    ClassPictures(classes=3, seeds=1, steps=2),
    Ablation(images=4, samples=2, mask_ratio=(0.5,), patch_size=(2,)),
)


def _linear(seed):
    torch.manual_seed(seed)
    return Classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))


@pytest.fixture(scope="module")
def worker(image_set):
    """The context in the process of a model, with a reference."""
    images = np.random.default_rng(0).random((6, 8, 8)).astype(np.float32)
    data = image_set(images, np.arange(6) % 3)
    return AuditContext(data, 0, Plan(chunk=6), _linear(0), _linear(1))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.kind)
@pytest.mark.parametrize("expects_reference", [True, False])
def test_columns_of_a_reference_are_those_of_the_config(check, expects_reference, worker):
    """Without a reference in the config, they would tell of a network that nobody asked."""
    without = replace(worker, reference=None)
    honest, forged = (worker, without) if expects_reference else (without, worker)
    auditor = replace(without, model=None, expects_reference=expects_reference)
    check = check.settled(worker.shape)
    unit = check.units(auditor)[0]

    def sent(context):
        part = checked_part(check.measure(context, unit), check, auditor, unit)
        if check.asks_at_the_end:
            checked_answers(check.ask(context, [part]), check, auditor, [part])

    sent(honest)
    with pytest.raises(WorkerFailure, match="the model's process sent"):
        sent(forged)
