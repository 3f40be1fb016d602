"""The files that a process was given open by the process that started it."""

import multiprocessing
import os
from collections.abc import Iterable
from multiprocessing import forkserver, resource_tracker

_STANDARD = {0, 1, 2}


def close_inherited(keep: Iterable[int]) -> None:
    """Closes all open files of the process but `keep` and standard input, output and error.

    Among them are the two by which multiprocessing's helpers are reached (`forget_helpers`).
    """
    forget_helpers()
    kept = _STANDARD | set(keep)
    for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:  # the folder that was listed
                continue


def forget_helpers() -> None:
    """Closes the ways to multiprocessing's fork server and resource tracker.

    By the first a process keeps the server alive, or ends it; by the second it has shared memory
    and semaphores of other processes removed.
    """
    server, tracker = forkserver._forkserver, resource_tracker._resource_tracker
    for owner, name in ((server, "_forkserver_alive_fd"), (tracker, "_fd")):
        descriptor = getattr(owner, name)
        if descriptor is not None:
            setattr(owner, name, None)
            os.close(descriptor)
    # Its locks need no helper, and no process will be started.
    multiprocessing.set_start_method("fork", force=True)


def silence_input() -> None:
    """Makes the standard input empty: the terminal's keys are not for this process."""
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
