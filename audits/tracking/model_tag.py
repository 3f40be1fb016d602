"""The tag of a registered model that tells the verdicts of its newest versions."""

import logging
import re
from typing import get_args

import mlflow
from mlflow.exceptions import MlflowException

from audits.errors import quoted
from audits.models import registry
from audits.models.registry import Resolved
from audits.tracking.tags import VERDICT_TAG, VERSIONS_TAG
from audits.verdict.words import Word

log = logging.getLogger(__name__)

_WORDS = (*get_args(Word), "running")
_TOLD = 6  # versions in the tag
_ONE = rf"v\d+ ({'|'.join(_WORDS)})"
_OWN = re.compile(rf"{_ONE}(, {_ONE})*(, and older ones)?")  # values that an audit wrote
_LOOKED_AT = 100  # newest versions


def tell_versions(model: Resolved) -> None:
    """Writes "v3 passed, v2 failed" as the tag of the registered model.

    It is for people alone, so a registry that refuses it does not change the audit. A tag of that
    name with another text is somebody else's, and stays.
    """
    if model.version is None:
        return
    client = mlflow.MlflowClient()
    try:
        newest = client.search_model_versions(
            registry.matching("name", model.name),
            max_results=_LOOKED_AT,
            order_by=["version_number DESC"],
        )
        told = [
            f"v{version.version} {version.tags[VERDICT_TAG]}"
            for version in newest
            if version.name == model.name and version.tags.get(VERDICT_TAG) in _WORDS
        ]
        if told:
            more = ", and older ones" if len(told) > _TOLD or newest.token else ""
            value = ", ".join(told[:_TOLD]) + more
            before = client.get_registered_model(model.name).tags.get(VERSIONS_TAG, value)
            if not _OWN.fullmatch(before):
                log.warning(
                    "The tag %s of %s was left as it is: %s is no list of verdicts.",
                    VERSIONS_TAG,
                    model.name,
                    quoted(before),
                )
                return
            client.set_registered_model_tag(model.name, VERSIONS_TAG, value)
    except (MlflowException, OSError) as error:
        log.warning("The tag %s of %s was not written: %s", VERSIONS_TAG, model.name, error)
