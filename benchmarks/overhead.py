"""The time that an audit adds to its passes: processes, Prefect, MLflow, figures, pictures."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from networks import DATA, RESNET5, network

from flows.terminal.environment import quieten

_SAMPLES = 10_000
_MASKS_A_SECOND = 12_000  # a rough rate, from which the number of images follows


def overhead(folder: str, seconds: float = 440) -> list[str]:
    """Markdown lines, from one audit through Prefect whose passes take about `seconds`.

    The audit takes about ten minutes on 2 cores; the goal is to add 5 % of that or less."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as temporary:
        root = Path(temporary)
        quieten(prefect_home=root / "prefect")
        uri = _registered(folder, root)
        setup = time.perf_counter() - started
        images = max(1, round(seconds * _MASKS_A_SECOND / _SAMPLES))
        from audits import parse_config
        from audits.execution.session import Session
        from flows.audit import audited

        config = parse_config({**_config(root, images), "model": uri})
        with _timed(Session, "_measured") as measuring, _timed(Session, "_find_plan") as finding:
            result = audited(config)
    total = time.perf_counter() - started - setup
    if any(evidence.status != "ok" for evidence in result.evidence):
        raise RuntimeError(f"Expected an audit that ran, got: {result.verdict.reason}")
    passes, tuning = sum(measuring), sum(finding)
    rest = total - passes - tuning
    return [
        f"An audit of {images} images with {_SAMPLES:,} accepted masks each took {total:.0f} s: "
        f"passes {passes:.0f} s, tuning {tuning:.0f} s, and all the rest (processes, "
        f"Prefect, MLflow, figures, pictures) {rest:.0f} s, {rest / total:.1%}. "
        f"{result.evidence[0].sentence}"
    ]


@contextmanager
def _timed(kind: type, name: str) -> Iterator[list[float]]:
    """Seconds that each call of a method takes."""
    real, seconds = getattr(kind, name), list[float]()

    def timed(*arguments: object) -> object:
        began = time.perf_counter()
        result = real(*arguments)
        seconds.append(time.perf_counter() - began)
        return result

    setattr(kind, name, timed)
    try:
        yield seconds
    finally:
        setattr(kind, name, real)


def _config(root: Path, images: int) -> dict[str, object]:
    return {
        "data": {"kind": "torchvision", "dataset": "MNIST", "root": str(DATA)},
        "store": str(root / "store"),
        "checks": [{"kind": "random_fill", "samples": _SAMPLES, "images": images}],
    }


def _registered(folder: str, root: Path) -> str:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    mlflow.create_experiment("training", artifact_location=(root / "artifacts").as_uri())
    mlflow.create_experiment("audits", artifact_location=(root / "audits").as_uri())
    mlflow.set_experiment("training")
    with mlflow.start_run():
        info = mlflow.pytorch.log_model(
            network(RESNET5, Path(folder)),
            name="model",
            input_example=np.zeros((2, 1, 28, 28), np.float32),
            metadata={"classes": [str(digit) for digit in range(10)]},
            pip_requirements=["torch"],
            registered_model_name="resnet5",
        )
    return f"models:/resnet5/{info.registered_model_version}"
