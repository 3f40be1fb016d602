"""The end of a process in bubblewrap or in a container is told as that of any other process."""

import child_calls
import pytest
from bubblewrapped import needs_bubblewrap
from containers import IMAGE

from audits.execution.cell import Cell
from audits.execution.worker import Worker, WorkerFailure

_ENDS = [
    (child_calls.sleep_through_sigterm, "it took more than 0.5 s and was stopped"),
    (child_calls.leave, "the process that held the model died (exit code 3)"),
    (child_calls.segfault, "the process that held the model died (signal 11)"),
]


@pytest.fixture(params=[pytest.param("bubblewrap", marks=needs_bubblewrap), "docker"])
def cell(request):
    if request.param == "bubblewrap":
        return Cell("0", "It runs code.", isolation="bubblewrap")
    request.getfixturevalue("in_path")
    return Cell("0", "It runs code.", isolation="docker", image=IMAGE)


@pytest.mark.slow
def test_the_end_of_an_isolated_process_is_told_and_the_next_call_works(cell):
    with Worker() as worker:
        for function, reason in _ENDS:
            assert worker.call(child_calls.double, 2, seconds=120, cell=cell) == 4
            with pytest.raises(WorkerFailure) as failure:
                worker.call(function, seconds=0.5, cell=cell)
            assert failure.value.reason == reason
        assert worker.call(child_calls.double, 2, seconds=120, cell=cell) == 4
