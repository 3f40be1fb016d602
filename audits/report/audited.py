"""Audited: all that the report says about an audit beside its verdict and its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from audits.checks.base import Check
from audits.evidence.evidence import Evidence
from audits.verdict.words import Word

Role = Literal["candidate", "baseline"]


@dataclass(frozen=True)
class BaselineShown:
    """The baseline of an audit, as the report shows it."""

    title: str  # "models:/digits/1"
    evidence: Sequence[Evidence] = ()
    classes: Sequence[str] = ()


@dataclass(frozen=True)
class OtherPage:
    """The page of the other one of the two models that an audit with a baseline is about."""

    role: Role  # of the other model
    title: str  # "digits v1"
    word: Word  # its verdict
    told: str  # the verdict for people, "passed, 1 waived"
    file: str  # the name of its page, in the folder of this one
    url: str = ""  # of its page in MLflow; "" if MLflow has no address that a browser could open


@dataclass(frozen=True)
class Audited:
    """The model, the data, the run, and all that is needed to repeat the audit."""

    title: str  # "digits v2"
    uri: str = ""  # "models:/digits/2"
    date: str = ""  # "2026-11-26"
    data: str = ""  # the name of the data set
    images: int = 0  # in the data set
    run_id: str = ""
    run_url: str = ""  # "" if MLflow has no address that a browser could open
    without_isolation: bool = False
    classes: Sequence[str] = ()  # in the order of the model's logits
    baseline: BaselineShown | None = None
    other: OtherPage | None = None  # None: the audit is about one model
    checks: Sequence[Check] = ()
    notes: Sequence[str] = ()
    left_out: Sequence[str] = ()  # sentences about images that were left out
    contract: Sequence[tuple[str, str, str]] = ()  # fields of the input: name, value, source
    config: str = ""  # YAML
    repeat: Sequence[tuple[str, str]] = ()  # versions and digests by their name

    @property
    def role(self) -> Role | None:
        """Which of two models the page is about; None if the audit is about one."""
        if self.other is None:
            return None
        return "candidate" if self.other.role == "baseline" else "baseline"
