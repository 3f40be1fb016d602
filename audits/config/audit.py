"""AuditConfig: all settings of an audit. YAML maps to it one to one."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union

from pydantic import Field, field_validator, model_validator

from audits.checks._shared.several import one_or_several
from audits.checks.base import Check
from audits.checks.registered import check_classes
from audits.config.isolation import Isolation
from audits.config.policy import Policy
from audits.config.policy_names import compares, refusals
from audits.data.sources import AnyData
from audits.errors import AuditError, quoted
from audits.evidence.declaration import faults_in
from audits.evidence.metric import Metric
from audits.models.flavours.registered import NAMES
from audits.models.preprocessing import Preprocessing
from audits.strict import PlaceName, Strict
from fillblanks.engine.plan import MemoryFormat, Precision

if TYPE_CHECKING:
    AnyCheck = Check
else:
    AnyCheck = Annotated[Union[check_classes()], Field(discriminator="kind")]  # noqa: UP007

_MONTH = 30 * 24 * 3600  # seconds
_LEAST_SECONDS = 0.1
EXPERIMENT = "audits"
"""The experiment of MLflow in which audits are recorded if a config names none."""
_LONGEST_NAME = 256  # characters of an experiment's name, as MLflow's database has them
_MOST_GIB = 1 << 20
_MOST_ROWS = 1_000_000  # of a pass, or draws at once

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Limits(Strict):
    """Limits of the child process that holds the model; it is stopped if it exceeds them."""

    load_seconds: float = Field(default=300.0, ge=_LEAST_SECONDS, le=_MONTH)
    unit_seconds: float = Field(default=1800.0, ge=_LEAST_SECONDS, le=_MONTH)
    memory_gib: float | None = Field(default=None, gt=0, le=_MOST_GIB)


class EngineSettings(Strict):
    """How passes are run. A short tuning on the model finds settings that are not fixed here."""

    precision: Precision | None = None
    memory_format: MemoryFormat | None = None
    chunk: int | None = Field(
        default=None, gt=0, le=_MOST_ROWS, description="masked images in one pass"
    )
    block: int | None = Field(
        default=None,
        gt=0,
        le=_MOST_ROWS,
        description="draws whose masks are made and whose updates are summed at once",
    )
    fused: bool | None = Field(
        default=None, description="batch normalisation inside convolutions, ReLU in place"
    )
    captured: bool | None = Field(default=None, description="on a GPU: passes as one CUDA graph")

    @property
    def fixed(self) -> dict[str, Any]:
        """The fields of a plan that are fixed."""
        return self.model_dump(exclude_none=True)


class AuditConfig(Strict):
    """One audit: a registered model, a data set, checks and a policy."""

    model: str = Field(
        description="models:/name/3, models:/name@alias, models:/name/latest or models:/m-<id>"
    )
    served: tuple[str, ...] = Field(
        default=(),
        description="the flavour in which the model is served, which is the one that is audited: "
        "needed for a model that has others or further files; a list if the baseline has another",
    )
    data: AnyData
    checks: tuple[AnyCheck, ...]
    policy: Policy = Policy()
    preprocessing: Preprocessing = Preprocessing()
    limits: Limits = Limits()
    engine: EngineSettings = EngineSettings()
    reference: str | None = Field(
        default=None,
        description="models:/... of an independent model of the same classes, which is asked to "
        "recognise the fills too",
    )
    versions: tuple[str, ...] = Field(
        default=(),
        max_length=16,
        description="models:/... of other versions of the model, trained on other folds or with "
        "other seeds, with which `agreement` compares it; the audited one is left out",
    )
    baseline: str | None = Field(
        default=None,
        description="models:/... of the model that `max_drop` conditions compare with, measured "
        "on the same data with the same checks",
    )
    trust_pickle_sha256: tuple[Sha256, ...] = Field(
        default=(),
        description="sha256 of the pickled file that was reviewed and may be loaded; a list for "
        "several files (model, reference, baseline)",
    )
    environment: Literal["uv", "virtualenv"] | None = Field(
        default=None,
        description="whether a model whose name is trusted runs in an environment made from its "
        "requirements.txt, and by which tool; the auditor's own environment by default",
    )
    isolation: Isolation = Field(
        default="process",
        description="what keeps the model's process in: process, a cell made of what the kernel "
        "gives; bubblewrap or docker, which starts the process (the command bwrap or docker), and "
        "the cell inside; none, which the verdict then says",
    )
    docker_image: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9]",
        description="for isolation: docker, an image on this machine that has Python and the same "
        "release of fillblanks",
    )
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    experiment: str = EXPERIMENT
    store: PlaceName | None = Field(
        default=None, description="folder (any fsspec path) for finished units; a cache by default"
    )

    @field_validator("trust_pickle_sha256", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        if given is None:
            return ()
        # A strict tuple takes a list from JSON, but not from a validator.
        return (given,) if isinstance(given, str) else tuple(given)

    @field_validator("served", mode="before")
    @classmethod
    def _flavours(cls, given: Any) -> Any:
        if given is None:
            return ()
        names = tuple(given) if isinstance(given, list | tuple) else (given,)
        for name in names:
            if name not in NAMES:
                raise ValueError(f"expected {' or '.join(NAMES)}, got {quoted(name)}")
        return names

    @field_validator("versions", mode="before")
    @classmethod
    def _one_or_several_versions(cls, given: Any) -> Any:
        return one_or_several(given)

    @field_validator("versions")
    @classmethod
    def _each_version_once(cls, versions: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(versions)) < len(versions):
            raise ValueError(f"expected each version once, got {', '.join(versions)}")
        return versions

    @field_validator("experiment")
    @classmethod
    def _is_a_name(cls, experiment: str) -> str:
        fits = len(experiment) <= _LONGEST_NAME and experiment.isprintable()
        if not (experiment.strip() and fits):
            raise ValueError(
                f"expected the name of an experiment, up to {_LONGEST_NAME} characters that can be "
                f"printed, got {quoted(experiment)}"
            )
        return experiment

    @field_validator("checks")
    @classmethod
    def _names_differ(cls, checks: tuple[Check, ...]) -> tuple[Check, ...]:
        if not checks:
            raise ValueError("expected at least one check, got none")
        names = [check.name for check in checks]
        taken = {kind.model_fields["kind"].default for kind in check_classes()} | {"cost"}
        for check in checks:
            if check.label in taken - {check.kind}:
                raise ValueError(
                    f"a {check.kind} check must not be called {check.label!r}, a name that is taken"
                )
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two checks are called {name!r}; give one of them a 'label'")
        return checks

    @model_validator(mode="after")
    def _docker_has_an_image(self) -> Self:
        if (self.isolation == "docker") != (self.docker_image is not None):
            raise ValueError(
                "expected docker_image beside isolation: docker, and only there, got isolation: "
                f"{self.isolation} and docker_image: {self.docker_image}"
            )
        if self.isolation == "docker" and self.environment is not None:
            raise ValueError(
                "expected no environment with isolation: docker, got environment: "
                f"{self.environment}; install the model's packages in the image"
            )
        return self

    @model_validator(mode="after")
    def _versions_are_named(self) -> Self:
        asking = [check.name for check in self.checks if check.asks_versions]
        if asking and not self.versions:
            raise ValueError(
                f"expected versions beside the check {asking[0]}, which compares the model with "
                "them, got none: name them, as in versions: [models:/digits/1, models:/digits/2]"
            )
        if self.versions and not asking:
            raise ValueError(
                "expected versions only beside a check that compares the model with them, got "
                "none of these: add `kind: agreement` to checks, or leave versions out"
            )
        return self

    @model_validator(mode="after")
    def _conditions_can_be_judged(self) -> Self:
        refused = refusals(self.policy, self.declared, has_baseline=self.baseline is not None)
        if refused:
            raise ValueError("; ".join(refused))
        return self

    @property
    def declared(self) -> dict[str, dict[str, Metric]]:
        """The metrics that each check declares, by the name of the check.

        Raises ValueError, with the class of the check, if a declaration makes no sense.
        """
        return {check.name: _declared(check, self.reference is not None) for check in self.checks}

    @property
    def compares(self) -> bool:
        """Whether the policy has a condition on a drop below the baseline."""
        return compares(self.policy, self.declared)

    def with_policy(self, policy: Policy) -> Self:
        """This config with another policy. Raises AuditError if that can never be judged."""
        refused = refusals(policy, self.declared, has_baseline=self.baseline is not None)
        if refused:
            raise AuditError("; ".join(refused))
        return self.model_copy(update={"policy": policy})

    def passes(self, images: int) -> int:
        """The least number of passes in an audit of a data set with `images` images."""
        return sum(check.passes(min(images, check.images or images)) for check in self.checks)


def _declared(check: Check, reference: bool) -> dict[str, Metric]:
    kind = type(check)
    owner = f"{kind.__module__}.{kind.__qualname__}"
    try:
        declared = check.declared_metrics(reference)
    except Exception as error:  # of another package; told as bad input that names it
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"expected {owner} to declare its metrics, got {said}") from error
    if not isinstance(declared, dict) or not all(
        isinstance(metric, Metric) for metric in declared.values()
    ):
        raise ValueError(f"expected a dict of metrics from declared_metrics of {owner}")
    if faults := faults_in(declared):
        raise ValueError(f"expected metrics of {owner} that make sense, but {'; '.join(faults)}")
    return declared
