"""Waits for the processes that a test has started to end, or fails the test."""

import os
import signal
import time
from pathlib import Path

import pytest


def wait_until_gone(group: int, seconds: float = 30) -> None:
    """Waits until no process of the group is left; else kills the group and fails the test."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.2)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("processes of the group outlived their leader")


def wait_until_ended(pid: int, seconds: float = 20) -> None:
    """Waits until the process has ended, reaped or not; else kills it and fails the test."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail(f"process {pid} lives on")


def marked(entry: str) -> dict[int, str]:
    """Processes with `entry` (NAME=value) in their environment: ids and command lines."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if entry.encode() in (folder / "environ").read_bytes().split(b"\0"):
                line = (folder / "cmdline").read_bytes().decode().replace("\0", " ")
                found[int(folder.name)] = line
        except OSError:  # the process has ended, or belongs to another user
            continue
    return found


def wait_until_unmarked(entry: str, seconds: float = 30) -> None:
    """Waits until no process is `marked`; else kills the processes and fails the test."""
    deadline = time.monotonic() + seconds
    while left := marked(entry):
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"left behind: {left}")
        time.sleep(0.2)
