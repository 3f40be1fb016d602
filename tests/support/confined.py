"""Runs a function in a process of its own that went into a cell first, or, to compare, did not."""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from audits.execution import bubblewrap, elsewhere, fork_server
from audits.execution.cell import Cell, Inside, enter, held
from audits.execution.confinement import lifeline, linux, seccomp, system_calls
from audits.execution.confinement.output import redirect
from audits.execution.elsewhere import Wrapping


class Died(Exception):
    """The process ended without an answer."""


def confined(
    function: Callable[..., Any],
    *args: Any,
    cell: bool = True,
    walls: str = "all",
    readable: tuple[str, ...] = (),
    disk: int = 1 << 24,
    gpu: bool = False,
) -> Any:
    """What `function(*args)` gives there, through JSON. `function` is of a module, not of a test.

    `walls="container"`: the kernel refuses namespaces, as it does in most containers.
    `walls="bubblewrap"`: bwrap starts the process, which goes into the cell then;
    `walls="bubblewrap alone"`: there it does not.
    """
    isolation = "bubblewrap" if walls.startswith("bubblewrap") and cell else "process"
    cell = cell and walls != "bubblewrap alone"
    reach = Cell("0", "It runs code.", readable=readable, isolation=isolation)
    with tempfile.TemporaryDirectory() as own:
        receiving, sending = socket.socketpair()
        life, line = Pipe(duplex=False)
        inside = Inside(reach, own, (), disk, gpu)
        process = _context(inside).Process(
            target=_run, args=(function, args, inside if cell else None, walls, sending, life)
        )
        process.start()
        sending.close()
        with receiving.makefile("rb") as stream:
            answer = json.loads(stream.read() or b"null")
        process.join()
        line.close()
        life.close()
        receiving.close()
    if answer is None:
        raise Died(f"exit code {process.exitcode}")
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]


def _context(inside: Inside) -> Any:
    if inside.cell.isolation != "bubblewrap":
        return fork_server.context()
    python = elsewhere.own_python()
    words = bubblewrap.command(inside, python)
    return elsewhere.context(python, Wrapping(words, inside.environment(os.environ), 2))


def _run(function, args, inside, walls, sending, life):
    if walls == "container":
        _refuse_namespaces()
    if inside is not None:
        file = lifeline.watch(life.fileno())
        environment = inside.environment(os.environ)
        enter(inside, lifeline=file, keep={sending.fileno()})
        os.environ.update(environment)
    tempfile.tempdir = None
    try:
        answer = {"result": function(*args)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    sending.sendall(json.dumps(answer).encode())


def speaking(writing: Connection, length: int, stream: str = "stdout") -> int:
    """Has a process write so many characters into the pipe of an Output; its exit code."""
    process = fork_server.context().Process(target=_speak, args=(writing, length, stream))
    process.start()
    process.join()
    return process.exitcode


def _speak(writing, length, stream):
    redirect(writing)
    getattr(sys, stream).write("y" * length)
    getattr(sys, stream).flush()


def _refuse_namespaces():
    load, allow = seccomp._one(seccomp._LOAD, 0), seccomp._one(seccomp._RETURN, seccomp._ALLOW)
    unshare = system_calls.numbers(system_calls.KERNEL)["unshare"]
    linux.forbid_new_privileges()
    seccomp._install(load + seccomp._refuse(unshare) + allow)


def rights() -> dict[str, object]:
    """What the process has lost, as JSON."""
    found = held()
    assert found is not None
    return asdict(found)
