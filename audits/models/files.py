"""Reads a model's files and refuses files that must not be loaded.

This runs in the auditing process and never loads the model; `loading` loads it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow.models import Model

from audits.data.fit import Fit
from audits.errors import AuditError, ModelRefused, few
from audits.models import carried_names, served
from audits.models.carried_names import Carried
from audits.models.class_names import distinct, names_of_config
from audits.models.contract import InputContract, Said, expect_agreement, merged
from audits.models.flavours.base import Flavour, inside
from audits.models.flavours.columns import expect_in_order
from audits.models.flavours.registered import flavour_named, preferred
from audits.models.folder import (
    WRITTEN_BY_CLIENT,
    digest_of,
    expect_plain,
    sha256_by_path,
    sha256_of,
)
from audits.models.metadata import said_by_metadata
from audits.models.own_names import expect_own_order
from audits.models.own_steps import expect_one_value, without_decided
from audits.models.preprocessing import Preprocessing
from audits.models.pretrained_cfg import said_by_pretrained_cfg
from audits.models.signature import logits_of, said_by_signature
from audits.models.texts import BROKEN, read_mlmodel
from audits.models.trust import NO_TRUST, Trust, expect_trusted_code


@dataclass(frozen=True)
class ModelFiles:
    """Facts about a model that its files give without being loaded."""

    folder: str
    data: str  # the file or folder of the model itself, inside `folder`
    flavour: str  # the format in which it is loaded
    digest: str  # sha256 of the whole folder and of the flavour
    trusted: bool  # whether loading it may run code, which the auditor has allowed
    contract: InputContract
    loaded: str | None = None  # sha256 of what is loaded, if that is written anew from the files
    logits: int | None = None  # their number, from the signature
    named: bool = False  # whether the auditor trusts its name, so that all it brings may run
    sha256: Mapping[str, str] = field(default_factory=dict)  # of each file, by its relative path
    unserved: tuple[str, ...] = ()  # what the folder holds besides, by the config's leave
    warnings: tuple[str, ...] = ()  # sentences about class names that differ
    carried: Carried = ()  # lists of texts, of which some may name the classes

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the logits in their order; None if no source names them."""
        return self.contract.classes


def inspect(
    folder: Path,
    preprocessing: Preprocessing,
    trust: Trust = NO_TRUST,
    served_as: Sequence[str] = (),
) -> ModelFiles:
    """Reads a model's files without loading them. Raises ModelRefused if they must not be loaded.

    `preprocessing` is the config's, and so is `served_as`, the flavours of its `served`: without
    them a model that can be loaded in several ways is refused. Without `trust` a model that can run
    code is refused.
    """
    files = _read(folder, preprocessing, trust, served_as)
    if not served_as:
        served.expect_one(flavour_named(files.flavour), files.unserved)
    return files


def _read(
    folder: Path, preprocessing: Preprocessing, trust: Trust, served_as: Sequence[str]
) -> ModelFiles:
    try:
        expect_plain(folder)
        return _inspect(folder, preprocessing, trust, served_as)
    except AuditError:
        raise
    except BROKEN as error:
        reason = " ".join(str(error).split())
        raise ModelRefused(
            f"Expected an MLflow model whose MLmodel can be read, got {type(error).__name__}: "
            f"{reason}"
        ) from error


def _inspect(
    folder: Path, preprocessing: Preprocessing, trust: Trust, served_as: Sequence[str]
) -> ModelFiles:
    try:
        conf = read_mlmodel(folder)
    except FileNotFoundError as error:
        _expect_network(folder)
        raise ModelRefused("Expected an MLflow model with a file MLmodel, found none.") from error
    flavours = dict(conf.flavors)
    flavour = preferred(flavours, served_as)
    runs_code = _has_code(folder, flavours, trust)
    data = flavour.data(folder, conf)
    running = flavour.running_files(data)
    for file in running:
        _expect_trust(file, trust)
    loaded = flavour.check(data, trusted=bool(running))
    _expect_not_overwritten(folder, [data, *flavour.parts(data)])
    sha256 = sha256_by_path(folder)
    contract, warnings = _contract(folder, conf, flavour, preprocessing)
    return ModelFiles(
        folder=str(folder),
        data=str(data),
        flavour=flavour.name,
        digest=digest_of(sha256, flavour.digested),
        loaded=loaded,
        trusted=bool(running or runs_code),
        contract=contract,
        warnings=warnings,
        carried=(*carried_names.of_model(conf), *flavour.carried(folder, conf)),
        logits=logits_of(conf),
        named=trust.by_name,
        sha256=sha256,
        unserved=served.others(folder, conf, flavour, data, sha256),
    )


def _expect_not_overwritten(folder: Path, parts: Sequence[Path]) -> None:
    """Raises ModelRefused if the model reads a file that MLflow's client writes into its copies."""
    if (folder / WRITTEN_BY_CLIENT).resolve() in {part.resolve() for part in parts}:
        raise ModelRefused(
            f"Expected the model's data in files of other names, got {WRITTEN_BY_CLIENT}, over "
            "which MLflow writes when it copies the model. Log the model again."
        )


def _has_code(folder: Path, flavours: Mapping[str, Any], trust: Trust) -> bool:
    """Whether the model brings modules of its own. Raises ModelRefused if they must not run."""
    named = expect_trusted_code(flavours, trust)
    for code in named.values():
        inside(folder, code)
    return bool(named)


def _expect_network(folder: Path) -> None:
    """Raises ModelRefused if the folder holds weights without a network."""
    if (folder / "state_dict.pth").exists():
        raise ModelRefused(
            "Expected an MLflow model, got a state_dict.pth, which has weights and no network. "
            "Log the network itself with mlflow.pytorch.log_model."
        )


def _contract(
    folder: Path, conf: Model, flavour: Flavour, preprocessing: Preprocessing
) -> tuple[InputContract, tuple[str, ...]]:
    """The contract, and warnings about class names. Raises ModelRefused."""
    named = {**preprocessing.contract_fields, "classes": names_of_config(preprocessing)}
    config = Said("the config", named)
    metadata = conf.metadata or {}
    files = flavour.said(folder, conf)
    cfg = said_by_pretrained_cfg(metadata.get("pretrained_cfg"))
    by_metadata = said_by_metadata(metadata)
    expect_one_value(by_metadata, cfg)
    own = [without_decided(cfg, files), files]
    told = [without_decided(by_metadata, files)]
    said = [config, *told, *own] if preprocessing.overrides else [*told, *own, config]
    signature = flavour.signed(said_by_signature(conf), files)
    expect_in_order(conf)
    expect_agreement(said, signature)
    # Without overrides the config speaks for another model, or for models without names.
    warnings = expect_own_order([config, *told] if preprocessing.overrides else told, own)
    return merged([*said, signature]), warnings


def inspect_beside(
    name: str, folder: Path, model: ModelFiles, classes: Sequence[str], trust: Trust = NO_TRUST
) -> ModelFiles:
    """Like `inspect`, for another model that is asked beside `model`. Raises ModelRefused.

    `name` is for messages: "reference". `classes` are those of the audited model's logits, in their
    order.
    """
    try:
        # It is served to nobody in this audit: it may have further flavours.
        files = _read(folder, Preprocessing(), trust, ())
    except ModelRefused as error:
        raise ModelRefused(f"{name}: {error}") from error
    if files.classes and distinct(files.classes) != tuple(classes):
        raise ModelRefused(
            f"Expected a {name} with the classes of the audited model in the same order "
            f"({few(classes)}), got {few(files.classes)}."
        )
    own, other = model.contract.fit, files.contract.fit
    if own.has_size and other.has_size and _shape(own) != _shape(other):
        raise ModelRefused(
            f"Expected a {name} for images of the audited model's shape {_shape(own)}, got "
            f"{_shape(other)}."
        )
    return files


def _shape(fit: Fit) -> tuple[int | None, int | None, int | None]:
    return fit.channels, fit.height, fit.width


def _expect_trust(file: Path, trust: Trust) -> None:
    sha256 = sha256_of(file)
    if not trust.covers(sha256):
        given = f", not {', '.join(one[:8] for one in trust.sha256)}" if trust.sha256 else ""
        raise ModelRefused(
            f"Expected a model that runs no code, got {file.name}, which can run any code when "
            "loaded. Have it logged as pt2; or, if you trust all who can register models under its "
            f"name, {trust.name_line}; or review the file and set trust_pickle_sha256: "
            f"{sha256}{given}"
        )
