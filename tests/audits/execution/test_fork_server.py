"""Workers are forked from a server that has imported the slow parts, and are as spawned ones."""

import os
import subprocess
import sys
from pathlib import Path

import child_calls
import pytest
import torch
from processes import wait_until_ended

from audits.execution import fork_server
from audits.execution.worker import Worker


@pytest.fixture
def forks():
    if not fork_server.start():
        pytest.skip("workers are spawned here")


def test_two_workers_are_forked_from_one_server(forks):
    with Worker() as one, Worker() as other:
        processes = {worker.call(os.getpid, seconds=60) for worker in (one, other)}
        (server,) = {worker.call(os.getppid, seconds=60) for worker in (one, other)}
        assert one.call(child_calls.is_imported, "torch.export", seconds=60)
    assert len(processes) == 2
    assert server not in {os.getpid(), *processes}


def test_a_worker_has_environment_path_and_folder_of_the_moment(forks, monkeypatch, tmp_path):
    monkeypatch.setenv("FILLBLANKS_TEST_WORD", "now")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "only_here.py").write_text("def word():\n    return 'found'\n")
    import only_here

    with Worker() as worker:
        assert worker.call(dict, seconds=60) == {}
        assert worker.call(child_calls.environment, seconds=60) == dict(os.environ)
        assert worker.call(os.getcwd, seconds=60) == str(tmp_path)
        assert worker.call(only_here.word, seconds=60) == "found"


@pytest.mark.slow
def test_a_worker_is_spawned_if_the_threads_are_others_now(forks, other_threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(other_threads))
    assert not fork_server.start()
    with Worker() as worker:
        assert worker.call(os.getppid, seconds=60) == os.getpid()
        assert worker.call(torch.get_num_threads, seconds=60) == other_threads
    monkeypatch.undo()
    assert fork_server.start()


_SET_ON_THE_WAY = ["KMP_INIT_AT_FORK", "PYTORCH_NVML_BASED_CUDA_CHECK"]


@pytest.mark.parametrize("name", ["TORCHINDUCTOR_CACHE_DIR", *_SET_ON_THE_WAY, "XDG_CACHE_HOME"])
def test_a_variable_that_is_set_on_the_way_does_not_end_the_forks(name, forks, monkeypatch):
    monkeypatch.setenv(name, "another")
    with Worker() as worker:
        assert worker.call(os.getppid, seconds=60) != os.getpid()
        assert worker.call(os.getenv, name, seconds=60) == "another"


_IMPORTS = """
import importlib, sys, threading
import torch
from audits.execution.fork_server import PRELOADED

def asked(*arguments, **names):
    raise SystemExit("a module asks for a GPU when it is imported")

for place in (torch._C, torch.cuda):
    for name in dir(place):
        if name.startswith(("_cuda_getDevice", "_cuda_init", "is_available", "device_count")):
            setattr(place, name, asked)
for name in PRELOADED:
    importlib.import_module(name)
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
try:
    torch.cuda.is_available()
except SystemExit:
    print("safe to fork")
"""


@pytest.mark.slow
def test_what_the_server_imports_asks_for_no_gpu_and_starts_no_thread():
    found = subprocess.run(
        [sys.executable, "-c", _IMPORTS], capture_output=True, text=True, check=False
    )
    assert found.stdout == "safe to fork\n", found.stdout + found.stderr


def test_the_server_has_one_thread_native_ones_counted(forks):
    with Worker() as worker:
        server = worker.call(os.getppid, seconds=60)  # the server forks after its imports
        assert worker.call(child_calls.is_imported, "pyarrow", seconds=60)
    assert len(os.listdir(f"/proc/{server}/task")) == 1


def test_the_server_imports_mlflow_without_lightning_and_a_worker_can_import_that(forks):
    pytest.importorskip("pytorch_lightning")
    with Worker() as worker:
        assert worker.call(child_calls.is_imported, "mlflow.pytorch", seconds=60)
        assert not worker.call(child_calls.is_imported, "pytorch_lightning", seconds=60)
        assert worker.call(child_calls.is_importable, "pytorch_lightning", seconds=60)


def _run(program, folder, **changes):
    """Runs a program, which must succeed without stderr; returns its stdout."""
    (folder / "program").mkdir()
    script = folder / "program" / "main.py"
    script.write_text(program)
    path = os.pathsep.join(entry for entry in sys.path if entry and entry != str(folder))
    found = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, **changes},
    )
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout


_INTERRUPTED = """
import os, signal
from multiprocessing import forkserver
from audits.execution import fork_server
from audits.execution.worker import Worker
fork_server.PRELOADED[:] = ["torch"]
if __name__ == "__main__":
    fork_server.start()
    server = forkserver._forkserver._forkserver_pid
    os.kill(server, signal.SIGINT)  # as Ctrl-C, while the server imports
    with Worker() as worker:
        assert worker.call(os.getppid, seconds=120) == server
    print(server)
"""


def _deep(folder):
    deep = folder.joinpath(*["a_deep_folder"] * 10)
    deep.mkdir(parents=True)
    return deep


@pytest.mark.slow
def test_the_server_is_deaf_to_interrupts_and_ends_with_its_program(forks, tmp_path):
    """Its temporary folder is so deep that an address in it is too long for a socket."""
    deep = _deep(tmp_path)
    wait_until_ended(int(_run(_INTERRUPTED, tmp_path, TMPDIR=str(deep))))
    assert not list(deep.glob("pymp-*"))


_PARENT = """
import os, sys
from audits.execution import fork_server
from audits.execution.worker import Worker
fork_server.PRELOADED[:] = ["pandas"]
if __name__ == "__main__":
    with Worker() as worker:
        print(worker.call(os.getppid, seconds=120), os.getpid(), flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def parent(tmp_path):
    """A program with a worker, run in a folder that has a file with the name of a library."""
    (tmp_path / "pandas.py").write_text("raise RuntimeError('not this file')\n")
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "parent.py").write_text(_PARENT)
    path = os.pathsep.join(entry for entry in sys.path if entry and entry != str(tmp_path))
    with subprocess.Popen(
        [sys.executable, str(folder / "parent.py")],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        yield process
        process.kill()


def test_the_server_ends_with_its_parent_even_when_that_is_killed(forks, parent):
    server, pid = map(int, parent.stdout.readline().split())
    assert pid == parent.pid != server
    assert Path(f"/proc/{server}").exists()
    parent.kill()
    wait_until_ended(server)


_KILLED_ONCE = """
import os
import child_calls
from audits.execution import fork_server
from audits.execution.worker import Worker, WorkerFailure
from processes import wait_until_ended
fork_server.PRELOADED[:] = ["torch"]
if __name__ == "__main__":
    with Worker() as worker:
        pid = worker.call(os.getpid, seconds=120)
        server = worker.call(os.getppid, seconds=120)
        try:
            worker.call(child_calls.kill_parent_and_sleep, "begun", seconds=3600)
        except WorkerFailure as failure:
            print(failure.reason)
        wait_until_ended(pid)
        assert worker.call(os.getppid, seconds=120) not in (server, os.getpid())
"""


@pytest.mark.slow
def test_a_server_that_is_killed_during_a_call_is_a_failure_and_leaves_nothing(forks, tmp_path):
    assert "or its fork server died" in _run(_KILLED_ONCE, tmp_path)
    assert (tmp_path / "begun").exists()


_KILLED = """
import os, signal
from pathlib import Path
import child_calls
from audits.execution import fork_server
from audits.execution.worker import Worker, WorkerFailure
fork_server.PRELOADED[:] = ["torch", "pandas"]
if __name__ == "__main__":
    with Worker() as worker:
        for how in ("idle", "busy"):
            child = worker.call(os.getpid, seconds=120)
            server = worker.call(os.getppid, seconds=120)
            try:
                if how == "idle":
                    os.kill(server, signal.SIGKILL)
                else:
                    worker.call(child_calls.kill_parent_and_sleep, "begun", seconds=120)
                while worker.call(os.getpid, seconds=120) == child:
                    pass  # the worker has not noticed yet that the server is gone
            except WorkerFailure:
                pass
            another = worker.call(os.getppid, seconds=120)
            assert another not in (server, os.getpid())
            status = Path(f"/proc/{another}/status").read_text().split()
            blocked = int(status[status.index("SigBlk:") + 1], 16)
            assert blocked & 1 << signal.SIGINT - 1, hex(blocked)
            os.kill(another, signal.SIGINT)
            assert worker.call(os.getppid, seconds=120) == another
"""


@pytest.mark.soak
def test_a_server_that_is_started_again_is_guarded_as_the_first_was(forks, tmp_path):
    (tmp_path / "pandas.py").write_text("raise RuntimeError('not this file')\n")
    assert _run(_KILLED, tmp_path) == ""


_DEEP = """
import logging, os, sys
from multiprocessing.util import get_temp_dir
from audits.execution import fork_server
from audits.execution.worker import Worker
if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    get_temp_dir()
    with Worker() as worker:
        parent = worker.call(os.getppid, seconds=120)
        assert worker.call(os.getppid, seconds=120) == parent
        print("spawned" if parent == os.getpid() else "forked")
"""


def test_a_server_that_cannot_be_started_is_told_and_workers_are_spawned(forks, tmp_path):
    told = _run(_DEEP, tmp_path, TMPDIR=str(_deep(tmp_path)))
    assert told == (
        "Worker processes are spawned, which takes seconds longer: the fork server did not start "
        "(AF_UNIX path too long).\nspawned\n"
    )


_TAKEN = """
import os
from multiprocessing import forkserver, set_forkserver_preload
from audits.execution import fork_server
from audits.execution.worker import Worker
if __name__ == "__main__":
    set_forkserver_preload({modules})
    forkserver.ensure_running()
    server = forkserver._forkserver._forkserver_pid
    assert not fork_server.start()
    with Worker() as worker:
        assert worker.call(os.getppid, seconds=120) == os.getpid()
    assert forkserver._forkserver._preload_modules == {modules}
    assert forkserver._forkserver._forkserver_pid == server
"""


@pytest.mark.parametrize("modules", [["json"], ["__main__"]])
def test_a_program_keeps_a_fork_server_of_its_own(modules, forks, tmp_path):
    assert _run(_TAKEN.replace("{modules}", repr(modules)), tmp_path) == ""
