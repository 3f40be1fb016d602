"""The end of a process with its parent, which the process cannot prevent.

The parent alone holds the writing end of a pipe. When that end is gone, however the parent ended,
the kernel kills the process that holds the reading end here.
"""

import fcntl
import os
import signal
import sys


def watch(pipe: int) -> int:
    """Has the kernel kill this process when nobody has the pipe's other end; the file to shield.

    `pipe` is the reading end. The file is another opening of the pipe, since the signals of one
    opening go to one process alone: two children have the pipe at once if a fork server is killed,
    its child lives on, and another is started. A process that must not outlive its parent may not
    close or change the file: see `forbid` in `seccomp.py`. Ends the process if it is too late.
    """
    if sys.platform != "linux":
        file = os.dup(pipe)
    else:
        # A process that opened the other end itself would keep the pipe from ever closing.
        os.fchmod(pipe, 0o400)
        file = os.open(f"/proc/self/fd/{pipe}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(file, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_ASYNC)
    return file
