"""attach: the session of an audit by its ticket, in whatever process a scheduler runs us."""

import atexit
import json
from contextlib import ExitStack

from audits.config.reading import parse_config
from audits.data import sources
from audits.errors import AuditError
from audits.execution.inputs import Subject
from audits.execution.session import Session, open_sessions
from audits.models.registry import Resolved
from fillblanks import Plan


def attach(ticket: str) -> Session:
    """The session that `ticket` (Session.ticket) names.

    It is the open one where this process has it; else the same audit is opened here and stays
    open until the process ends. Raises AuditError where model or data have changed meanwhile.
    """
    if ticket not in open_sessions:
        wanted = json.loads(ticket)
        config = parse_config(wanted["config"])
        with ExitStack() as opening:
            subject = Subject(config, Resolved(**wanted["model"]), sources.load(config.data))
            opening.enter_context(subject)
            session = opening.enter_context(Session(subject, Plan(**wanted["plan"])))
            if session.ticket != ticket:
                raise AuditError(
                    "Expected the same model, data and kind of device as where the audit began, "
                    "got others here. Give all machines the same."
                )
            atexit.register(opening.pop_all().close)
    return open_sessions[ticket]
