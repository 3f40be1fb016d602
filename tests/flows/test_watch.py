"""The watcher ends the servers that an ended process leaves, and deletes its temporary files."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import wait_until_gone

_SCRIPT = """
import subprocess, sys, tempfile
from flows.terminal.watch import watch
watch()
# The child has a session of its own and ignores SIGTERM, as a server may.
code = "import signal, time; signal.signal(15, 1); print(1, flush=True); time.sleep(600)"
child = subprocess.Popen(
    [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
)
child.stdout.readline()
print(child.pid, tempfile.mkdtemp(), flush=True)
sys.stdin.read()
"""


def _started(folder):
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _SCRIPT],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child, temporary = process.stdout.readline().split()
    return process, int(child), Path(temporary)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["killed", "by itself"])
def test_what_has_ended_leaves_neither_servers_nor_files(end, tmp_path):
    # The watcher must not import this `flows` from the working folder.
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").write_text("raise SystemExit")
    process, child, temporary = _started(tmp_path)
    assert temporary.is_dir()
    if end == "killed":
        process.kill()
    process.communicate()
    wait_until_gone(child)
    deadline = time.monotonic() + 20
    while temporary.parent.exists():
        assert time.monotonic() < deadline, "left behind"
        time.sleep(0.1)
