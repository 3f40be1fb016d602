"""Limits of what one process may use, which it cannot raise again."""

import resource

_FILES = 4096  # that are open at once
_ADDRESSES = 1 << 40  # bytes: libraries need far less, and the kernel keeps tables of all of them
_TASKS = 2048  # threads, for a user who has a namespace of its own: elsewhere all of the user count


def lower(*, disk: int | None, own_user: bool, gpu: bool) -> None:
    """Limits one file to `disk` bytes, the open files, and (`own_user`) the threads. No core dump.

    `disk` None: files may be of any size.
    Addresses are limited too, unless the process uses a GPU, whose driver reserves very many.
    Call it after the right to raise limits was given up.
    """
    _lower(resource.RLIMIT_CORE, 0)
    if disk is not None:
        _lower(resource.RLIMIT_FSIZE, disk)
    _lower(resource.RLIMIT_NOFILE, _FILES)
    if not gpu:
        _lower(resource.RLIMIT_AS, _ADDRESSES)
    if own_user:
        _lower(resource.RLIMIT_NPROC, _TASKS)
    for name in ("RLIMIT_MSGQUEUE", "RLIMIT_RTPRIO", "RLIMIT_NICE"):
        if hasattr(resource, name):
            _lower(getattr(resource, name), 0)


def _lower(kind: int, value: int) -> None:
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    resource.setrlimit(kind, (value, value))
