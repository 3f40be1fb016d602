"""A verdict becomes the state of a flow run here, and the state gives its verdict back."""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Failed


class NotPassed(Exception):
    """A verdict that is not `passed`; Prefect raises this if somebody waits for the flow run."""

    def __init__(self, message: str, outcome: object):
        super().__init__(message, outcome)  # both, so that it can be pickled
        self.outcome = outcome

    def __str__(self) -> str:
        return str(self.args[0])


def not_passed(word: str, message: str, outcome: object) -> State[Any]:
    """A state that is named after the verdict, and whose message is the reason.

    `Failed` is of type FAILED. `Undecided` is of type CANCELLED: the model may be good, and Prefect
    shows the run in grey, not in red.
    """
    state = Failed if word == "failed" else Cancelled
    return state(name=word.capitalize(), message=message, data=NotPassed(message, outcome))


def outcome_of(state: State[Any]) -> Any:
    """The result of a flow, whatever the verdict; raises what the flow raised."""
    result = state.result(raise_on_failure=False)
    if isinstance(result, NotPassed):
        return result.outcome
    if isinstance(result, BaseException):
        raise result
    return result
