"""The 1,000 classes of ImageNet (ILSVRC 2012): their wnids, their order and their names."""

import re
from functools import cache
from importlib import resources

_WNID = re.compile(r"n\d{8}(?!\d)")


def split_wnid(name: str) -> tuple[str, str]:
    """The wnid at the start of a name, or "", and the rest: "tabby" of `n02123045_tabby`."""
    found = _WNID.match(name)
    if found is None:
        return "", name
    return found[0], name[found.end() :].lstrip(" _-.,:;\t")


@cache
def wnids() -> dict[str, int]:
    """The index of each class by its wnid; networks have their logits in this order."""
    text = resources.files("audits.models").joinpath("imagenet_wnids.txt").read_text("ascii")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {wnid: index for index, wnid in enumerate(lines)}


@cache
def english() -> tuple[str, ...]:
    """The names that torchvision gives to the classes, in the order of the logits."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
