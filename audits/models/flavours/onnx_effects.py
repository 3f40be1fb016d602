"""Refuses ONNX graphs that could answer an image otherwise each time: by a memory, or by chance.

onnxruntime keeps from call to call, so that a graph could count its calls: the place in sequences
of random numbers; mean and variance of a batch normalisation that trains, which it writes into the
weights; and old numbers in results that an operator leaves unwritten. So operators are taken from a
list, some under further conditions.

How unwritten results were looked for, in onnxruntime 1.32: operators ran in two processes whose
fresh memory is filled with other bytes, with sizes of 0 among their inputs and, for about two
thirds of them, NaN and huge numbers; `tests/support/onnx_cases.py` keeps some of these runs.
Results differed for products of whole numbers whose sums have no term (`onnx_products`), for
classifiers of ai.onnx.ml with PROBIT, and for LSTM without steps and RoiAlign of an empty image,
which are not on the list. GRU, Unique,
FeatureVectorizer and QLinearWhere are not either: some inputs make them use memory that is not
theirs, and end the process.
In some 200 further graphs weights went through views, loops, branches and sequences into operators
that work in place: none was written to.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from audits.errors import ModelRefused, quoted
from audits.models.flavours.onnx_file import graphs_of
from audits.models.flavours.onnx_operators import ALLOWED, NEWEST, OLDEST, domain_of
from audits.models.flavours.onnx_products import constants_of, expect_terms

_DRAWING = ("random", "bernoulli", "multinomial", "sampling")  # parts of names, in small letters
_OWN = ("ai.onnx", "com.microsoft", "com.ms.")  # beginnings of domains that onnxruntime has
_VERSIONS = {"": range(OLDEST, NEWEST + 1), "ai.onnx.ml": range(1, 6), "com.microsoft": range(1, 2)}
_BOOL = 9  # by ONNX's numbers

Constants = Mapping[str, Any]  # of a graph, by name


def expect_steady(model: Any) -> None:
    """Raises ModelRefused if a node of a ModelProto is not on the list, trains, or may remember.

    Nodes of subgraphs and of the model's own functions are looked at as well.
    """
    own = {(function.domain, function.name) for function in model.functions}
    for domain, name in own:
        if not domain or domain.startswith(_OWN):
            raise ModelRefused(
                f"Expected functions in domains of their own, got {quoted(name)} in that of "
                f"operators, {quoted(domain)}. Export the model without it."
            )
    if not any(domain_of(opset.domain) == "" for opset in model.opset_import):
        raise ModelRefused("Expected an opset of ONNX, got none. Export the model again.")
    for body in (model, *model.functions):
        _expect_versions(body.opset_import)
    graphs = [graph for body in (model.graph, *model.functions) for graph in graphs_of(body)]
    for graph in graphs:
        constants = constants_of(graph)
        for node in graph.node:
            if (node.domain, node.op_type) not in own:
                _expect_steady(node, constants)
    expect_terms(graphs)


def _expect_versions(opsets: Collection[Any]) -> None:
    """Raises ModelRefused for a version of the operators in which they may do something else."""
    for opset in opsets:
        versions = _VERSIONS.get(domain_of(opset.domain))
        if versions is not None and opset.version not in versions:
            raise ModelRefused(
                f"Expected opset {versions[0]} to {versions[-1]} of the operators of "
                f"{quoted(opset.domain or 'ai.onnx')}, got {opset.version}. Export the model with "
                "another opset."
            )


def _expect_steady(node: Any, constants: Constants) -> None:
    domain, name = domain_of(node.domain), node.op_type
    if any(part in name.lower() for part in _DRAWING):
        raise ModelRefused(
            f"Expected a graph that answers an image the same each time, got {quoted(name)}, "
            "which draws random numbers. Export the model without it."
        )
    if "dropout" in name.lower() and not (name == "Dropout" and _is_off(node, constants)):
        _refuse_training(name)
    if name not in ALLOWED.get(domain, ()):
        raise ModelRefused(
            f"Expected operators of ONNX that exporters of networks write, got {quoted(name)} of "
            f"{quoted(domain or 'ai.onnx')}. Export the model without it."
        )
    if demand := _DEMANDS.get((domain, name)):
        demand(node, constants)


def _expect_no_training(node: Any, constants: Constants) -> None:
    """With further outputs, or in training mode, onnxruntime writes into mean and variance."""
    if len(node.output) != 1 or any(
        one.name == "training_mode" and (one.i or one.ref_attr_name) for one in node.attribute
    ):
        _refuse_training(node.op_type)


def _refuse_training(name: str) -> None:
    raise ModelRefused(
        f"Expected a graph exported in evaluation mode, got {quoted(name)} in training mode. Call "
        "net.eval() before it is exported."
    )


def _without(*inputs: int) -> Callable[[Any, Constants], None]:
    """A demand that these inputs, which hold what was there at earlier calls, are left out."""

    def expect(node: Any, constants: Constants) -> None:
        if any(node.input[place] for place in inputs if place < len(node.input)):
            raise ModelRefused(
                f"Expected {quoted(node.op_type)} of one image, got keys and values of earlier "
                "ones as its inputs. Export the model without a cache."
            )

    return expect


def _expect_written(node: Any, constants: Constants) -> None:
    """With PROBIT onnxruntime leaves the second of two scores unwritten."""
    for one in node.attribute:
        if one.name == "post_transform" and (one.s == b"PROBIT" or one.ref_attr_name):
            raise ModelRefused(
                f"Expected {quoted(node.op_type)} with probabilities by SOFTMAX or LOGISTIC, got "
                "PROBIT: onnxruntime may leave its result unwritten. Export the model without it."
            )


_DEMANDS: Mapping[tuple[str, str], Callable[[Any, Constants], None]] = {
    ("", "Attention"): _without(4, 5),
    ("", "BatchNormalization"): _expect_no_training,
    ("ai.onnx.ml", "LinearClassifier"): _expect_written,
    ("ai.onnx.ml", "SVMClassifier"): _expect_written,
    ("ai.onnx.ml", "TreeEnsembleClassifier"): _expect_written,
    ("com.microsoft", "Attention"): _without(4, 6),
    ("com.microsoft", "MultiHeadAttention"): _without(6, 7, 8, 9),
    ("com.microsoft", "QAttention"): _without(8),
}


def _is_off(dropout: Any, constants: Constants) -> bool:
    """Whether a Dropout does nothing: its third input is left out, or is a constant False."""
    wanted = dropout.input[2] if len(dropout.input) > 2 else ""
    if not wanted:
        return True
    off = constants.get(wanted)
    return off is not None and not (
        off.data_type != _BOOL or any(off.int32_data) or any(off.raw_data) or off.external_data
    )
