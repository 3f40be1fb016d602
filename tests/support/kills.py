"""Killing audits at random moments; used by a test with few kills and by `make soak` with many."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow

_MARK = "FILLBLANKS_TEST"


class Audits:
    """`fillblanks audit` in processes of its own, whose descendants can be found."""

    def __init__(self, folder: Path, uri: str, config: Path):
        self._command = [
            str(Path(sys.executable).parent / "fillblanks"),
            *("audit", uri, "--config", str(config)),
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        self._mark = str(folder)
        self._environment = {
            **environment,
            "PREFECT_HOME": str(folder / "prefect"),
            _MARK: self._mark,
        }

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def to_the_end(self) -> float:
        """Runs it undisturbed; returns the seconds it took."""
        started = time.monotonic()
        process = self.start()
        told, _ = process.communicate(timeout=600)
        assert process.returncode == 0, told
        return time.monotonic() - started

    def killed_after(self, seconds: float) -> bool:
        """Starts it and kills it; False where it had come to its end before."""
        process = self.start()
        try:
            told, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()  # its output may be held open by what it has left
            return process.returncode != 0
        assert process.returncode == 0, told
        return False

    def left(self) -> list[str]:
        """Command lines of processes that are descended from one of ours."""
        entry = f"{_MARK}={self._mark}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    if entry in (folder / "environ").read_bytes().split(b"\0"):
                        found.append((folder / "cmdline").read_bytes().decode().replace("\0", " "))
                except OSError:
                    continue
        return found

    def wait_until_alone(self, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while left := self.left():
            assert time.monotonic() < deadline, f"left running: {left}"
            time.sleep(0.2)


def kill_and_resume(audits: Audits, store: Path, kills: int, longest: float, seed: int) -> None:
    """Kills it so many times between its start and its end, then lets it end.

    `longest` is how long an audit takes from nothing. Asserts after each kill that no process of
    ours is left and that no part has been written again.
    """
    moments = random.Random(seed)
    written: dict[Path, int] = {}
    while kills:
        moment = moments.uniform(0.2, longest)
        if audits.killed_after(moment):
            kills -= 1
        else:
            longest = moment  # with units that are kept, an audit ends earlier
        audits.wait_until_alone()
        written = _written(store, written)
    audits.to_the_end()
    audits.wait_until_alone()
    _written(store, written)


def _written(store: Path, before: dict[Path, int]) -> dict[Path, int]:
    """When each part was written; none of those `before` has been since."""
    now = {part: part.stat().st_mtime_ns for part in store.rglob("*.npz")}
    assert {part: now[part] for part in before} == before
    return now


def evidence_bytes(experiment: str) -> list[bytes]:
    """evidence.json of every finished run; asserts that none is still called running."""
    found = mlflow.search_runs(experiment_names=[experiment], output_format="list")
    assert not [run for run in found if run.info.status == "RUNNING"]
    finished = [run for run in found if run.info.status == "FINISHED"]
    return [_evidence(run.info.run_id) for run in finished]


def _evidence(run_id: str) -> bytes:
    path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="evidence.json")
    return Path(path).read_bytes()
