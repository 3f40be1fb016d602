"""Sweep and audit as Prefect deployments that this process serves until it is stopped."""

import os
from typing import Any, cast

from prefect import serve as serve_deployments
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from audits import AuditError
from audits.errors import quoted
from audits.workflows.sweep import Wanted
from flows import served
from flows.server import configured, expect_answer

# Two sweeps at once would overtake each other's audits.
_ONE_AT_A_TIME = ConcurrencyLimitConfig(
    limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
)
_BY_NAME = EntrypointType.MODULE_PATH  # a path would be looked up in the folder of each run


def expect_schedule(cron: str) -> None:
    """Raises AuditError if `cron` is no schedule."""
    try:
        Cron(cron)
    except ValueError as error:
        raise AuditError(
            f'Expected a schedule for cron, "0 3 * * *" say, got {quoted(cron)}. Correct --cron.'
        ) from error


def serve(config: dict[str, Any], wanted: Wanted, cron: str) -> None:
    """Serves `sweep` on a schedule (`cron`, in UTC) and `audit` on demand; returns when stopped.

    `config` is an AuditConfig in plain values. Only the model that is to be audited is a parameter
    of the deployments. Raises AuditError if no Prefect server is configured (a schedule needs a
    server that stays), if the server does not answer, or if the config is too long.
    """
    expect_schedule(cron)
    if not configured():
        raise AuditError(
            "Expected a Prefect server that keeps the schedule, found none configured. Start one "
            "with `prefect server start` and set PREFECT_API_URL."
        )
    expect_answer()
    # The user's working folder may have a package `flows` of its own.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    served.keep(config, wanted)
    deployments = [
        served.sweep.to_deployment(
            "sweep",
            cron=cron,
            concurrency_limit=_ONE_AT_A_TIME,
            entrypoint_type=_BY_NAME,
        ),
        served.audit.to_deployment("audit", entrypoint_type=_BY_NAME),
    ]
    # `to_deployment` returns its result, no coroutine, since no event loop is running here.
    serve_deployments(*cast(list[RunnerDeployment], deployments))
