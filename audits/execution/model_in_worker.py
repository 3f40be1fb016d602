"""ModelInWorker: the model of one audit in its worker, opened again if its process was ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from audits.data import copies
from audits.execution import cell as cells
from audits.execution import child, other_kernels
from audits.execution.cell import Held
from audits.execution.inputs import AuditInputs, at_home
from audits.execution.other_kernels import Answered
from audits.execution.setting import Setting
from audits.execution.worker import Worker, WorkerFailure, of_type
from fillblanks import Plan

_TRIES = 10  # to find the model open: another audit may take its place each time


@dataclass
class Left:
    """The time that is left for all calls about one unit; opening the model does not count."""

    limit: float  # seconds
    used: float = 0.0


class ModelInWorker:
    """Opens the model of `inputs` in `worker`, and asks it. One thread at a time may call it."""

    def __init__(self, inputs: AuditInputs, worker: Worker):
        self._config, self._cell = inputs.config, inputs.cell
        self._worker = worker
        self._job = child.Job(
            at_home(inputs.config),
            inputs.files,
            inputs.reference_files,
            copies.copies(),
            tuple(inputs.version_files.values()),
        )
        self.held: Held | None = None  # the rights that the process of a cell lost

    def open(self) -> Setting:
        """Opens the model. Raises AuditError or WorkerFailure."""
        seconds = self._config.limits.load_seconds
        if self._cell.isolation == "none":
            self.held = Held(variables=False, network=False, files=False)
        else:  # asked first: afterwards the model could answer
            self.held = self._worker.call(
                cells.held, seconds=seconds, cell=self._cell, gives=Held | None
            )
        found: Setting = self._worker.call(
            child.open_model, self._job, seconds=seconds, cell=self._cell, gives=Setting
        )
        return found

    def ask_on_other_kernels(self, setting: Setting) -> None:
        """Asks the model as on other processors. Raises AuditError or WorkerFailure."""
        known: Answered | None = self.ask(None, other_kernels.answered, gives=Answered | None)
        for kernels in other_kernels.older() if known else ():
            with Worker(self._config.limits.memory_gib, kernels.variables) as worker:
                worker.call(
                    other_kernels.expect_same,
                    *(kernels, self._job.files, setting, known),
                    seconds=self._config.limits.load_seconds,
                    cell=self._cell,
                )

    def ask(
        self,
        plan: Plan | None,
        function: Callable[..., Any],
        *args: Any,
        gives: Any = None,
        left: Left | None = None,
    ) -> Any:
        """`function(opened, *args)`, as in `Worker.call`; opens the model if it is not open."""
        left = left or self.time_of_a_unit()
        for _ in range(_TRIES):
            if left.used >= left.limit:
                raise WorkerFailure(f"it took more than {left.limit:g} s in all and was stopped")
            started = time.monotonic()
            answer = self._worker.call(
                child.run,
                *(self._job.name, plan, function, *args),
                seconds=left.limit - left.used,
                cell=self._cell,
                gives=dict[str, Any],
            )
            left.used += time.monotonic() - started
            if "result" in answer:
                found = answer["result"]
                return found if gives is None else of_type(gives, found)
            self.open()  # the process that had it was ended, or another audit took its place
        raise WorkerFailure(f"the model was opened {_TRIES} times, and its process lost it again")

    def time_of_a_unit(self) -> Left:
        return Left(self._config.limits.unit_seconds)

    def restart(self) -> None:
        """Has the next call start another process, which opens the model anew."""
        self._worker.stop()

    def leave(self) -> None:
        """Ends the process if memory is limited: leftovers must not count for the next model."""
        if self._config.limits.memory_gib is not None:
            self._worker.stop()
