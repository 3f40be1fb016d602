"""The batch that an archive states sets the chunk of an audit's plan."""

import shutil
from contextlib import suppress

import mlflow
import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException
from planned_nets import Linear
from sessions import open_session
from torch.export import Dim

from audits import parse_config
from audits.errors import AuditError

_CHECKS = [
    {"kind": "performance"},
    {"kind": "random_fill", "images": 4, "samples": 6, "patch_size": 4},
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A network, and its model's folder."""
    torch.manual_seed(0)
    net, folder = Linear().eval(), tmp_path_factory.mktemp("saved") / "model"
    mlflow.pytorch.save_model(
        net,
        str(folder),
        input_example=np.zeros((2, 1, 28, 28), np.float32),
        metadata={"classes": [str(n) for n in range(10)], "mean": [0.3], "std": [0.35]},
        pip_requirements=["torch"],
    )
    return net, folder


@pytest.fixture
def session_of(shared_registry, saved, tmp_path):
    """Opens a session of a network that is exported for a batch."""

    def open_it(batch, net=saved[0], **engine):
        folder = tmp_path / "model"
        shutil.copytree(saved[1], folder)
        example = (torch.zeros(4, 1, 28, 28),)
        program = torch.export.export(net, example, dynamic_shapes=({0: batch},))
        torch.export.save(program, str(folder / "data" / "model.pt2"))
        client = mlflow.MlflowClient()
        with suppress(MlflowException):  # of an earlier test
            client.create_registered_model("m")
        version = client.create_model_version("m", folder.as_uri()).version
        config = {"data": {"kind": "digits"}, "checks": _CHECKS, "store": str(tmp_path / "store")}
        config |= {"model": f"models:/m/{version}", "engine": engine}
        return open_session(parse_config(config))

    return open_it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("most", "chunk", "engine"), [(5, 5, {}), (128, 128, {}), (5, 16, {"chunk": 16})]
)
def test_the_most_images_that_a_pt2_takes_are_the_chunk(most, chunk, engine, session_of):
    with session_of(Dim("batch", max=most), **engine) as session:
        assert session.plan.chunk == chunk
        assert session.plans.all == (session.plan,)
        assert any(f"exported for a batch of 1 to {most}." in note for note in session.notes)
        for check in session.config.checks:
            for unit in session.units(check):
                session.measure(check, unit)
            assert session.conclude(check).status == "ok"
        assert session.plans.all == (session.plan,)  # nothing was found by errors


class _OtherInOneBatch(Linear):
    """Another class, in batches of 130."""

    def forward(self, x):
        here = (x.flatten(1).sum(1, keepdim=True) * 0 + x.shape[0] - 130).abs().clamp(max=1)
        logits = super().forward(x)
        return here * logits + (1 - here) * logits.roll(1, 1)


def test_a_part_is_refused_if_its_batch_was_answered_by_another_network(session_of):
    """450 images in batches of 160 leave 130, a size that nobody tries when the model is opened."""
    torch.manual_seed(0)
    with session_of(Dim("batch"), net=_OtherInOneBatch().eval(), chunk=160) as session:
        check = session.config.checks[0]
        (unit,) = session.units(check)
        with pytest.raises(AuditError, match="alone and in a batch of 130, got another one"):
            session.measure(check, unit)
