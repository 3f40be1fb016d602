"""Hostile code in a cell reaches nothing; the same code outside of a cell does."""

import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import hostile
import hostile_files
import pytest
from bubblewrapped import needs_bubblewrap
from confined import confined, rights
from processes import wait_until_gone

from audits.execution.cell import Cell, Held
from audits.execution.confinement import landlock, system_calls


def _has_landlock() -> bool:
    try:
        return landlock.version() >= 6
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not _has_landlock(), reason="this kernel has no Landlock")
WALLS = pytest.mark.parametrize(
    "walls", ["all", "container", pytest.param("bubblewrap", marks=needs_bubblewrap)]
)


@pytest.fixture
def in_home():
    """A folder in the home of the user who runs the tests."""
    with tempfile.TemporaryDirectory(dir=os.path.expanduser("~"), prefix=".fillblanks-") as folder:
        yield Path(folder)


@pytest.fixture
def victim():
    """Another process of this user."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def servers(tmp_path):
    """Servers of all kinds on this machine: the arguments of `hostile.connects`."""
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    folder = tempfile.mkdtemp()
    path, name = f"{folder}/socket", f"fillblanks-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, kinds[1]) as udp,
        socket.socket(socket.AF_UNIX, kinds[0]) as unix,
        socket.socket(socket.AF_UNIX, kinds[0]) as abstract,
    ):
        udp.bind(("127.0.0.1", 0))
        unix.bind(path)
        abstract.bind(f"\0{name}")
        unix.listen()
        abstract.listen()
        yield tcp.getsockname()[1], udp.getsockname()[1], path, name
    os.unlink(path)
    os.rmdir(folder)


@WALLS
def test_a_cell_measures_that_nothing_is_left(walls):
    found = Held(**confined(rights, walls=walls))
    left = {name for name, lost in asdict(found).items() if lost is False}
    if walls == "bubblewrap" or (walls == "all" and not found.refused):
        assert not left
    else:
        assert left == {"disk"}
        assert found.refused in found.note(Cell("0", "Why."))
    if walls == "container":
        assert "unshare: Operation not permitted" in found.refused


@WALLS
def test_a_secret_file_cannot_be_read(walls, in_home):
    secret = in_home / "secret"
    secret.write_text("secret")
    assert confined(hostile_files.reads, str(secret), str(in_home.parent), walls=walls) == []


def test_the_same_attempts_to_read_succeed_out_of_a_cell(in_home):
    secret = in_home / "secret"
    secret.write_text("secret")
    found = confined(hostile_files.reads, str(secret), str(in_home.parent), cell=False)
    assert {"open", "a symbolic link", "the list of the home", "its folder"} <= set(found)


@pytest.fixture
def shared():
    """A file in the memory that all processes share."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        yield file.name


@WALLS
@pytest.mark.parametrize("given", [False, True])
def test_a_folder_that_is_not_its_own_cannot_be_changed(walls, given, tmp_path, shared):
    file = tmp_path / "part.npz"
    file.write_text("part")
    before = file.stat()
    readable = (str(tmp_path),) if given else ()
    arguments = (str(tmp_path), str(file), shared)
    assert confined(hostile_files.writes, *arguments, walls=walls, readable=readable) == []
    assert os.listdir(tmp_path) == ["part.npz"]
    assert file.read_text() == "part"
    assert (file.stat().st_mode, file.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_the_same_attempts_to_write_succeed_out_of_a_cell(tmp_path, shared):
    file = tmp_path / "part.npz"
    file.write_text("part")
    found = confined(hostile_files.writes, str(tmp_path), str(file), shared, cell=False)
    assert {"a new file", "its length", "moving in", "moving out", "the mode"} <= set(found)


@WALLS
@pytest.mark.parametrize("gpu", [False, True])
def test_no_server_is_reached(walls, gpu, servers):
    found = confined(hostile.connects, *servers, walls=walls, gpu=gpu)
    assert found == (["a pair"] if gpu else []), "a pair has two ends in the process alone"


def test_the_same_servers_are_reached_out_of_a_cell(servers):
    found = confined(hostile.connects, *servers, cell=False)
    assert {"TCP", "UDP", "Unix", "abstract"} <= set(found)


@WALLS
def test_no_process_and_no_program_is_started(walls):
    assert confined(hostile.starts, walls=walls) == []
    assert confined(hostile.becomes, walls=walls) == "refused"


def test_the_same_processes_are_started_out_of_a_cell():
    found = confined(hostile.starts, cell=False)
    assert {"fork", "bomb", "clone", "clone3", "a command", "posix_spawn"} <= set(found)


@WALLS
def test_another_process_is_not_disturbed(walls, victim):
    assert confined(hostile.disturbs, victim.pid, walls=walls) == []
    assert victim.poll() is None


@WALLS
def test_parent_and_fork_server_are_not_disturbed(walls):
    assert confined(hostile.disturbs, os.getpid(), walls=walls) == []
    server = confined(os.getppid, cell=False)
    assert confined(hostile.disturbs, server, walls=walls) == []


def test_the_same_process_is_ended_out_of_a_cell(victim):
    found = confined(hostile.disturbs, victim.pid, cell=False)
    assert {"a signal", "a signal of a file", "its environment", "its end"} <= set(found)
    assert victim.wait() == -signal.SIGKILL


@WALLS
def test_bounds_stay(walls):
    assert confined(hostile.loosens, walls=walls) == []


def test_the_disk_is_not_filled():
    limit = 1 << 24
    if refused := Held(**confined(rights)).refused:
        pytest.skip(f"this kernel refuses namespaces: {refused}")
    written, how = confined(hostile_files.fills, 4 * limit, disk=limit)
    assert limit // 2 < written <= limit
    assert how == "No space left on device"


def test_one_file_is_bounded_without_namespaces():
    limit = 1 << 24
    written, _ = confined(hostile_files.fills, limit * 3 // 2, disk=limit, walls="container")
    assert written == limit * 3 // 2, "a second file was not made"


@WALLS
def test_only_files_that_are_kept_are_open(walls):
    found = confined(hostile_files.has_open, walls=walls)
    for kind in ("pipe:", "socket:"):
        assert sum(name.startswith(kind) for name in found) == 1, "lifeline and answer"


@WALLS
def test_open_files_are_bounded(walls):
    assert confined(hostile_files.opens, 1_000_000, walls=walls) < 10_000


_TABLES = ("PROCESSES", "KERNEL", "OWNERSHIP", "SHARED", "CONNECTIONS", "OF_GPU", "JUDGED")
_HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}


@pytest.mark.parametrize("machine", _HEADERS)
def test_the_numbers_of_system_calls_are_those_of_the_kernel(machine, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    found = [system_calls.numbers(getattr(system_calls, table)) for table in _TABLES]
    numbers = {name: number for table in found for name, number in table.items()}
    assert len(set(numbers.values())) == len(numbers) == sum(map(len, found))
    assert max(numbers.values()) <= system_calls.LAST
    header = Path(_HEADERS[machine])
    if not header.is_file():
        pytest.skip("no headers of the kernel")
    pattern = r"^#define __NR(?:3264)?_(\w+)\s+(\d+)"
    told = dict(re.findall(pattern, header.read_text(), re.MULTILINE))
    wrong = {
        name: told[name] for name in numbers if name in told and int(told[name]) != numbers[name]
    }
    assert not wrong
    assert len(numbers.keys() & told.keys()) > 100


def test_another_kind_of_machine_is_told(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="system calls of riscv64 are not known"):
        system_calls.numbers(system_calls.JUDGED)


_PARENT = """
import os, sys
from multiprocessing import Pipe, get_context
import hostile
from audits.execution import fork_server

own, way, place = sys.argv[1:]

if __name__ == "__main__":
    said, writing = Pipe(duplex=False)
    life, line = Pipe(duplex=False)
    fork_server.PRELOADED[:] = ["numpy"]
    context = fork_server.context() if way == "forked" else get_context("spawn")
    process = context.Process(target=hostile.clings_in, args=(writing, life, own, place))
    process.start()
    writing.close()
    print(os.read(said.fileno(), 5).decode(), process.pid, flush=True)
    sys.stdin.read()
"""


def ended_parent(tmp_path, way, place):
    """Starts a process that starts one that clings to life, and kills it; both ids."""
    script = tmp_path / "script.py"
    script.write_text(_PARENT)
    own = tmp_path / "own"
    own.mkdir()
    parent = subprocess.Popen(
        [sys.executable, script, own, way, place],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    said, child = parent.stdout.readline().split()
    assert said == "clung"
    parent.kill()
    parent.communicate()
    return parent.pid, int(child)


@pytest.mark.parametrize("way", ["forked", "spawned"])
def test_a_process_does_not_outlive_its_parent(way, tmp_path):
    group, _ = ended_parent(tmp_path, way, "cell")
    wait_until_gone(group)


def test_the_same_process_outlives_its_parent_out_of_a_cell(tmp_path):
    _, child = ended_parent(tmp_path, "spawned", "nowhere")
    status = Path(f"/proc/{child}/status").read_text()
    os.kill(child, signal.SIGKILL)
    assert "State:\tS" in status
