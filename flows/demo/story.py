"""The demo: two versions with the same accuracy, of which one has learnt its classes."""

import hashlib
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, cast

import mlflow
import numpy as np
import torch
import yaml
from mlflow.entities import Run
from rich import box
from rich.console import Console
from rich.table import Table

from audits import AuditConfig, AuditResult, parse_config
from audits.data.sources import Digits, load
from audits.report.answer import answer
from flows.demo.train import train
from flows.terminal.console import show_progress
from flows.terminal.streams import OUT
from flows.terminal.verdict import word

log = logging.getLogger(__name__)

NAME = "digits"


@dataclass(frozen=True)
class Recipe:
    """How one version is trained."""

    title: str
    noise: float  # largest standard deviation of the noise on inputs in [0, 1]
    seed: int
    epochs: int = 40


def recipes(seed: int) -> tuple[Recipe, Recipe]:
    """The demo's two versions: the same training without and with noise on the inputs."""
    return Recipe("plain", 0.0, seed), Recipe("noise on inputs", 1.5, seed)


def demo(
    folder: Path, seed: int = 0, *, audit: Callable[[AuditConfig], AuditResult]
) -> list[tuple[Recipe, AuditResult]]:
    """Trains, registers and audits two versions; all files go to `folder`.

    `audit` runs one audit. Returns each version's recipe and audit.
    """
    started = time.monotonic()
    console = Console(file=cast("IO[str]", OUT), highlight=False, markup=False)
    progress = show_progress()
    folder = folder.resolve()
    uri = own_registry(folder)
    config = folder / "audit.yaml"
    config.write_text(files("flows.demo").joinpath("audit.yaml").read_text(encoding="utf-8"))

    versions = [(recipe, registered(recipe, folder)) for recipe in recipes(seed)]
    values = yaml.safe_load(config.read_text()) | {"store": str(folder / "store")}
    configs = [parse_config({**values, "model": f"models:/{NAME}/{v}"}) for _, v in versions]
    results = [(recipe, audit(c)) for (recipe, _), c in zip(versions, configs, strict=True)]
    progress.done()
    console.print(_table(results))
    for _, result in results:
        told = answer(result.verdict, result.evidence)
        console.print(f"{result.model}: {told.sentence}", soft_wrap=True)
    pictures = [copied_picture(result, folder) for _, result in results]

    client = mlflow.MlflowClient()
    for _, result in results:
        if result.verdict.word == "passed" and result.model.version:
            client.set_registered_model_alias(NAME, "champion", result.model.version)
            console.print(f"Alias champion is on {result.model}.")
    console.print(f"Policy    {config}", soft_wrap=True)
    for picture in pictures:
        console.print(f"Pictures  {picture}", soft_wrap=True)
    console.print(f"Done in {time.monotonic() - started:.0f} s. See it all in the MLflow UI:")
    command = Path(sys.executable).parent / "mlflow"
    console.print(f"{command} ui --backend-store-uri {uri}", soft_wrap=True)
    return results


def registered(recipe: Recipe, folder: Path) -> str:
    """The number of the version of this recipe; trains and registers the version if it is new."""
    client = mlflow.MlflowClient()
    key = hashlib.sha256(repr(asdict(recipe)).encode()).hexdigest()
    for version in client.search_model_versions(f"name = '{NAME}'"):
        if version.tags.get("demo.recipe") == key:
            log.info("%s v%s is there already", NAME, version.version)
            return str(version.version)

    data = load(Digits(split="train"))
    images = data.tensor(range(len(data)))
    mean, std = float(images.mean()), float(images.std())
    net = train(
        images,
        torch.tensor(data.labels),
        noise=recipe.noise,
        seed=recipe.seed,
        epochs=recipe.epochs,
        mean=mean,
        std=std,
        name=f"training {NAME} ({recipe.title})",
    )
    log.info("registering %s (%s)", NAME, recipe.title)
    with mlflow.start_run(
        experiment_id=training_experiment(folder), run_name=f"{NAME}, {recipe.title}"
    ):
        mlflow.log_params(asdict(recipe))
        info = mlflow.pytorch.log_model(
            net,
            name=NAME,
            input_example=images[:2].numpy().astype(np.float32),
            metadata={"classes": list(data.classes), "mean": [mean], "std": [std]},
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
        )
    if not client.search_registered_models(f"name = '{NAME}'"):
        client.create_registered_model(NAME)
    made = client.create_model_version(
        NAME, info.model_uri, run_id=info.run_id, tags={"demo.recipe": key}, model_id=info.model_id
    )
    return str(made.version)


def own_registry(folder: Path) -> str:
    """Makes `folder` and its own MLflow registry the current one; returns the registry's URI."""
    folder.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return uri


def training_experiment(folder: Path) -> str:
    """The id of the demo's experiment of trained models, whose files go to `folder`."""
    found = mlflow.get_experiment_by_name("training")
    if found is not None:
        return found.experiment_id
    return mlflow.create_experiment(
        "training", artifact_location=(folder / "mlartifacts" / "training").as_uri()
    )


def _table(results: list[tuple[Recipe, AuditResult]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("version", "accuracy", "macro F1", "consistency", "its null", "verdict"):
        table.add_column(heading, no_wrap=True)
    for recipe, result in results:
        metrics = {k: m for e in result.evidence for k, m in e.named_estimates.items()}
        consistency = metrics["progressive_fill/accuracy"]
        table.add_row(
            f"{result.model}\n{recipe.title}",
            f"{metrics['performance/accuracy'].value:.3f}",
            f"{metrics['performance/f1_macro'].value:.3f}",
            f"{consistency.value:.3f}\n{consistency.low:.3f} to {consistency.high:.3f}",
            f"{metrics['progressive_fill/accuracy_null'].value:.3f}",
            word(result.verdict.word),
        )
    return table


def copied_picture(result: AuditResult, folder: Path) -> Path:
    """Copies the contact sheet to `folder`/pictures; returns the copy."""
    client = mlflow.MlflowClient()
    run: Run = client.get_run(result.run_id)
    target = folder / "pictures"
    target.mkdir(exist_ok=True)
    source = Path(client.download_artifacts(run.info.run_id, "contact_sheet.png"))
    copy = target / f"{result.model.name}_v{result.model.version}.png"
    copy.write_bytes(source.read_bytes())
    return copy
