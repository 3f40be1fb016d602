"""attach: the session of an audit by its reference, in whatever process a scheduler runs us."""

import atexit
import json

from audits import data
from audits.config import parse_config
from audits.errors import AuditError
from audits.models import Resolved
from audits.session import Session, open_sessions


def attach(reference: str) -> Session:
    """The session that `reference` (Session.reference) names.

    It is the open one where this process has it; else the same audit is opened here and stays
    open until the process ends. Raises AuditError where model or data have changed meanwhile.
    """
    if reference not in open_sessions:
        wanted = json.loads(reference)
        config = parse_config(wanted["config"])
        session = Session(config, Resolved(**wanted["model"]), data.load(config.data))
        session.__enter__()
        atexit.register(session.__exit__)
        if session.digest != wanted["digest"]:
            raise AuditError(
                f"Expected the audit {wanted['digest'][:12]}, got {session.digest[:12]} here: "
                "model or data differ between the machines. Give both the same."
            )
    return open_sessions[reference]
