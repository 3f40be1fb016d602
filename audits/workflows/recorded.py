"""Takes the config of a new audit from the record of another one in MLflow.

A person who can write to MLflow writes records too. So a record decides on figures alone: it names
no place whose files would be read and told here, no code, no trust, no isolation, and no place for
what is recorded or stored.
"""

from typing import Any

from audits.checks.registered import is_ours, places_of_kind
from audits.config.audit import EXPERIMENT
from audits.data.sources import comes_with_a_library
from audits.errors import AuditError, quoted
from audits.models.registry import Resolved
from audits.tracking import reader

TAKEN = ("data", "checks", "preprocessing", "engine", "reference", "versions", "seed")
"""The keys of a config that are taken from a record; they decide the figures."""

_PLACES = ("path", "root", "run", "dataset")


def config_of(baseline: Resolved) -> dict[str, Any]:
    """Plain values of the keys `TAKEN`, from the standing audit of `baseline` in `EXPERIMENT`.

    Raises AuditError if no audit can be verified, or if its config names a place of data or of a
    check, a file of class names, or a check of another package.
    """
    found = reader.standing(baseline)
    if found is None:
        raise AuditError(
            f"Expected an audit of {baseline} whose config can be taken, found none in the "
            f"experiment {quoted(EXPERIMENT)} that can be verified. Audit it, or give --config."
        )
    config = found.content.config
    own = (
        f"Give --config FILE; the recorded config is audit.yaml of run {found.run_id}: read it "
        "before you use it."
    )
    whose = f"in the config of the audit of {baseline}"
    data = config.data.plain
    kind = data.get("kind")
    if not comes_with_a_library(kind):
        place = next((data[key] for key in _PLACES if data.get(key) is not None), "no place")
        raise AuditError(
            f"Expected data that come with a library {whose}, got {quoted(kind)} at "
            f"{quoted(place)}: only your own config names files to be read. {own}"
        )
    if config.preprocessing.get("classes_file"):
        raise AuditError(f"Expected class names {whose}, got a classes_file. {own}")
    for check in config.checks:
        if not is_ours(check.get("kind")):
            raise AuditError(
                f"Expected checks of fillblanks {whose}, got {quoted(check.get('kind'))}: only "
                f"your own config names checks of other packages. {own}"
            )
        for name in places_of_kind(check.get("kind")):
            if check.get(name) is not None:
                raise AuditError(
                    f"Expected no {name} in a check {whose}, got {quoted(check[name])}: only your "
                    f"own config names files to be read. {own}"
                )
        training = check.get("training")
        kind = training.get("kind") if isinstance(training, dict) else training
        if training is not None and not comes_with_a_library(kind):
            raise AuditError(
                f"Expected a training set that comes with a library {whose}, got {quoted(kind)}: "
                f"only your own config names files to be read. {own}"
            )
    values: dict[str, Any] = {key: getattr(config, key) for key in TAKEN}
    # Without the seed of the baseline's secret sample: what is drawn for this audit must be new.
    values["data"] = {key: value for key, value in data.items() if key != "sample_seed"}
    return values
