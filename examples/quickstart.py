# %% [markdown]
# # What has a network learnt?
#
# Two networks are trained on scikit-learn's digits: one plainly, one with noise on its inputs. Both
# get most test digits right. Then each fills in the blanks of masked digits, and a picture shows
# what it draws. `fillblanks` alone is used: tensors in, tensors out; MLflow is not needed.
#
#     pip install 'fillblanks' scikit-learn matplotlib
#     python examples/quickstart.py a_folder      # under a minute on a laptop
#
# Editors that know `# %%` show this file as a notebook.

# %%
import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

import fillblanks

parser = argparse.ArgumentParser(description="What have two networks learnt of digits?")
parser.add_argument("folder", type=Path, help="the picture digits.png is written there")
folder = parser.parse_args().folder

# %% [markdown]
# ## Data
#
# Images are float (N, C, H, W) in [0, 1]; labels are int64 (N,).

# %%
digits = load_digits()
images = torch.from_numpy(digits.images / 16).float()[:, None]
images = functional.interpolate(images, scale_factor=2, mode="nearest")  # 8x8 -> 16x16
labels = torch.from_numpy(digits.target)
train, test = train_test_split(np.arange(len(labels)), test_size=450, random_state=0)

# %% [markdown]
# ## Two networks
#
# They differ in one thing: the noise that is added to the images in training.


# %%
def trained(noise: float) -> nn.Module:
    """A small convolutional network; `noise` is the largest standard deviation on its inputs."""
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 4 * 4, 10)),
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.003)
    for _ in range(12):
        for rows in torch.randperm(len(train)).split(64):
            inputs = images[train[rows]]
            strength = torch.rand(len(rows), 1, 1, 1) * noise
            inputs = inputs + torch.randn_like(inputs) * strength
            loss = functional.cross_entropy(net(inputs), labels[train[rows]])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval()


# %% [markdown]
# ## Fills
#
# `expected_fill` blanks a quarter of the patches at random, many times, and averages the update
# that the network asks for where it cannot see. The prototype is that average in black and white.
#
# `progressive_fill` fills an image quarter by quarter, until every pixel is the network's own. The
# number is the share of all test images that are predicted right with the first quarter blank, and
# still are when every pixel is filled.

# %%
names = [str(n) for n in range(10)]
chosen = [next(int(i) for i in test if labels[i] == n) for n in range(10)]
drawn: dict[str, Tensor] = {"image": images[chosen]}
for title, noise in (("plain", 0.0), ("noise on inputs", 1.0)):
    classifier = fillblanks.Classifier(trained(noise), classes=names)
    right = classifier.predict(images[test]) == labels[test]
    fill = fillblanks.progressive_fill(classifier, images[test], labels[test], patch_size=2)
    kept = fill.found & (classifier.predict(fill.prototype) == labels[test])
    print(f"{title}: accuracy {right.double().mean():.3f}, own fills {kept.double().mean():.3f}")
    drawn[title] = fillblanks.expected_fill(
        classifier, images[chosen], labels[chosen], patch_size=2, samples=500
    ).prototype

# %% [markdown]
# ## The picture
#
# The first row has the images, the others what each network draws for them.

# %%
figure, axes = plt.subplots(len(drawn), 10, figsize=(10, 1.1 * len(drawn)))
for line, (title, pictures) in zip(axes, drawn.items(), strict=True):
    for axis, picture in zip(line, pictures, strict=True):
        axis.imshow(picture[0], cmap="gray", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(title, rotation=0, ha="right", va="center")
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "digits.png", dpi=120, bbox_inches="tight")
print(f"Wrote {folder / 'digits.png'}")
