"""Ctrl-C ends a command at once, with one line, but never a program that calls a flow."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from processes import wait_until_unmarked

# Few enough passes for no tuning, which would take longer than all the rest.
_CHECKS = [{"kind": "performance"}, {"kind": "random_fill", "samples": 30, "max_draws": 30}]
_PROGRAM = """
import logging, sys
from audits import read_config
from flows.audit import audited
from flows.gate import gated

if __name__ == "__main__":
    log = logging.getLogger("audits")  # Prefect sets the root logger's level
    log.addHandler(logging.StreamHandler())
    log.setLevel(logging.INFO)
    file, flow = sys.argv[1:]
    try:
        if flow == "audit":
            audited(read_config(file, model="models:/m/1"))
        else:
            config = read_config(file, model="models:/m/1").model_dump(mode="json")
            gated("models:/m/1", config=config, fresh=True)
    except KeyboardInterrupt:
        print("caught", flush=True)
    print("still here")
"""


def _interrupted(process):
    """Sends Ctrl-C as a terminal does, between two units; returns the rest of stderr."""
    for line in process.stderr:
        if " performance 1/1" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    return process.stderr.read()


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once_and_says_so(typed, config, tmp_path):
    file = config(checks=_CHECKS, policy={})
    mark = {"FILLBLANKS_TEST": str(tmp_path)}
    process = typed("audit", "models:/m/1", "--config", file, wait=False, **mark)
    rest = _interrupted(process)
    assert process.wait(timeout=30) == 130
    said = r"Interrupted\. \d+ finished units? (is|are) kept in \S+\. To go on, run it again: (.*)"
    last = re.fullmatch(said, rest.splitlines()[-1])
    assert last, rest
    assert last[2] == f"fillblanks audit models:/m/1 --config {file}"
    assert "Traceback" not in rest
    version = mlflow.MlflowClient().get_model_version("m", "1")
    assert version.tags["audit.verdict"] == "undecided"
    assert "interrupted" in version.description
    wait_until_unmarked(f"FILLBLANKS_TEST={tmp_path}")  # Prefect's temporary server included


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["audit", pytest.param("gate", marks=pytest.mark.soak)])
def test_a_program_that_calls_a_flow_goes_on_living(flow, typed, config, tmp_path, prefect_api):
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    file = config(
        checks=_CHECKS, policy={"conditions": [{"metric": "random_fill/coverage", "min": 0.1}]}
    )
    process = typed(
        *(program, file, flow),
        command=(sys.executable,),
        wait=False,
        PREFECT_API_URL=prefect_api,
        FILLBLANKS_TEST=str(tmp_path),
    )
    rest = _interrupted(process)
    assert process.stdout.read().splitlines() == ["caught", "still here"], rest
    assert process.wait(timeout=60) == 0
    assert "Interrupted." not in rest
    wait_until_unmarked(f"FILLBLANKS_TEST={tmp_path}")


def test_semaphores_are_given_back_without_a_word():
    code = (
        "from flows.terminal.environment import quieten\n"
        "quieten()\n"
        "from multiprocessing import get_context\n"
        "lock = get_context('spawn').RLock()\n"
        "print(lock._semlock.name)\n"
        "from flows.terminal.interrupt import leave\n"
        "leave()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("Interrupted.")
    assert len(done.stderr.splitlines()) == 1
    assert not Path("/dev/shm/sem." + done.stdout.strip().removeprefix("/")).exists()


def test_threads_and_processes_that_end_meanwhile_are_no_error():
    code = (
        "import threading\n"
        "from flows.terminal import interrupt\n"
        "def start():\n"
        "    while True:\n"
        "        short = threading.Thread(target=lambda: None)\n"
        "        short.start()\n"
        "        short.join()\n"
        "threading.Thread(target=start, daemon=True).start()\n"
        "for _ in range(500):\n"
        "    found = interrupt._children()\n"
        "interrupt._children = lambda: [*found, 2**31 - 1]\n"  # which no process has
        "interrupt.leave()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")


def test_ctrl_c_while_libraries_load_ends_it_at_once(tmp_path):
    # Like an extension that swallows the exception: the import goes on without it.
    (tmp_path / "pydantic.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    import time; time.sleep(20)\n"
        "except KeyboardInterrupt:\n"
        "    pass\n"
    )
    code = "import sys; from flows.cli import main; sys.exit(main(['schema']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert done.returncode == 130, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("Interrupted.")
