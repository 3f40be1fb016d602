"""Settings of the measurements. docs/paper.md lists changes that came after a test figure was seen.

Trainings and the threshold of T were chosen on the last 10,000 training images of MNIST, never on
test images (choose.py): noise of U(0, sigma) with sigma in .9, 1.5, 2, 3, 4, rates from .002 to
.009, 4 to 12 epochs, and T > .05, .1, .15, .2, .3.
"""

from dataclasses import dataclass, replace

MASK_RATIO, PATCH_SIZE = 0.25, 2
T_RANDOM, T_PROGRESSIVE = 0.05, 0.1  # T is white above this share of its maximum
DATASETS = ("MNIST", "FashionMNIST")
NETWORKS = ("ResNet5", "CNN3")
NOISE = {"ResNet5": 3.0, "CNN3": 1.5}  # the largest standard deviation, images in [0, 1]
REFERENCE_SEED = 100
# Table 1 of the paper, in per cent: accuracy, macro F1, weighted F1.
PAPER = {"random": (99, 99, 99), "progressive": (93, 93, 93)}


@dataclass(frozen=True)
class Size:
    """The extent of the measurements."""

    training_images: int
    epochs: dict[tuple[str, bool], int]  # of (network, with noise)
    seeds: tuple[int, ...]  # of the trainings
    mask_seeds: tuple[int, ...]  # on one network
    headline: int  # accepted masks an image, MNIST and ResNet5
    samples: int  # of all other rows
    null_samples: int  # of networks that have learnt nothing and accept few draws
    images: int  # test images of the random test
    progressive: int | None  # and of the progressive one; None: all
    convergence: tuple[int, ...]
    convergence_images: int
    open_images: int  # of the open points, in the progressive test
    grid_images: int  # of figures 4 to 6
    grid_samples: int
    second_order_samples: int
    colour_epochs: int
    colour_images: int
    colour_samples: int
    crops: int  # of each photograph


STANDARD = Size(
    training_images=50_000,
    epochs={("ResNet5", True): 6, ("CNN3", True): 6, ("ResNet5", False): 3, ("CNN3", False): 3},
    seeds=(0, 1, 2),
    mask_seeds=(0, 1, 2),
    headline=10_000,
    samples=1_000,
    null_samples=200,
    images=100,
    progressive=None,
    convergence=(1_000, 2_000, 5_000, 10_000),
    convergence_images=15,
    open_images=200,
    grid_images=30,
    grid_samples=300,
    second_order_samples=50,
    colour_epochs=12,
    colour_images=100,
    colour_samples=100,
    crops=2,
)
QUICK = Size(
    training_images=5_000,
    epochs=dict.fromkeys(STANDARD.epochs, 1),
    seeds=(0,),
    mask_seeds=(0,),
    headline=100,
    samples=50,
    null_samples=10,
    images=20,
    progressive=200,
    convergence=(20, 40),
    convergence_images=5,
    open_images=30,
    grid_images=10,
    grid_samples=8,
    second_order_samples=2,
    colour_epochs=1,
    colour_images=10,
    colour_samples=10,
    crops=1,
)
# With a GPU: 10,000 masks on all test images, for every row. Not run so far.
FULL = replace(STANDARD, samples=10_000, null_samples=10_000, images=10_000)
