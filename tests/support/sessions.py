"""Opens the session of a config, or evaluates the config, with a worker of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from audits.config.audit import AuditConfig
from audits.data import sources
from audits.execution.evaluation import Evaluation
from audits.execution.executors import Executor, InProcess
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import Worker
from audits.models import registry
from audits.workflows.evaluate import evaluate


@contextmanager
def open_session(config: AuditConfig) -> Iterator[Session]:
    """Opens a session, whose worker ends with the context."""
    inputs = AuditInputs(config, registry.resolve(config.model), sources.load(config.data))
    memory_gib = config.limits.memory_gib
    with inputs, Worker(memory_gib) as worker, Session(inputs, worker) as session:
        yield session


def evaluated(config: AuditConfig, executor: Executor | None = None) -> Evaluation:
    """The evidence of all checks, as an audit has it; nothing is recorded in MLflow."""
    model, images = registry.resolve(config.model), sources.load(config.data)
    with Worker(config.limits.memory_gib) as worker:
        return evaluate(config, model, images, worker, executor or InProcess())
