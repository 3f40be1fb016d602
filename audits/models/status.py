"""The status of a version: whether MLflow has registered it, and whether it is still in use."""

from mlflow.entities.model_registry import ModelVersion

from audits.errors import AuditError, quoted

_READY = ("READY", "UNSPECIFIED")  # the second is of logged models from older servers
_ARCHIVED = "Archived"
_TAG = "deprecated"
_OFF = ("false", "no", "off", "0")  # values of the tag `deprecated` that switch it off
# Tags whose value says it; the last is the one that Unity Catalog has for all that it holds.
_VALUED_TAGS = ("status", "lifecycle", "system.certification_status")


def expect_ready(uri: str, status: object) -> None:
    """Raises AuditError unless MLflow's `status` of the model at `uri` says that it is all there.

    It is READY, or PENDING_REGISTRATION (PENDING), or FAILED_REGISTRATION (FAILED).
    """
    word = str(status)
    if word not in _READY:
        cure = "Wait until it is there." if word.startswith("PENDING") else "Register it again."
        raise AuditError(
            f"Expected a version that MLflow has registered, with status READY, got {uri} with "
            f"{quoted(word)}. {cure}"
        )


def deprecated_by(version: ModelVersion) -> str:
    """What says that a version is not to be used any more, in words; empty if nothing does.

    It is the stage Archived; the tag `deprecated`, unless its value is false, no, off or 0; or one
    of the tags `status`, `lifecycle` and `system.certification_status` with the value `deprecated`.
    """
    if version.current_stage == _ARCHIVED:
        return f"stage {_ARCHIVED}"
    tags = version.tags
    if _TAG in tags and tags[_TAG].strip().lower() not in _OFF:
        return f"tag {_TAG}: {quoted(tags[_TAG])}"
    for name in _VALUED_TAGS:
        if tags.get(name, "").strip().lower() == _TAG:
            return f"tag {name}: {tags[name].strip()}"
    return ""


def left_alone(version: ModelVersion, in_use: bool) -> str:
    """Why a sweep leaves a version out, in words that are the same for all of one kind; or empty.

    A deprecated version is looked at if it is `in_use`: an alias points to it. Whoever names the
    version itself has it audited as well.
    """
    if str(version.status) not in _READY:
        return f"status {version.status}"
    return _TAG if not in_use and deprecated_by(version) else ""
