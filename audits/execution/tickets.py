"""Tickets: an audit as text, from which another process measures units of it.

A process that has the audit's session needs no ticket. Between processes and machines a ticket
binds the kind of device, its dtype and the release of torch; it does not bind the number of
threads (see `Setting`). The plan travels with it, so that all units of the audit are measured by
the plan that was decided when it began, and under the keys of the machine where it began.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from audits.config.reading import parse_config
from audits.data import sources
from audits.errors import AuditError
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session, Start
from audits.execution.setting import Setting
from audits.execution.worker import Worker
from audits.models.registry import Resolved
from fillblanks import Plan


def ticket_of(session: Session) -> str:
    """The ticket of an open session: JSON text."""
    return json.dumps(
        {
            "config": session.config.model_dump(mode="json"),
            "model": asdict(session.model),
            "inputs": session.inputs.digest,
            "start": asdict(session.start),
        }
    )


@contextmanager
def opened(ticket: str) -> Iterator[Session]:
    """Opens the audit of a ticket in a worker of its own, until the context is left.

    Raises AuditError if model or data are not those with which the audit began, or if the device is
    of another kind.
    """
    wanted = json.loads(ticket)
    config = parse_config(wanted["config"])
    setting = Setting.from_json(wanted["start"]["setting"])
    plan = Plan(**wanted["start"]["plan"])
    inputs = AuditInputs(config, Resolved(**wanted["model"]), sources.load(config.data))
    with inputs, Worker(config.limits.memory_gib) as worker:
        if inputs.digest != wanted["inputs"]:
            raise AuditError(
                "Expected the same model and data as where the audit began, got others here. Give "
                "all machines the same."
            )
        with Session(inputs, worker, Start(setting, plan)) as session:
            yield session


def measure_units(ticket: str, check: str, numbers: Sequence[int]) -> None:
    """Measures the units of a check with these numbers; their parts go to the audit's store.

    For an executor whose units run in other processes: it opens the audit there once for the whole
    batch, and closes it when the batch is done. Raises as `Session.measure` does.
    """
    with opened(ticket) as session:
        found = session.check(check)
        units = session.units(found)
        for number in numbers:
            session.measure(found, units[number])
