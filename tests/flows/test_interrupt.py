"""Leaving at Ctrl-C: one line, and nothing of Python's own after it."""

import subprocess
import sys
from pathlib import Path


def test_semaphores_are_given_back_without_a_word():
    code = (
        "from flows.environment import quieten\n"
        "quieten()\n"
        "from multiprocessing import get_context\n"
        "lock = get_context('spawn').RLock()\n"
        "print(lock._semlock.name)\n"
        "from flows.interrupt import leave\n"
        "leave()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("Interrupted.")
    assert len(done.stderr.splitlines()) == 1
    assert not Path("/dev/shm/sem." + done.stdout.strip().removeprefix("/")).exists()
