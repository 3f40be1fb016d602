"""PYTHONPATH=benchmarks python -m paper.choose: figures by which sigma, epochs and T are chosen.

They are measured on the last 10,000 training images of MNIST, on which no network here is trained;
test images are not used. A training takes some minutes; networks are kept in --folder.
"""

import argparse
from itertools import product
from pathlib import Path

import pandas as pd

from fillblanks import Classifier, expected_fill, progressive_fill, threshold
from paper.protocol import MASK_RATIO, NETWORKS, PATCH_SIZE, STANDARD
from paper.recipes import Recipe, network, pictures
from paper.tables import markdown

_CUTS = (0.05, 0.1, 0.15, 0.2, 0.3)
_RANDOM_IMAGES, _SAMPLES = 300, 500


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m paper.choose", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--network", choices=NETWORKS, default="ResNet5")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.9, 1.5, 2.0, 3.0, 4.0])
    parser.add_argument("--epochs", type=int, nargs="+", default=[6, 8, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    for noise, epochs, seed in product(options.noise, options.epochs, options.seeds):
        count = STANDARD.training_images
        recipe = Recipe("MNIST", options.network, noise, seed, count, epochs)
        print(
            f"sigma {noise:g}, {epochs} epochs, seed {seed}\n\n{_figures(recipe, options.folder)}\n"
        )


def _figures(recipe: Recipe, folder: Path) -> str:
    """A line for each T: shares of held-out training images, in per cent."""
    images, labels = pictures(recipe.dataset, train=True)
    images, labels = images[recipe.images :], labels[recipe.images :]
    classifier = Classifier(network(recipe, folder), constant=True)
    drawn, true = images[:_RANDOM_IMAGES], labels[:_RANDOM_IMAGES]
    options = {"mask_ratio": MASK_RATIO, "patch_size": PATCH_SIZE}
    fill = expected_fill(classifier, drawn, true, samples=_SAMPLES, **options)
    everywhere = drawn > -1
    rows = []
    for cut in _CUTS:
        seen = classifier.predict(threshold(fill.update.nan_to_num(), everywhere, binarise=cut))
        end = progressive_fill(classifier, images, labels, patch_size=PATCH_SIZE, binarise=cut)
        last = classifier.predict(end.prototype)
        rows.append(
            {
                "T": f"> {cut}",
                "random prototype": 100 * ((seen == true) & fill.found).float().mean().item(),
                "progressive": 100 * (last == end.label).float().mean().item(),
                "true class": 100 * (last == labels).float().mean().item(),
            }
        )
    accuracy = (classifier.predict(images) == labels).float().mean().item()
    return f"accuracy {100 * accuracy:.1f}\n\n{markdown(pd.DataFrame(rows))}"


if __name__ == "__main__":
    main()
