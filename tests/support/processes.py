"""Seeing to it that nothing of ours is left running."""

import os
import signal
import time

import pytest


def wait_until_gone(group: int, seconds: float = 30) -> None:
    """Waits until no process of the group is left; what outlives that is killed and a failure."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.2)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("processes of the group outlived their leader")
