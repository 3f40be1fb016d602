"""The highest use of memory of this process, or of its GPU."""

from contextlib import suppress
from pathlib import Path

import torch

_GIB = 1 << 30


def peak_gib() -> float:
    """The highest use of memory in GiB since the process began, or since `reset_peak`."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / _GIB
    # Not ru_maxrss, which a process inherits from its parent.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak_kib = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    return int(peak_kib) * 1024 / _GIB


def reset_peak() -> None:
    """Starts the count anew from the memory that is in use now."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # a kernel without it counts on
        Path("/proc/self/clear_refs").write_text("5")
