"""Opens the session of a config, with a worker of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from audits.config.audit import AuditConfig
from audits.data import sources
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import Worker
from audits.models import registry


@contextmanager
def open_session(config: AuditConfig) -> Iterator[Session]:
    """Opens a session, whose worker ends with the context."""
    inputs = AuditInputs(config, registry.resolve(config.model), sources.load(config.data))
    memory_gib = config.limits.memory_gib
    with inputs, Worker(memory_gib) as worker, Session(inputs, worker) as session:
        yield session
