"""The graph that autograd keeps of a computation."""

from torch import Tensor


def reaches(output: Tensor, leaf: Tensor) -> bool:
    """Whether the graph of a gradient of `output` ends at `leaf`, among others.

    `output.requires_grad` does not say so: a network may have parameters that cannot be frozen.
    """
    left, seen = [output.grad_fn], set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (
            "NotImplemented" in node.name()
        ):  # an operation without a derivative, as of quantized nets
            continue
        if getattr(node, "variable", None) is leaf:
            return True
        left += [following for following, _ in node.next_functions]
    return False
