"""Classifier: any network as a function from images in [0, 1] to logits."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from fillblanks.autograd_graph import reaches
from fillblanks.batches import Rounding, differing, distinct, repeated
from fillblanks.memory import is_short
from fillblanks.precision import rounding_of
from fillblanks.spot_checks import Asked, SpotChecks
from fillblanks.state import Changed, State

PerChannel = float | Sequence[float]


class Classifier:
    """A network together with its own normalisation, so that masks live in pixel space.

    `net` maps float images (N, C, H, W) to logits (N, K). `mean` and `std` are those of its
    training, a number or one number a channel: the network is given `(images - mean) / std`.
    `classes` are the K names in the order of the logits. `constant` promises that the network's
    weights will not change any more: copies of them that are made for speed are then kept. `dtype`
    is that of the images that the network is given, by default that of its first weight. The
    network's own device is used; nothing of it is changed outside `steady()`.

    Raises ValueError unless std > 0, `mean` and `std` have one length or the length 1, and `dtype`
    is a float.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        mean: PerChannel = 0.0,
        std: PerChannel = 1.0,
        classes: Sequence[str] | None = None,
        constant: bool = False,
        dtype: torch.dtype | None = None,
    ):
        self.net = net
        parameter = next(net.parameters(), None)
        self.device = torch.device("cpu") if parameter is None else parameter.device
        own = torch.get_default_dtype() if parameter is None else parameter.dtype
        self.dtype = own if dtype is None else dtype
        if not self.dtype.is_floating_point:
            raise ValueError(
                f"Expected a float dtype of images, got {self.dtype}. Cast them in the network."
            )
        self.mean = self._per_channel(mean)
        self.std = self._per_channel(std)
        if not (self.std > 0).all():
            raise ValueError(f"Expected std > 0, got {std}.")
        if self.mean.numel() != self.std.numel() and 1 not in (self.mean.numel(), self.std.numel()):
            raise ValueError(f"Expected mean and std of one length, got {mean} and {std}.")
        self.classes = None if classes is None else tuple(classes)
        self.constant = constant
        self.engines: dict[Any, Any] = {}  # kept by engine_of, if the classifier is constant
        self.spot_checks = SpotChecks()  # shared with other forms of the network
        self.name = ""  # of a network that answers beside another one, in messages
        self.reduced = False  # whether the network is a form of less precision

    def _per_channel(self, value: PerChannel) -> Tensor:
        tensor = torch.as_tensor(value, dtype=self.dtype, device=self.device)
        return tensor.reshape(-1, 1, 1)

    def with_net(
        self, net: nn.Module, dtype: torch.dtype, *, reduced: bool = False
    ) -> "Classifier":
        """This classifier with another form of its network, of `dtype`, on the same device."""
        other = copy.copy(self)
        other.net, other.dtype, other.reduced = net, dtype, reduced
        other.mean, other.std = self.mean.to(dtype), self.std.to(dtype)
        return other

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) in [0, 1]; differentiable.

        Raises RowsTouch if `spot_checks` are active and find that rows touch.
        """
        inputs = self.normalised(images)
        if not self.spot_checks.draws(inputs):
            return self.net(inputs)
        reduced = self.reduced or torch.is_autocast_enabled(inputs.device.type)
        return self.spot_checks.look(Asked(self.net, inputs, self.rounding, reduced))

    def normalised(self, images: Tensor) -> Tensor:
        """What `net` is given for `images` (N, C, H, W) in [0, 1]: the same shape."""
        return (images - self.mean) / self.std

    def predict(self, images: Tensor) -> Tensor:
        """The predicted class of images (N, C, H, W), int64 (N,); -1 if a logit is not finite."""
        with torch.no_grad():
            return predicted_class(self(images))

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Evaluation mode and frozen weights inside; afterwards the network is as it was.

        On a GPU cuDNN takes kernels that give the same bytes each time; by default it may not.

        The shared network is changed for that time, so two threads must not enter at once. Raises
        Changed, a ValueError, at the end if the network has changed a parameter, a buffer or a
        tensor in an attribute of its own: a network with a memory can repeat its first answer, and
        its answers depend on their order. If the classifier has a `name`, torch's random numbers
        then go on as if it had drawn none.
        """
        modes = [(module, module.training) for module in self.net.modules()]
        frozen = [p for p in self.net.parameters() if p.requires_grad]
        deterministic = torch.backends.cudnn.deterministic
        sequence = torch.get_rng_state() if self.name else None
        try:
            torch.backends.cudnn.deterministic = True
            # Exported programs refuse eval(): their mode was fixed at their export.
            with suppress(NotImplementedError):
                self.net.eval()
            for parameter in frozen:
                parameter.requires_grad_(False)
            before = State.of(self.net)
            yield
            if changed := before.changed(State.of(self.net)):
                raise Changed(
                    f"Expected {self.name or 'a network'} that stays as it is while it answers, "
                    f"got one that changed its {changed}. Remove that memory.",
                    self.name,
                )
        finally:
            if sequence is not None:
                torch.set_rng_state(sequence)
            torch.backends.cudnn.deterministic = deterministic
            for parameter in frozen:
                parameter.requires_grad_(True)
            for module, mode in modes:
                module.training = mode

    def to_input(self, images: Tensor) -> Tensor:
        """`images` on the network's device and in its dtype.

        Raises ValueError unless they are a float (N, C, H, W) with N >= 1 and lie in [0, 1].
        """
        if not isinstance(images, Tensor):
            raise ValueError(f"Expected images as a torch tensor, got {type(images).__name__}.")
        if images.ndim != 4 or 0 in images.shape:
            raise ValueError(
                f"Expected images of shape (N, C, H, W) with N >= 1, got {tuple(images.shape)}."
            )
        if not images.is_floating_point():
            raise ValueError(
                f"Expected float images in [0, 1], got {images.dtype}. Convert to float and divide "
                "by 255."
            )
        channels = max(self.mean.numel(), self.std.numel())
        if channels not in (1, images.shape[1]):
            raise ValueError(
                f"Expected images of {channels} channels, as mean and std have, got "
                f"{images.shape[1]}."
            )
        low, high = images.min().item(), images.max().item()
        if not (low >= 0 and high <= 1):
            cure = " Divide by 255." if low >= 0 and 1 < high <= 255 else ""
            worst = f"a maximum of {high}" if high > 1 else f"a minimum of {low}"
            raise ValueError(f"Expected images in [0, 1], got {worst}.{cure}")
        return self.to_device(images)

    def to_device(self, images: Tensor) -> Tensor:
        """`images`, of any shape and range, on the network's device and in its dtype."""
        return images.detach().to(self.device, self.dtype)

    def probe(self, images: Tensor, rows: int = 4) -> int:
        """Runs some of `images`, (N, C, H, W) in [0, 1], and returns K, the number of classes.

        Raises ValueError as `expect_logits` does, and if there is no gradient at the input.
        """
        count = self.expect_logits(images, rows)
        if not self.has_gradient(images):
            raise ValueError(
                "Expected a network whose logits have a gradient at its input, got one without. "
                "Take out no_grad, detach or numpy on the way."
            )
        return count

    def has_gradient(self, images: Tensor) -> bool:
        """Whether logits of the first of `images`, (N, C, H, W) in [0, 1], depend on it for torch.

        No gradient is computed. The network must run without one.
        """
        with torch.inference_mode(False), torch.enable_grad():
            first = images[:1].clone().requires_grad_(True)
            try:
                return reaches(self._run(first), first)
            except ValueError:  # numpy refuses tensors that require a gradient
                return False

    def expect_logits(self, images: Tensor, rows: int = 4, *, only_classes: bool = False) -> int:
        """Runs some of `images`, (N, C, H, W) in [0, 1], and returns K, the number of classes.

        Up to 32 of them are run, alone (the first one twice), in a batch of `rows`, 2 at least, and
        in others of another order and size, see `fillblanks.batches`. Raises ValueError
        unless the output is logits (N, K), finite for the first image, K >= 2 and as many as the
        class names, not probabilities, and the same for every image each time, alone and in a batch
        (every gradient here relies on that). "The same" is within 0.1 % of the largest logit or 1,
        or within eight steps of rounding if the network's weights are in half precision or
        quantized. With `only_classes` logits have no meaning but which is the largest: then
        predicted classes are the same.
        """
        with torch.no_grad():
            rows = max(rows, 2)
            some = distinct(images, rows)
            batch = repeated(some, rows)
            alone, again = self._run(batch[:1]), self._run(batch[:1])
            try:
                logits = self._run(batch)
            except ValueError as error:
                raise ValueError(
                    "Expected a network that takes batches of any size, got one that takes 1 image "
                    f"and not {len(batch)}. If it was exported or logged, do it again with an "
                    f"example of at least 2 rows. ({error})"
                ) from error
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(batch):
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(
                f"Expected logits of shape ({len(batch)}, K), got {got}. Wrap the network so that "
                "it returns one row of logits an image."
            )
        count = logits.shape[1]
        if count < 2:
            raise ValueError(
                f"Expected logits of at least 2 classes, got {count}. Give a single-output network "
                "a second logit of 0."
            )
        if self.classes is not None and count != len(self.classes):
            raise ValueError(
                f"Expected logits of {len(self.classes)} classes, as there are class names, got "
                f"{count}."
            )
        if not logits[0].isfinite().all():
            raise ValueError(
                "Expected finite logits, got NaN or infinity. Check the weights, mean and std."
            )
        finite = logits[logits.isfinite().all(1)]
        sums = finite.float().sum(1)
        if finite.min() >= 0 and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
            raise ValueError(
                "Expected logits, got probabilities (no value below 0, rows that sum to 1). Take "
                "the network without its final softmax."
            )
        tolerance = self.rounding.share * float(finite.abs().max().clamp(min=1))
        if (again - alone).abs().max() > tolerance:
            raise ValueError(
                "Expected the same logits for an image each time, got different ones. Was the "
                "network exported in training mode? Call net.eval() before it is logged."
            )
        with torch.no_grad():
            others = differing(
                self._run,
                some,
                logits,
                self.rounding,
                only_classes=only_classes,
            )
        if others:
            raise ValueError(
                "Expected the same logits for an image alone and in a batch, got different ones "
                f"for {others} of {len(some)} images. Was the network exported in training mode? "
                "Call net.eval() before it is logged. If not, its numbers are so large that they "
                "lose the answer by rounding: use float64, or scale the features."
            )
        return count

    @property
    def rounding(self) -> Rounding:
        """By how much answers of an image may differ with its batch."""
        return rounding_of(self.net)

    def _run(self, images: Tensor) -> Tensor:
        try:
            return self(images)
        except (RuntimeError, AssertionError, ValueError) as error:
            if is_short(error):
                raise
            first = str(error).strip().splitlines()[0]
            raise ValueError(
                f"Expected a network that takes {len(images)} image(s) of shape "
                f"{tuple(images.shape[1:])}, got {type(error).__name__}: {first}"
            ) from error


def predicted_class(logits: Tensor) -> Tensor:
    """The argmax of each row of logits (N, K), int64 (N,); -1, no class, if one is not finite."""
    return torch.where(logits.isfinite().all(1), logits.argmax(1), -1)
