"""convert: a registered model as a pt2, registered as a new version that points back."""

import logging
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from audits.config.audit import AuditConfig
from audits.data import sources
from audits.data.artifact_stores import expect_known
from audits.errors import AuditError
from audits.execution import conversion
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import Worker, WorkerFailure
from audits.models import registry
from audits.models.contract import InputContract
from audits.models.files import inspect
from audits.models.form import Bounds
from audits.models.preprocessing import Preprocessing
from audits.models.registry import Resolved
from audits.models.texts import read_mlmodel
from audits.workflows.possible import expect_isolation
from audits.workflows.resolved import with_sample

log = logging.getLogger(__name__)

CONVERTED_TAG = "converted_from"
# The new signature has these, or they are those of the new network.
_SETTLED = {"channels", "height", "width", "layout", "dtype", "outputs", "classes"}
_REPLACED = ("mean", "std", "classes", "preprocessing", "pretrained_cfg")  # keys of the metadata


@dataclass(frozen=True)
class Converted:
    """The new version, and how closely it answers as the old one does."""

    source: Resolved
    uri: str
    images: int  # on which both were compared
    difference: float  # the largest of a logit

    def __str__(self) -> str:
        return (
            f"{self.uri} is {self.source.uri} as a pt2: on {self.images} images no logit differs "
            f"by more than {self.difference:.2g}."
        )


def convert(config: AuditConfig, name: str | None = None) -> Converted:
    """Exports `config.model` as a pt2 for any number of images, and registers that.

    The model is opened, fed and read as an audit with this config does it; its pt2 must give the
    same logits on the config's images. The new version belongs to the registered model `name`, by
    default that of the old version. Raises AuditError if the model cannot be opened or exported,
    and if something that decides its answers was named by nobody.
    """
    alone = {"device": "cpu", "baseline": None, "reference": None, "versions": ()}
    config = with_sample(config.model_copy(update=alone))
    expect_isolation(config)
    model = registry.resolve(config.model)
    images = sources.load(config.data)
    try:
        with (
            Worker(config.limits.memory_gib) as worker,
            tempfile.TemporaryDirectory(prefix="fillblanks-") as folder,
            AuditInputs(config, model, images, writable=folder) as inputs,
        ):
            if inputs.questions:
                raise AuditError(" ".join(inputs.questions))
            metadata = _metadata(inputs.files.folder, inputs.files.contract)
            with Session(inputs, worker) as session:
                for note in session.notes:
                    log.warning(note)
                _expect_exportable(session)
                target = str(Path(folder) / "model")
                compared, difference = session.ask(
                    conversion.save_pt2, target, metadata, gives=tuple[int, float]
                )
            worker.stop()  # a thread of the model could exchange files that were looked at
            inspect(Path(target), Preprocessing())  # the pt2 is one that an audit opens
            uri = _registered(model, Path(target), name or model.name, compared, difference)
    except WorkerFailure as error:
        raise AuditError(f"Expected a model that runs, but {error.reason.rstrip('.')}.") from error
    return Converted(model, uri, compared, difference)


def _expect_exportable(session: Session) -> None:
    setting = session.setting
    if setting.lacks("gradients"):
        raise AuditError(
            f"Expected a model that torch can export, got one that gives only {setting.gives}. "
            "Audit it as it is: checks that need no gradient apply."
        )
    form = setting.model.outputs
    if form.bounds != Bounds():
        cure = (
            "Export the network itself with an example of 2 rows."
            if form.at_a_time
            else "Audit it as it is, or export the network itself with a batch that has no bounds."
        )
        raise AuditError(
            f"Expected a model that takes any number of images, got one that takes {form.rows}. "
            f"{cure}"
        )


def _metadata(folder: str, contract: InputContract) -> dict[str, Any]:
    """The old metadata, with every field of the contract that a source names."""
    kept = dict(read_mlmodel(Path(folder)).metadata or {})
    for key in _REPLACED:
        kept.pop(key, None)
    values = contract.to_json()
    named = {name: values[name] for name in sorted(contract.sources.keys() - _SETTLED)}
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in named.items()}
    classes = {} if contract.classes is None else {"classes": list(contract.classes)}
    return {**kept, **classes, "preprocessing": plain}


def _registered(source: Resolved, folder: Path, name: str, images: int, difference: float) -> str:
    """Logs the folder as a model and registers it; returns the URI of the version."""
    client = mlflow.MlflowClient()
    try:
        experiment = (
            client.get_logged_model(source.model_id).experiment_id if source.model_id else "0"
        )
        expect_known(client.get_experiment(experiment).artifact_location)
        logged = client.create_logged_model(experiment, name="model")
        try:
            client.log_model_artifacts(logged.model_id, str(folder))
        except BaseException:  # Ctrl-C as well: what is there is no whole model
            with suppress(MlflowException):  # the first error is the one to tell
                client.finalize_logged_model(logged.model_id, "FAILED")
            raise
        client.finalize_logged_model(logged.model_id, "READY")
        version = mlflow.register_model(
            f"models:/{logged.model_id}", name, tags={CONVERTED_TAG: source.uri}
        )
        client.update_model_version(
            name,
            version.version,
            f"{source.uri} as a pt2. On {images} images no logit differs by more than "
            f"{difference:.2g}.",
        )
    except MlflowException as error:
        raise AuditError(f"Expected to register the pt2, but {error.message}") from error
    return f"models:/{name}/{version.version}"
