"""Imported by the fork server: MLflow's PyTorch flavour without Lightning.

`mlflow.pytorch` imports Lightning if it is installed, for its autolog alone; with torchmetrics and
torchvision behind it that takes longer than all else that a worker needs. A worker whose model is
of Lightning imports Lightning itself. Importing this module is all that there is to do.
"""

import sys

_LIGHTNING = "pytorch_lightning"  # the name by which MLflow imports it

if _LIGHTNING in sys.modules:
    import mlflow.pytorch
else:
    sys.modules[_LIGHTNING] = None  # type: ignore[assignment]  # Python: importing it fails
    try:
        import mlflow.pytorch  # noqa: F401
    finally:
        del sys.modules[_LIGHTNING]
