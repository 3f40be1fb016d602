"""The demo of photographs: an ImageNet network fills blanks, and another reads the fills."""

import logging
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, cast

import mlflow
import numpy as np
import torch
import yaml
from rich.console import Console

from audits import AuditConfig, AuditResult, parse_config
from audits.report.answer import answer
from flows.demo import imagenet
from flows.demo.story import copied_picture, own_registry, training_experiment
from flows.terminal.console import show_progress
from flows.terminal.streams import OUT

log = logging.getLogger(__name__)


def demo_photos(
    folder: Path,
    *,
    audit: Callable[[AuditConfig], AuditResult],
    pair: imagenet.Pair | None = None,
    changed: Callable[[dict[str, Any]], dict[str, Any]] = lambda values: values,
) -> AuditResult:
    """Registers a network and its reference, and audits it on photographs, all in `folder`.

    `audit` runs the audit. `pair` names the two networks, by default those whose weights are here.
    `changed` gives the config that is run for the config of the demo. Raises AuditError if a
    package of the extra `photos` is missing.
    """
    imagenet.expect_packages()
    started = time.monotonic()
    console = Console(file=cast("IO[str]", OUT), highlight=False, markup=False)
    progress = show_progress()
    folder = folder.resolve()
    uri = own_registry(folder)
    pair = pair or imagenet.pair()
    values = changed(
        {
            "model": f"models:/{pair.model}/{_registered(pair.model, folder)}",
            "reference": f"models:/{pair.reference}/{_registered(pair.reference, folder)}",
            "data": {
                "kind": "folder",
                "path": str(imagenet.write_photographs(folder / "photographs")),
            },
            **yaml.safe_load(files("flows.demo").joinpath("photos.yaml").read_text("utf-8")),
            "store": str(folder / "store"),
        }
    )
    config = folder / "audit.yaml"
    config.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    result = audit(parse_config(values))
    progress.done()
    for one in result.evidence:
        console.print(f"{one.check}: {one.sentence}", soft_wrap=True)
    told = answer(result.verdict, result.evidence)
    console.print(f"{result.model}, {told.word}: {told.sentence}", soft_wrap=True)
    if told.note:
        console.print(told.note, soft_wrap=True)
    console.print(f"Reference {pair.reference}. {pair.told}", soft_wrap=True)
    console.print(f"Config    {config}", soft_wrap=True)
    if any(one.pictures for one in result.evidence):
        console.print(f"Pictures  {copied_picture(result, folder)}", soft_wrap=True)
    console.print(f"Done in {time.monotonic() - started:.0f} s. See it all in the MLflow UI:")
    command = Path(sys.executable).parent / "mlflow"
    console.print(f"{command} ui --backend-store-uri {uri}", soft_wrap=True)
    return result


def _registered(name: str, folder: Path) -> str:
    """The number of the version of this network; registers it as pt2 if it is new."""
    for version in mlflow.MlflowClient().search_model_versions(f"name = '{name}'"):
        log.info("%s v%s is there already", name, version.version)
        return str(version.version)
    log.info("registering %s", name)
    experiment = training_experiment(folder)
    with mlflow.start_run(experiment_id=experiment, run_name=name):
        info = mlflow.pytorch.log_model(
            imagenet.network(name),
            name=name,
            # Of two images, so that a batch of any size can be given.
            input_example=np.zeros((2, 3, imagenet.SIDE, imagenet.SIDE), np.float32),
            metadata={
                "classes": list(imagenet.classes()),
                "mean": list(imagenet.MEAN),
                "std": list(imagenet.STD),
            },
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
            registered_model_name=name,
        )
    return str(info.registered_model_version)
