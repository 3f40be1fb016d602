"""Speed of fills, beside captum and a plain loop, in one run on one machine.

Every contender has a process of its own; this project's contender runs in an audit's worker. The
contenders take turns in each round, and ratios are medians over rounds, since machines are noisy.
"""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any

from contenders import IDLE, Captum, Ours, OursIdle, PlainLoop
from networks import CNN3, RESNET5, RESNET18, SQUEEZENET, Subject

from audits.execution.worker import Worker

ROUNDS = 5
_HOUR = 3600.0


@dataclass(frozen=True)
class Size:
    """The work of a round, and the batch sizes that captum and the plain loop may choose from."""

    draws: int  # a multiple of every chunk, so that no last chunk is padded
    chunks: tuple[int, ...]
    goal: float  # of the default plan against captum


SIZES: dict[Subject, Size] = {
    CNN3: Size(8_192, (64, 128, 256), 2.0),
    RESNET5: Size(8_192, (64, 128, 256), 2.0),
    SQUEEZENET: Size(384, (8, 16), 2.0),
    RESNET18: Size(1_024, (32, 64), 1.8),
}


def speed(folder: str) -> list[str]:
    """Markdown lines: the table, and the plans that were found."""
    lines = [
        "| network | default / captum | goal | same precision and format | goal | float32 / plain "
        "loop | goal | masks and sums | masks/s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    notes = []
    for subject, size in SIZES.items():
        seconds, facts = _measure(subject, size, folder)
        default = _ratio(seconds, "captum", "default")
        same = _ratio(seconds, "captum, channels_last", "float32, channels_last")
        exact = _ratio(seconds, "plain loop", "float32")
        share = _ratio(seconds, "idle", "default") / IDLE
        rate = size.draws / statistics.median(seconds["default"])
        lines.append(
            f"| {subject.name} | {default:.2f} | {size.goal:.1f} | {same:.2f} | 1.05 "
            f"| {exact:.2f} | 1.10 | {share:.1%} | {rate:,.0f} |"
        )
        notes.append(f"- {subject.name}: {facts}")
        print(lines[-1], flush=True)
    return [*lines, "", *notes]


def _ratio(seconds: dict[str, list[float]], one: str, other: str) -> float:
    return statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))


def _measure(subject: Subject, size: Size, folder: str) -> tuple[dict[str, list[float]], str]:
    loops = {"captum": (Captum, False), "captum, channels_last": (Captum, True)}
    loops["plain loop"] = (PlainLoop, False)
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as users, Worker() as audit:

        def as_user(function: Callable[..., Any], *arguments: Any) -> Any:
            return users.submit(function, *arguments).result()

        def as_audit(function: Callable[..., Any], *arguments: Any) -> Any:
            return audit.call(function, *arguments, seconds=_HOUR)

        chosen = {}
        for name, (kind, channels_last) in loops.items():
            rates = {}
            for chunk in size.chunks:
                key = f"{name}, {chunk}"
                as_user(_build, key, kind, (subject, folder, chunk, size.draws, channels_last))
                rates[chunk] = as_user(_run, key)
            chosen[name] = f"{name}, {min(rates, key=rates.__getitem__)}"
        as_audit(_build, "default", Ours, (subject, folder, size.draws, {}))
        as_audit(_build, "float32", Ours, (subject, folder, size.draws, {"precision": "full"}))
        same = {"precision": "full", "memory_format": "channels_last"}
        as_audit(_build, "float32, channels_last", Ours, (subject, folder, size.draws, same))
        ours = ("default", "float32", "float32, channels_last", "idle")
        facts, plan = as_audit(_found, "default")
        as_audit(_build, "idle", OursIdle, (subject, folder, size.draws, plan))
        seconds: dict[str, list[float]] = {n: [] for n in (*loops, *ours)}
        for _ in range(ROUNDS):
            for name in loops:
                seconds[name].append(as_user(_run, chosen[name]))
            for name in ours:
                seconds[name].append(as_audit(_run, name))
    return seconds, f"{facts}; {', '.join(chosen.values())}"


_built: dict[str, Any] = {}


def _build(key: str, kind: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Makes a contender in its process, and runs it once."""
    _built[key] = kind(*arguments)
    _built[key].run()


def _run(key: str) -> float:
    started = time.perf_counter()
    _built[key].run()
    return time.perf_counter() - started


def _found(key: str) -> tuple[str, dict[str, Any]]:
    return _built[key].facts(), asdict(_built[key].plan)


if __name__ == "__main__":
    import sys

    print("\n".join(speed(sys.argv[1])))
