"""Settings of the measurements. They were fixed before a figure of these images was looked at.

The recipe is `Recipe.of`, the default of `fillblanks.complete`. It was chosen on the 20 photographs
of foolbox and 4 of scikit-image and scikit-learn, and on the first 12 test images of each class of
CIFAR-10 and MNIST. No such image is among those that are filled here.
"""

from dataclasses import dataclass

SEED = 0  # of blanks, foils and steps
SIDE = 224  # pixels of photographs
ONE_STEP = 0.5  # how far the largest pixel goes in a fill of one step
SEEN = 20  # test images of each class that are left out, since the first 12 chose the recipe
SMALL = ("CIFAR10", "FashionMNIST", "MNIST")
LABEL_NOISE = 0.4
NOISE = {"CIFAR10": 0.5, "FashionMNIST": 1.5, "MNIST": 1.5}  # largest deviation, images in [0, 1]
REFERENCE_NOISE, REFERENCE_SEED = 0.1, 100


@dataclass(frozen=True)
class Size:
    """The extent of the measurements."""

    steps: int
    photographs: int  # that each of the three networks of ImageNet fills
    null_photographs: int  # that networks without knowledge fill
    of_groups: int  # photographs that the fine-tuned heads fill
    of_class: int  # test images of each class of the small data sets
    test_images: int  # for the accuracy of small networks
    training_images: int  # of a small network; as many others for its reference
    under_trained: int  # images, for one epoch
    spectrum: int  # training images that give the spectrum of a small data set
    epochs: dict[str, int]


STANDARD = Size(
    steps=32,
    photographs=48,
    null_photographs=24,
    of_groups=36,
    of_class=20,
    test_images=1_000,
    training_images=20_000,
    under_trained=2_000,
    spectrum=2_000,
    epochs={"CIFAR10": 12, "FashionMNIST": 4, "MNIST": 3},
)
QUICK = Size(
    steps=4,
    photographs=6,
    null_photographs=6,
    of_groups=6,
    of_class=3,
    test_images=200,
    training_images=2_000,
    under_trained=200,
    spectrum=100,
    epochs=dict.fromkeys(SMALL, 1),
)
