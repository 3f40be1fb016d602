"""Candidates: the versions of a sweep that are image classifiers, and what becomes of the others.

Only MLmodel is read, before any other file of a version is copied, and nothing is recorded. A
version whose tag says `passed` is looked at, whatever its MLmodel says. So is a version to which an
alias points if one of its audits has passed, since whoever can write its MLmodel may be able to
write its tags.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from mlflow.entities.model_registry import ModelVersion

from audits.config.audit import AuditConfig
from audits.errors import AuditError
from audits.models import foreign, registry
from audits.models.mlmodel import described
from audits.models.registry import Resolved
from audits.models.status import left_alone
from audits.models.trust import trust_in
from audits.tracking import finder, reader
from audits.tracking.tags import VERDICT_TAG

_AT_ONCE = 8  # questions to MLflow


@dataclass(frozen=True)
class Candidate:
    """A version that a sweep looks at, as it was when the sweep began."""

    model: Resolved
    tags: Mapping[str, str]
    refused: str = ""  # why it would be refused, which MLmodel alone says
    unread: str = ""  # why its MLmodel cannot be read, so that nobody knows what it is

    @property
    def uri(self) -> str:
        """Its URI with name and number."""
        return self.model.uri


@dataclass(frozen=True)
class Candidates:
    """The versions that a sweep looks at, and how many it leaves alone for which reason."""

    rows: tuple[Candidate, ...]
    left_alone: Mapping[str, int] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """The versions that are left alone, in words; "" if there are none."""
        return left_alone_told(self.left_alone)


def candidates(
    versions: Sequence[ModelVersion], config: AuditConfig, *, named: bool = False
) -> Candidates:
    """Tells image classifiers from all other models by their MLmodel alone.

    `named` says that somebody has chosen the versions by the name of their model; see
    `audits.models.foreign.why_left_alone`.
    """
    aliased = registry.versions_of_alias()
    experiment_id = reader.id_of(config.experiment)

    def found_out(version: ModelVersion) -> Candidate | str:
        in_use = (version.name, str(version.version)) in aliased
        return _sorted(version, config, named, in_use, experiment_id)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(found_out, versions))
    left = Counter(one for one in found if isinstance(one, str))
    return Candidates(tuple(one for one in found if isinstance(one, Candidate)), left)


def left_alone_told(counts: Mapping[str, int]) -> str:
    """How many versions a sweep leaves alone for which reason, the most first; "" if none."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{count:,} {reason}" for reason, count in ordered)
    return f"left alone: {told}" if told else ""


def _sorted(
    version: ModelVersion, config: AuditConfig, named: bool, in_use: bool, experiment_id: str | None
) -> Candidate | str:
    """The version, or why it is left alone."""
    if reason := left_alone(version, in_use):
        return reason
    model, tags = registry.pinned(version), version.tags
    try:
        conf = described(model)
        reason = foreign.why_left_alone(conf, config.served, named=named)
    except AuditError as error:
        return Candidate(model, tags, unread=str(error))
    if reason and not _relied_on(model, tags, experiment_id if in_use else None):
        return reason
    try:
        trust = trust_in(model, config.trust_pickle_sha256)
        foreign.expect_not_refused(conf, trust, config.served)
    except AuditError as error:
        return Candidate(model, tags, refused=str(error))
    return Candidate(model, tags)


def _relied_on(model: Resolved, tags: Mapping[str, str], experiment_id: str | None) -> bool:
    """Whether an audit has passed, by the version's tags or by runs of the experiment.

    Who has changed a version that people rely on may have made it look foreign. A verdict without
    a run is a tag of somebody else's.
    """
    if tags.get(VERDICT_TAG) == "passed" and reader.run_of(tags) is not None:
        return True
    return experiment_id is not None and finder.has_passed(model, experiment_id)
