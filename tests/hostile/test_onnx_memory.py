"""What onnxruntime keeps from call to call: a graph that remembers, and results left unwritten."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx_cases  # noqa: E402
import onnx_runs  # noqa: E402

from audits.errors import ModelRefused  # noqa: E402
from audits.execution.asking_again import First, again  # noqa: E402
from audits.models.flavours.onnx_effects import expect_steady  # noqa: E402
from audits.models.flavours.onnx_net import OnnxNet  # noqa: E402
from audits.models.flavours.onnx_operators import ALLOWED  # noqa: E402
from fillblanks import Classifier  # noqa: E402

h = onnx.helper


def _remembering():
    """Other logits until a batch of two was asked, which batch normalisation writes down.

    The first call of an audit is of two images or more; a server may ask one a call.
    """
    mean = ["seen", "none", "none", "mean", "unit"]
    nodes = [
        h.make_node("Flatten", ["x"], ["flat"]),
        h.make_node("MatMul", ["flat", "weights"], ["logits"]),
        h.make_node("Neg", ["logits"], ["others"]),
        h.make_node("Shape", ["x"], ["shape"]),
        h.make_node("Gather", ["shape", "first"], ["rows"], axis=0),
        h.make_node("Cast", ["rows"], ["count"], to=1),
        h.make_node("Sub", ["count", "one"], ["more"]),
        h.make_node("Clip", ["more"], ["two"], min=0.0, max=1.0),
        h.make_node("Mul", ["ones", "two"], ["seen"]),
        h.make_node("BatchNormalization", mean, ["y", "new", "b", "c", "d"], momentum=0.999999),
        h.make_node("Greater", ["new", "tiny"], ["asked"]),
        h.make_node("Where", ["asked", "logits", "others"], ["answer"]),
    ]
    weights = np.random.default_rng(0).normal(size=(16, 3)).astype("f4")
    values = {"weights": weights, "first": np.array(0), "ones": np.ones((8, 1), "f4")}
    values |= {"one": np.float32(1), "tiny": np.full(1, 1e-9, "f4")}
    values |= {"none": np.zeros(1, "f4"), "mean": np.zeros(1, "f4"), "unit": np.ones(1, "f4")}
    graph = h.make_graph(
        nodes,
        "remembering",
        [h.make_tensor_value_info("x", 1, ["n", 1, 4, 4])],
        [h.make_tensor_value_info("answer", 1, ["n", 3])],
        [onnx.numpy_helper.from_array(np.asarray(one), name) for name, one in values.items()],
    )
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 9)], ir_version=8)


def _found(model, folder, images):
    onnx.save(model, str(folder / "model.onnx"))
    classifier = Classifier(OnnxNet(folder / "model.onnx"))
    first = First.of(classifier, images)
    classifier.predict(images)
    return again(first, classifier, only_classes=False)


def test_a_session_that_remembers_is_found_by_a_fresh_one(tmp_path):
    """It is refused by its file; should another way to remember be found, the end tells."""
    images = torch.rand(32, 1, 4, 4)
    found = _found(_remembering(), tmp_path, images)
    assert (found.otherwise, found.afresh_otherwise) == (0, 32)
    assert "Opened again at the end of the audit, the model answered 32 of 32" in found.question
    with pytest.raises(ModelRefused, match="'BatchNormalization' in training mode"):
        expect_steady(_remembering())


def test_a_session_without_a_memory_answers_as_a_fresh_one(tmp_path):
    model = _remembering()
    nodes = [node for node in model.graph.node if node.op_type in ("Flatten", "MatMul")]
    nodes[1].output[0] = "answer"
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    found = _found(model, tmp_path, torch.rand(32, 1, 4, 4))
    assert (found.afresh_otherwise, found.question) == (0, "")


@pytest.fixture(scope="module")
def differing():
    """Of all cases that ran, those whose results differ if fresh memory holds other bytes."""
    if os.confstr("CS_GNU_LIBC_VERSION") is None:
        pytest.skip("fresh memory is filled by glibc")
    first, second = map(_results, [_started(fill) for fill in (1, 170)])
    assert first.keys() == second.keys()
    return {name: first[name] != second[name] for name in first}


def _started(fill):
    """A process that runs all cases while its fresh memory holds this byte, or its complement."""
    environment = os.environ | {"MALLOC_PERTURB_": str(fill), "OMP_NUM_THREADS": "1"}
    script = [sys.executable, onnx_runs.__file__]
    return subprocess.Popen(script, env=environment, stdout=subprocess.PIPE, text=True)


def _results(process):
    told, _ = process.communicate()
    assert process.returncode == 0
    return dict(line.split("\t") for line in told.splitlines())


@pytest.mark.slow
def test_the_operators_on_the_list_leave_no_result_unwritten(differing):
    """But products of whole numbers without a term, and PROBIT, which are refused."""
    assert [name for name, differs in differing.items() if differs] == [
        name for name in differing if name.startswith("unwritten:")
    ]
    assert sum(name.startswith("unwritten:") for name in differing) > 5


def test_nearly_every_operator_on_the_list_is_tried(differing):
    tried = {name.split(":")[1] for name in differing}
    listed = {name for names in ALLOWED.values() for name in names}
    assert listed - tried == onnx_cases.UNTRIED
