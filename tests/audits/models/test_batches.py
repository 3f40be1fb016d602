"""The numbers of images that an exported network takes are read from it, not found by crashing."""

import pytest
import torch
from torch import nn
from torch.export import Dim

from audits.data.fit import Fit
from audits.models.contract import InputContract
from audits.models.form import Bounds, Form, rows_told
from audits.models.graphs import stated_rows
from audits.models.opening import opened
from audits.models.pt2 import load_exported
from fillblanks import Classifier, expected_fill, tune

_BATCHES = {  # rows of the example, the batch that is exported, and what is stated
    "any": (4, Dim("batch"), Bounds()),
    "auto": (4, Dim.AUTO, Bounds()),
    "max 128": (4, Dim("batch", max=128), Bounds(1, 128)),
    "max 5": (4, Dim("batch", max=5), Bounds(1, 5)),
    "min 2": (4, Dim("batch", min=2), Bounds()),  # torch takes 1 as well
    "min 3": (4, Dim("batch", min=3), Bounds(3)),
    "3 to 4": (4, Dim("batch", min=3, max=4), Bounds(3, 4)),
    "min 20": (24, Dim("batch", min=20), Bounds(20)),
    "static 1": (1, None, Bounds(1, 1)),
    "static 8": (8, None, Bounds(8, 8)),
    "static 7": (7, None, Bounds(7, 7)),
}


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()


@pytest.fixture(params=_BATCHES)
def exported(request, tmp_path):
    """A network, the same network from an archive, and the numbers of rows that it states."""
    rows, batch, bounds = _BATCHES[request.param]
    shapes = None if batch is None else ({0: batch},)
    program = torch.export.export(_net(), (torch.zeros(rows, 1, 8, 8),), dynamic_shapes=shapes)
    torch.export.save(program, str(tmp_path / "model.pt2"))
    return _net(), load_exported(tmp_path / "model.pt2", "cpu"), bounds


def test_a_pt2_states_its_batch_and_is_asked_for_no_other(exported):
    net, graph, bounds = exported
    assert stated_rows(graph) == bounds
    images = torch.rand(60, 1, 8, 8)
    asked = []
    graph.register_forward_pre_hook(lambda _, given: asked.append(len(given[0])))
    found = opened(graph, InputContract(Fit(1, 8, 8)), images[:6], 5, 60)
    assert found.gives == "gradients"
    assert found.adaptation.outputs.bounds == bounds
    least, most = bounds
    assert asked
    assert all(least <= rows <= (most or rows) for rows in asked)
    wanted = Classifier(net, constant=True)
    for rows in (1, 2, 5, 9, 60):
        assert torch.allclose(found.classifier(images[:rows]), wanted(images[:rows]), atol=1e-5)
    fill = {"samples": 3, "max_draws": 3, "mask_ratio": 0.25, "patch_size": 2, "seed": 0}
    one, other = (
        expected_fill(classifier, images[:3], **fill) for classifier in (found.classifier, wanted)
    )
    assert torch.allclose(one.update, other.update, atol=1e-5)


def test_a_tuned_chunk_is_no_larger_than_the_network_takes():
    classifier, images = Classifier(_net()), torch.rand(8, 1, 8, 8)
    tuning = tune(classifier, images, draws=8, fixed={"precision": "full"}, largest=5, patch_size=2)
    assert tuning.plan.chunk <= 5
    assert max(trial.plan.chunk for trial in tuning.trials) <= 5


@pytest.mark.parametrize("bounds", [case[2] for case in _BATCHES.values()])
def test_rows_in_words_are_read_again(bounds):
    assert Form(rows=rows_told(bounds)).bounds == bounds


@pytest.mark.parametrize("rows", ["", "0 at a time", "-1 to 3", "1 to 0", "9" * 400, "x to y"])
def test_words_that_nobody_wrote_are_any_number(rows):
    assert Form(rows=rows).bounds == Bounds()
    assert Form(rows=rows).at_a_time == 0


@pytest.mark.parametrize("rows", [1, 7, 128])
def test_an_onnx_of_a_fixed_batch_is_asked_for_no_other(rows, tmp_path):
    pytest.importorskip("onnx2torch")
    from audits.models.flavours.onnx_net import OnnxNet

    file = tmp_path / "model.onnx"
    torch.onnx.export(_net(), (torch.zeros(rows, 1, 8, 8),), str(file), dynamo=False)
    found = opened(OnnxNet(file), InputContract(Fit(1, 8, 8)), torch.rand(6, 1, 8, 8), 5, 16)
    assert found.adaptation.outputs.bounds == Bounds(rows, rows)
    assert found.gives == "gradients"
    images = torch.rand(9, 1, 8, 8)
    assert torch.allclose(found.classifier(images), Classifier(_net())(images), atol=1e-5)
