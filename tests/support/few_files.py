"""A program whose worker cannot be started for want of open files, and can be a moment later.

It is a program of its own because its fork server dies, and a new one imports for seconds.
"""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

from audits.execution import fork_server
from audits.execution.worker import Worker, WorkerFailure


@contextmanager
def room_for_files(count: int) -> Iterator[None]:
    """Lets this process open `count` files and no more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(0) for _ in range(200)]  # more than the gaps between open descriptors
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(free) + 1, before[1]))
    for descriptor in free[:count]:
        os.close(descriptor)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in free[count:]:
            os.close(descriptor)


def start_with(files: int) -> str:
    """The reason of a start with so few files; another start succeeds after it."""
    with Worker() as worker:
        assert worker.call(abs, -1, seconds=60) == 1  # late imports need files, too
        worker.stop()
        with room_for_files(files):
            reason = _failure(worker)
        deadline = time.monotonic() + 60
        while True:
            try:
                assert worker.call(abs, -4, seconds=60) == 4
                return reason
            except WorkerFailure:  # a fork server dies if it could not start a process
                assert time.monotonic() < deadline


def _failure(worker: Worker) -> str:
    try:
        worker.call(abs, -1, seconds=60)
    except WorkerFailure as failure:
        return failure.reason
    raise AssertionError("Expected no process, got one.")


if __name__ == "__main__":
    fork_server.PRELOADED[:] = ["numpy"]
    for count in (0, 3, 6, 8):
        told = start_with(count)
        assert told.startswith("the process for the model did not start: "), told
        assert "\n" not in told, told
        print(count)
