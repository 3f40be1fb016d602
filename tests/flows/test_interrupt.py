"""Leaving at Ctrl-C: one line, and nothing of Python's own after it."""

import subprocess
import sys


def test_semaphores_are_given_back_without_a_warning():
    code = (
        "from multiprocessing import get_context\n"
        "lock = get_context('spawn').RLock()\n"
        "from flows.interrupt import leave\n"
        "leave()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("Interrupted.")
    assert len(done.stderr.splitlines()) == 1
