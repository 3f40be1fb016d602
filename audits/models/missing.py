"""Packages and classes that a model needs and the environment lacks, told with the remedy."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from audits.errors import ModelRefused
from audits.models.texts import bounded_text

_REQUIREMENTS = "requirements.txt"  # MLflow writes it next to MLmodel
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_LOST = re.compile(r"Can't get attribute '([^']*)' on <module '([^']*)'")
# Modules whose distributions have other names; MLflow writes those of distributions.
_DISTRIBUTIONS = {
    "pil": ("pillow",),
    "cv2": ("opencv-python", "opencv-python-headless"),
    "sklearn": ("scikit-learn",),
    "skimage": ("scikit-image",),
    "yaml": ("pyyaml",),
    "pytorch-lightning": ("lightning",),
    "lightning": ("pytorch-lightning",),
}


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Around the load of the model in `folder`: says in one line which package or class is missing.

    Raises ModelRefused in place of errors of imports.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModelRefused(_no_module(error.name or str(error), folder)) from error
    except ImportError as error:
        raise ModelRefused(_other_release(error.name or "", str(error), folder)) from error
    except AttributeError as error:
        lost = _LOST.search(str(error))
        if lost is None:
            raise
        raise ModelRefused(_no_class(lost[1], lost[2], folder)) from error


def requirements(folder: Path) -> list[str]:
    """The lines of the model's requirements.txt that name a package, if it has the file."""
    file = folder / _REQUIREMENTS
    if not file.is_file():
        return []
    lines = [line.split(" #")[0].strip() for line in bounded_text(file).splitlines()]
    return [line for line in lines if _NAME.match(line)]


def _no_module(module: str, folder: Path) -> str:
    if module.split(".")[0] == "__main__":
        return _no_class(module, "__main__", folder)
    needed = _requirement(module, folder)
    if needed is not None:
        return (
            f"Expected the package of {module!r}, which the model needs, found none. "
            f"Run pip install '{needed}'."
        )
    return (
        f"Expected the module {module!r}, which the model needs, found none, and the model's "
        f"{_REQUIREMENTS} does not name it. If it is a package, install it. If it is the trainer's "
        "own module, log the model as pt2, or with code_paths."
    )


def _other_release(module: str, reason: str, folder: Path) -> str:
    needed, here = _requirement(module, folder), _installed(module)
    cure = f"Run pip install '{needed}'." if needed else "Install the release it was logged with."
    return (
        f"Expected a release of {module.split('.')[0] or 'a package'} that fits the model, got "
        f"{here or 'another'}: {' '.join(reason.split())}. {cure}"
    )


def _no_class(name: str, module: str, folder: Path) -> str:
    if module == "__main__":
        return (
            f"Expected a pickle that can be loaded elsewhere, got one of {name!r}, a class of the "
            "training script itself. Log the model as pt2, with MLflow's default pickle module "
            "(cloudpickle), or with the class in a module under code_paths."
        )
    if _requirement(module, folder) or _installed(module):
        return _other_release(module, f"{module} has no {name!r}", folder)
    return (
        f"Expected {name!r} in the module {module!r}, which the model needs, found another module "
        "of that name. Log the model as pt2, or with code_paths."
    )


def _requirement(module: str, folder: Path) -> str | None:
    """The line of the model's requirements that gives the module."""
    top = _normal(module.split(".")[0])
    wanted = (top, *_DISTRIBUTIONS.get(top, ()))
    for line in requirements(folder):
        match = _NAME.match(line)
        if match is not None and _normal(match[1]) in wanted:
            return line
    return None


def _installed(module: str) -> str | None:
    top = _normal(module.split(".")[0])
    for name in (top, *_DISTRIBUTIONS.get(top, ())):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
