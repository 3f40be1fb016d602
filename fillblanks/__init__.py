"""Ask an image classifier to fill in the blanks (De Silva et al. 2024, arXiv 2411.10273).

The method: tensors in, tensors out. It needs torch and numpy, and touches no file and no network.
Everything public is importable from here; classifier.py, masks/, engine/, fills/, synthesis/
and attribution/ hold it.
"""

from fillblanks.classifier import Classifier
from fillblanks.engine.engine import find_device
from fillblanks.engine.plan import Plan, default_plan
from fillblanks.engine.tuning import Tuning
from fillblanks.fills.expected import expected_fill
from fillblanks.fills.fill import Fill
from fillblanks.fills.first_order import first_order
from fillblanks.fills.nulls import shuffled
from fillblanks.fills.progressive import progressive_fill
from fillblanks.fills.second_order import second_order
from fillblanks.fills.threshold import threshold
from fillblanks.fills.tune import tune
from fillblanks.masks import fill_regions
from fillblanks.memory import OutOfMemory
from fillblanks.synthesis.complete import Completion, complete
from fillblanks.synthesis.recipe import Recipe
from fillblanks.synthesis.spectrum import Spectrum

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "Completion",
    "Fill",
    "OutOfMemory",
    "Plan",
    "Recipe",
    "Spectrum",
    "Tuning",
    "complete",
    "default_plan",
    "expected_fill",
    "fill_regions",
    "find_device",
    "first_order",
    "progressive_fill",
    "second_order",
    "shuffled",
    "threshold",
    "tune",
]
