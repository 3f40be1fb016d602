"""Exports the open model as a pt2. This runs in the child process that holds the model."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from audits.errors import ModelRefused
from audits.execution.child import Opened
from audits.models.adapter import NETWORK_ERRORS, AdaptedNet

_COMPARED = 64  # images
_TOLERANCE = 1e-4  # of the largest logit


def save_pt2(opened: Opened, folder: str, metadata: dict[str, Any]) -> tuple[int, float]:
    """Writes the model into the new `folder` as MLflow's pytorch flavour does, in pt2.

    The pt2 takes images as the model's contract says but float32 or float64 (N, C, H, W), any
    number at a time, and gives logits (N, K). The pt2 is loaded again and compared: returns the
    number of images and the largest difference of a logit. Raises ModelRefused if
    torch.export does not take the network, or if the pt2 does not answer the same.
    """
    import mlflow.pytorch
    from mlflow.exceptions import MlflowException

    audit, classifier = opened.context, opened.context.classifier
    chosen = audit.images.sampled_order(audit.seed)[:_COMPARED]
    pixels = classifier.to_input(audit.images.tensor(chosen))
    inputs = classifier.normalised(pixels)
    example = torch.zeros((2, *inputs.shape[1:]), dtype=inputs.dtype)
    with classifier.steady(), torch.no_grad():
        wanted = classifier.net(inputs.clone())  # a network may write into its own
        try:
            mlflow.pytorch.save_model(
                _exportable(classifier.net, example),
                folder,
                input_example=example.numpy(),
                serialization_format="pt2",
                metadata=metadata,
                pip_requirements=[f"torch=={torch.__version__.split('+')[0]}"],
            )
        except (*NETWORK_ERRORS, MlflowException) as error:
            first = (str(error).strip() or "no message").splitlines()[0]
            raise ModelRefused(
                f"Expected a network that torch.export takes, got {type(error).__name__}: {first}. "
                "Audit it as it is, or rewrite that part of the network."
            ) from error
        found = mlflow.pytorch.load_model(folder)(inputs)
    difference = float((found - wanted).abs().max())
    if not difference <= _TOLERANCE * float(wanted.abs().max().clamp(min=1)):
        raise ModelRefused(
            f"Expected a pt2 that answers as the model does, got logits that differ by up to "
            f"{difference:.3g} on {len(chosen)} images. Nothing was registered."
        )
    return len(chosen), difference


def _exportable(net: nn.Module, example: Tensor) -> nn.Module:
    """The network, or one that computes the same if torch.export does not take its kind."""
    if isinstance(net, AdaptedNet):
        inner = _exportable(net.net, net.adaptation.inputs.given(example))
        if inner is not net.net:
            net = copy.copy(net)
            net._modules = {**net._modules, "net": inner}
        return net
    if not isinstance(net, torch.jit.ScriptModule):
        return net
    # The only way from TorchScript to a graph that can be exported; a private name of torch, so a
    # later release may lack it.
    try:
        from torch._export.converter import TS2EPConverter
    except ImportError as error:
        raise ModelRefused(
            f"Expected a torch that turns TorchScript into a graph, got {torch.__version__}. "
            "Export the network itself, from Python."
        ) from error
    return TS2EPConverter(net, (example,)).convert().module()
