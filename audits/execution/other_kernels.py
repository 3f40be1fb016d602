"""Whether a model answers alike on the kernels that libraries choose on other processors.

torch, MKL and oneDNN have several kernels of one operator and choose by the processor when they
first compute, so that another choice needs another process. The process that holds the model gives
images and its answers; a new process opens the model and is asked for the same images. Kernels for
newer processors than this one cannot be tried.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from audits.execution.asking import Asking, steadily
from audits.execution.child import Opened
from audits.execution.server_settings import ON_THREADS, numbers_of_threads
from audits.execution.setting import Setting
from audits.models import loading
from audits.models.adapter import own_runtimes
from audits.models.files import ModelFiles
from audits.models.flavours.tables import TableNet
from audits.models.form import includes
from audits.models.opening import reopened

_IMAGES = 16  # at most


@dataclass(frozen=True)
class Kernels:
    """Kernels of other processors, and the variables by which libraries choose them."""

    name: str  # by which torch calls them
    form: str
    variables: Mapping[str, str]


_AVX512 = Kernels(
    "AVX512",
    "with the kernels of processors without AMX",
    {
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
    },
)
_AVX2 = Kernels(
    "AVX2",
    "with the kernels of processors without AVX-512",
    {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
)
_PLAIN = Kernels(
    "DEFAULT",
    "with the kernels of processors without AVX2",
    {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
    },
)
_OLDER = {"AVX512": (_AVX512, _AVX2), "AVX2": (_PLAIN,)}  # nearly no server has older ones


@dataclass(frozen=True)
class Answered:
    """Images, float (n, C, H, W) in [0, 1], and the logits (n, K) of the audited network."""

    images: Any  # arrays that the process of the model gives, and another one is given
    logits: Any
    classes: tuple[str, ...]


def older() -> tuple[Kernels, ...]:
    """The kernels of older processors than this one; none if it is not an x86 processor."""
    return _OLDER.get(torch.backends.cpu.get_cpu_capability(), ())


def answered(opened: Opened) -> Answered | None:
    """The answers to images at the opening; None if torch's kernels do not give them on the CPU."""
    net, images = opened.context.classifier.net, opened.first.images[:_IMAGES]
    others = own_runtimes(net) or any(isinstance(one, TableNet) for one in net.modules())
    if others or opened.context.classifier.device.type != "cpu":
        return None
    logits = opened.first.logits[: len(images)]
    return Answered(images.numpy(), logits.numpy(), opened.context.classes)


def expect_same(kernels: Kernels, files: ModelFiles, setting: Setting, known: Answered) -> None:
    """Opens the model with the `setting` of another process and asks it the `known` answers.

    Call it in a process that was started with the variables of `kernels`. Raises Contradicted if
    more images than rounding explains are answered otherwise.
    """
    if (chosen := torch.backends.cpu.get_cpu_capability()) != kernels.name:
        raise RuntimeError(f"Expected torch to choose kernels of {kernels.name}, got {chosen}.")
    net = loading.load(files, "cpu", known.classes)
    images, logits = torch.from_numpy(known.images), torch.from_numpy(known.logits)
    only_classes = not includes(setting.gives, "gradients")
    served = reopened(net, files.contract, setting.model, setting.dtype, logits.shape[1])
    for number, classifier in enumerate(served):
        with steadily(classifier):
            own = only_classes or number > 0  # rounding decides if logits are nearly equal
            asking = Asking.of(classifier, images, own, classifier.dtype)
            some = range(asking.few_of_settings)
            found = asking.answers(asking.inputs[: len(some)])
            asking.expect_same(found, kernels.form, some, logits)
            for form, inside in numbers_of_threads(classifier.net, many=False):
                with inside:
                    found = asking.answers(asking.inputs[:ON_THREADS])
                two = range(min(ON_THREADS, len(images)))
                asking.expect_same(found, f"{form} and {kernels.form}", two, logits)
