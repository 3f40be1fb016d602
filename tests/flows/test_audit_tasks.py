"""The audit flow runs a task for each unit and conclusion, and none after a unit has failed."""

import time

import planned_nets
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import TaskRunSort

from audits import parse_config
from flows.audit import audited

_FILL = {"kind": "progressive_fill", "images": 300}
_PERFORMANCE = {"kind": "performance"}


def _names(seen, count):
    """Names of the task runs that were not `seen`, once there are `count` of them.

    The server learns of task runs a little later.
    """
    deadline = time.monotonic() + 60
    while len(found := {id: name for id, name in _runs().items() if id not in seen}) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    return sorted(found.values())


def _runs():
    newest = TaskRunSort.EXPECTED_START_TIME_DESC
    with get_client(sync_client=True) as client:
        return {run.id: run.name for run in client.read_task_runs(sort=newest)}


@pytest.mark.slow
def test_no_task_is_started_after_a_unit_of_its_check_has_failed(
    prefect_api, registry, register, demo_config
):
    uri, sha256 = register(planned_nets.Broken(RuntimeError("It broke.")), "m", pickled=True)
    checks = [_FILL, _PERFORMANCE]
    values = {**demo_config, "model": uri, "trust_pickle_sha256": sha256, "policy": {}}
    before = _runs()
    result = audited(parse_config({**values, "checks": checks}))
    assert [evidence.status for evidence in result.evidence] == ["error", "ok"]
    assert result.evidence[0].reason.startswith("unit 0 (")
    assert "RuntimeError: It broke." in result.evidence[0].reason
    names = ["m v1: performance 0", "m v1: performance conclusion", "m v1: progressive_fill 0"]
    assert _names(before, len(names)) == names
