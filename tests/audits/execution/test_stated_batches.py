"""The batch that an archive states sets the chunk of an audit's plan."""

import mlflow
import numpy as np
import pytest
import torch
from planned_nets import Linear
from sessions import open_session
from torch.export import Dim

from audits import parse_config

_CHECKS = [
    {"kind": "performance"},
    {"kind": "random_fill", "images": 4, "samples": 6, "patch_size": 4},
]


@pytest.fixture
def session_of(registry, tmp_path):
    """Opens a session of a network that is exported for a batch."""

    def open_it(batch, **engine):
        torch.manual_seed(0)
        net, folder = Linear().eval(), tmp_path / "model"
        mlflow.pytorch.save_model(
            net,
            str(folder),
            input_example=np.zeros((2, 1, 28, 28), np.float32),
            metadata={"classes": [str(n) for n in range(10)], "mean": [0.3], "std": [0.35]},
            pip_requirements=["torch"],
        )
        example = (torch.zeros(4, 1, 28, 28),)
        program = torch.export.export(net, example, dynamic_shapes=({0: batch},))
        torch.export.save(program, str(folder / "data" / "model.pt2"))
        client = mlflow.MlflowClient()
        client.create_registered_model("m")
        client.create_model_version("m", folder.as_uri())
        config = {"data": {"kind": "digits"}, "checks": _CHECKS, "store": str(tmp_path / "store")}
        return open_session(parse_config({**config, "model": "models:/m/1", "engine": engine}))

    return open_it


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
