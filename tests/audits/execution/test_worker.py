"""If a model hangs or crashes, the caller gets an error and the next call a new process."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import child_calls
import few_files
import numpy as np
import pytest
from processes import wait_until_ended

from audits.execution.cell import Held
from audits.execution.worker import Worker, WorkerFailure
from fillblanks import Plan


def test_a_result_comes_back_from_another_process_that_stays(worker):
    result = worker.call(child_calls.double, np.arange(3), seconds=60)
    assert result.tolist() == [0, 2, 4]
    pid = worker.call(os.getpid, seconds=60)
    assert pid != os.getpid()
    assert worker.call(os.getpid, seconds=60) == pid


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (child_calls.sleep, "it took more than 0.5 s and was stopped"),
        (child_calls.sleep_through_sigterm, "it took more than 0.5 s and was stopped"),
        (child_calls.spin_in_c, "it took more than 0.5 s and was stopped"),
        (child_calls.leave, "the process that held the model died (exit code 3)"),
        (child_calls.segfault, "the process that held the model died (signal 11)"),
        (child_calls.be_killed, "the process that held the model died (signal 9)"),
    ],
)
def test_a_call_that_hangs_or_crashes_is_a_failure_and_the_next_one_works(function, reason, worker):
    pid = worker.call(os.getpid, seconds=60)
    with pytest.raises(WorkerFailure) as failure:
        worker.call(function, seconds=0.5)
    assert failure.value.reason == str(failure.value) == reason
    wait_until_ended(pid)
    assert worker.call(os.getpid, seconds=60) != pid


@pytest.mark.parametrize("name", child_calls.ERRORS)
def test_bad_input_arrives_as_the_error_it_was(name, worker):
    with pytest.raises(child_calls.ERRORS[name], match="Expected this, got that") as refused:
        worker.call(child_calls.refuse, name, "Expected this, got that.", seconds=60)
    assert type(refused.value) is child_calls.ERRORS[name]


@pytest.mark.parametrize(
    ("function", "reason", "place"),
    [
        (child_calls.divide_by_zero, "ZeroDivisionError: integer division", "in divide_by_zero"),
        (child_calls.fail_at_length, "RuntimeError: The first line.", "in fail_at_length"),
    ],
)
def test_any_other_error_is_one_line_with_the_childs_traceback(function, reason, place, worker):
    pid = worker.call(os.getpid, seconds=60)
    with pytest.raises(WorkerFailure) as failure:
        worker.call(function, seconds=60)
    assert failure.value.reason.startswith(reason)
    assert "\n" not in failure.value.reason
    assert place in failure.value.detail
    assert worker.call(os.getpid, seconds=60) == pid


def test_a_timeout_of_the_models_own_is_not_told_as_ours(worker):
    with pytest.raises(WorkerFailure, match="the registry did not answer"):
        worker.call(child_calls.time_out_elsewhere, seconds=60)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (child_calls.give_what_cannot_be_sent, "Expected plain values and arrays, got lock"),
        (child_calls.raise_what_cannot_be_pickled, "RuntimeError: it holds a lock"),
    ],
)
def test_what_cannot_be_sent_is_a_failure(function, reason, worker):
    with pytest.raises(WorkerFailure, match=reason):
        worker.call(function, seconds=60)
    assert worker.call(child_calls.double, 2, seconds=60) == 4


def test_an_error_that_cannot_be_unpickled_is_told_and_the_next_call_works():
    with Worker() as worker:
        worker.call(os.getpid, seconds=60)
        with pytest.raises(WorkerFailure, match="TwoWords: one and two"):
            worker.call(child_calls.raise_what_cannot_be_unpickled, seconds=5)
        assert worker.call(child_calls.double, 2, seconds=60) == 4


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("pickle", "no proper answer"),
        ("framed pickle", "no proper answer"),
        ("pickle in an answer", "no proper answer"),
        ("endless", "no proper answer .* instead of 1,073,741,824 at most"),
        ("half an answer", "took more than 2 s"),
    ],
)
def test_nothing_that_the_process_sends_runs_here(kind, reason, worker, tmp_path):
    canary = tmp_path / "canary"
    worker.call(os.getpid, seconds=60)
    with pytest.raises(WorkerFailure, match=reason):
        worker.call(child_calls.send_to_parent, kind, canary, seconds=2)
    assert not canary.exists()
    assert worker.call(child_calls.double, 2, seconds=60) == 4


def test_a_result_has_the_type_that_was_asked_for_or_is_a_failure(worker):
    assert worker.call(os.getpid, seconds=60, gives=int) > 0
    for gives in (Plan, dict[str, int], Held | None):
        with pytest.raises(WorkerFailure, match="no proper answer"):
            worker.call(os.getpid, seconds=60, gives=gives)
    found = worker.call(child_calls.double, (1, 2), seconds=60, gives=tuple[int, ...])
    assert found == (1, 2, 1, 2)


def test_a_memory_limit_is_named_when_it_is_hit():
    with Worker(memory_gib=2.5) as worker:
        assert worker.call(child_calls.allocate_torch, 0.01, seconds=60) > 0
        for allocate in (child_calls.allocate_torch, child_calls.allocate_numpy):
            with pytest.raises(WorkerFailure, match=r"more than limits\.memory_gib = 2\.5") as hit:
                worker.call(allocate, 4, seconds=60)
            assert "\n" not in hit.value.reason
        assert worker.call(child_calls.double, 2, seconds=60) == 4


def test_calls_of_several_threads_take_turns_in_one_process():
    with Worker() as worker, ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(worker.call, os.getpid, seconds=60) for _ in range(8)]
        assert len({call.result() for call in calls}) == 1


def _wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_stop_ends_the_call_of_another_thread(tmp_path):
    with Worker() as worker, ThreadPoolExecutor(2) as threads:
        pid = worker.call(os.getpid, seconds=60)
        call = threads.submit(worker.call, child_calls.sleep_after, tmp_path / "a", seconds=3600)
        _wait_for(tmp_path / "a")
        waiting = threads.submit(worker.call, os.getpid, seconds=60)
        worker.stop()
        with pytest.raises(WorkerFailure, match="ended during the call"):
            call.result(timeout=60)
        assert waiting.result(timeout=60) != pid
        wait_until_ended(pid)


def test_leaving_the_context_ends_the_calls_of_other_threads_and_refuses_new_ones(tmp_path):
    with ThreadPoolExecutor(1) as threads:
        with Worker() as worker:
            call = threads.submit(worker.call, child_calls.sleep_after, tmp_path / "a", seconds=99)
            _wait_for(tmp_path / "a")
        with pytest.raises(WorkerFailure, match="ended during the call"):
            call.result(timeout=60)
        with pytest.raises(WorkerFailure, match="the worker for the model was closed"):
            worker.call(os.getpid, seconds=60)


@pytest.mark.slow
def test_a_process_that_cannot_be_started_is_a_failure_and_the_next_one_can():
    """The program tries each number of files that it may open."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, few_files.__file__]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.stdout.split() == ["0", "3", "6", "8"], done.stderr


def test_leaving_the_context_ends_the_process():
    with Worker() as worker:
        pid = worker.call(os.getpid, seconds=60)
    wait_until_ended(pid)


def test_leaving_by_an_error_ends_the_process_too():
    def leave_by_error():
        with Worker() as worker:
            pids.append(worker.call(os.getpid, seconds=60))
            raise ZeroDivisionError

    pids = []
    with pytest.raises(ZeroDivisionError):
        leave_by_error()
    wait_until_ended(pids[0])


_PARENT = """
import os, threading
import child_calls
from audits.execution import fork_server
from audits.execution.worker import Worker
fork_server.PRELOADED[:] = ["torch"]
LONG = {"seconds": 3600}
if __name__ == "__main__":
    with Worker() as one, Worker() as other:
        print(*(worker.call(os.getpid, seconds=60) for worker in (one, other)), flush=True)
        threading.Timer(1, print, ["calling"], {"flush": True}).start()
        threading.Thread(target=one.call, args=(child_calls.sleep,), kwargs=LONG).start()
        other.call(child_calls.spin_in_c, **LONG)
"""


@pytest.mark.slow
def test_the_processes_end_with_their_parent_even_when_that_is_killed(tmp_path):
    """One process sleeps, the other spins in C."""
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as parent:
        try:
            pids = [int(word) for word in parent.stdout.readline().split()]
            assert parent.stdout.readline() == "calling\n"
            assert len(set(pids)) == 2
            assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        finally:
            parent.kill()
    for pid in pids:
        wait_until_ended(pid)
