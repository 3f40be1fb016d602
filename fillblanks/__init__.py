"""Ask an image classifier to fill in the blanks (De Silva et al. 2024, arXiv 2411.10273).

The method: tensors in, tensors out. It needs torch and numpy and touches no file and no network.
"""

from fillblanks.calibration import Calibration, calibrate
from fillblanks.classifier import Classifier
from fillblanks.engine import find_device
from fillblanks.fill import Fill, expected_fill, progressive_fill
from fillblanks.inputs import fill_regions
from fillblanks.memory import OutOfMemory
from fillblanks.nulls import shuffled
from fillblanks.plan import Plan, default_plan
from fillblanks.second_order import second_order
from fillblanks.threshold import threshold
from fillblanks.update import first_order

__version__ = "0.1.0"

__all__ = [
    "Calibration",
    "Classifier",
    "Fill",
    "OutOfMemory",
    "Plan",
    "calibrate",
    "default_plan",
    "expected_fill",
    "fill_regions",
    "find_device",
    "first_order",
    "progressive_fill",
    "second_order",
    "shuffled",
    "threshold",
]
