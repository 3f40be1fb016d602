"""What a call of the process that holds the model ended with: an answer, or an error told as text.

The text comes from a process that is not trusted: it is bounded, and free of control characters,
which a terminal would obey.
"""

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from audits.errors import AuditError, Contradicted, ModelRefused, NotApplicable, shortened
from audits.execution.wire import NotAnAnswer

REFUSALS: dict[str, type[AuditError]] = {
    kind.__name__: kind for kind in (NotApplicable, Contradicted, ModelRefused, AuditError)
}
"""Errors that arrive as they were raised, the most special first; all others are failures."""

_LONGEST_REASON = 400  # characters
_LONGEST_DETAIL = 20_000


class Raised(BaseModel):
    """An exception of the other process. `kind` is a name in REFUSALS, `lines` its arguments."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: str | None
    lines: list[str]
    reason: str
    detail: str
    memory: bool

    @property
    def refusal(self) -> AuditError | None:
        return REFUSALS[self.kind](*self.lines) if self.kind in REFUSALS else None


class Answer(NamedTuple):
    """Plain values and arrays of a bounded size, whose shape nobody has checked."""

    value: Any


def read(tree: Any) -> Answer | Raised:
    """What `tree`, the plain values of one message, says. Raises NotAnAnswer."""
    if isinstance(tree, dict) and set(tree) == {"answer"}:
        return Answer(tree["answer"])
    if not (isinstance(tree, dict) and set(tree) == {"raised"}):
        raise NotAnAnswer("neither an answer nor an error")
    try:
        found = Raised.model_validate(tree["raised"])
    except ValidationError as error:
        raise NotAnAnswer("an error without a reason") from error
    cut = {
        "reason": shortened(found.reason, _LONGEST_REASON),
        "detail": "\n".join(map(_printable, found.detail[-_LONGEST_DETAIL:].splitlines())),
    }
    return found.model_copy(update=cut)


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line)
