"""Trains and measures specimens in several processes; each keeps what it has done."""

import hashlib
import json
import os
import time
import traceback
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from audits.checks.base import Check
from audits.errors import NotApplicable
from truth import faults, measure
from truth.measure import Subject
from truth.row import Row
from truth.zoo import FAULTY, Specimen, named


@dataclass(frozen=True)
class Options:
    """How a run is made."""

    folder: Path  # of networks and figures
    workers: int = 1
    device: str = "cpu"  # where networks are trained
    on_device: int = 1  # workers that measure there too; the others measure on the CPU
    captured: int = 0  # of these workers, on a GPU: passes as CUDA graphs
    seconds: float | None = None  # after which nothing new is begun
    tuning: bool = False  # settings of Neural Cleanse are tried as well

    def place(self, worker: int) -> "Place":
        on_device = worker < self.on_device and self.device != "cpu"
        return Place(self.device if on_device else "cpu", on_device and worker < self.captured)


class Place(NamedTuple):
    """Where a worker measures."""

    device: str
    captured: bool = False


def key() -> str:
    """A digest of all checks as they are set: kept figures are of these alone."""
    from audits.checks.calibration import Calibration
    from audits.checks.concepts import Concepts
    from audits.checks.input_doctor import InputDoctor
    from audits.checks.performance import Performance
    from audits.checks.planted_defect import PlantedDefect
    from audits.checks.swap import Swap

    checks: tuple[Check, ...] = (
        *(Swap(), Concepts(), PlantedDefect(), Performance(), Calibration(), InputDoctor()),
    )
    told = repr([(check.kind, check.version, check.model_dump()) for check in checks])
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def run(plan: Sequence[Specimen], options: Options) -> None:
    """Measures all specimens of the plan that the folder does not have yet.

    Raises RuntimeError at the end if any stage of a specimen failed; the rest is kept.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    stop = None if options.seconds is None else time.time() + options.seconds
    large = [one for one in plan if one.network == "EfficientNet"]
    small = [one for one in plan if one.network != "EfficientNet"]
    workers = get_context("spawn")
    following = workers.Value("i", 0)
    started = []
    for number in range(options.workers):
        # Large networks are measured on the GPU alone.
        own = large[number :: options.on_device] if number < options.on_device else []
        arguments = (number, own, small, options, following, stop)
        started.append(workers.Process(target=_work, args=arguments))
    for one in started:
        one.start()
    for one in started:
        one.join()
    failed = sorted(file.name for file in options.folder.glob("*.error"))
    if failed or any(one.exitcode for one in started):
        raise RuntimeError(f"Expected no failures, got {failed} in {options.folder}.")


def _work(
    number: int,
    own: Sequence[Specimen],
    shared: Sequence[Specimen],
    options: Options,
    following: Any,
    stop: float | None,
) -> None:
    """Measures the worker's own specimens, and then, in turn with others, the shared ones."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // options.workers))
    place = options.place(number)
    for specimen in chain(own, _taken(shared, following)):
        if stop is not None and time.time() > stop:
            return
        began = time.time()
        found = examined(specimen, options, place, stop)
        told = f"{specimen.name}: {len(found['rows'])} rows on {place.device}"
        print(f"{told}, {time.time() - began:.1f} s", flush=True)


def _taken(shared: Sequence[Specimen], following: Any) -> Iterator[Specimen]:
    """The specimens that no other worker has taken."""
    while True:
        with following.get_lock():
            at = following.value
            following.value += 1
        if at >= len(shared):
            return
        yield shared[at]


def examined(
    specimen: Specimen, options: Options, place: Place, stop: float | None = None
) -> dict[str, Any]:
    """The record of a specimen: what it is, whether it has learnt, and the rows of its checks.

    It is written after each stage, so that a run that is cut short keeps what was done. A stage
    that fails leaves a file with the error, and the others go on.
    """
    file = options.folder / f"{specimen.name}-{specimen.digest}-{key()}.json"
    if file.exists():
        record: dict[str, Any] = json.loads(file.read_text())
    else:
        record = {"specimen": asdict(specimen), "stages": [], "rows": [], "seconds": {}}
        record |= {"name": specimen.name, **place._asdict()}
    began = time.perf_counter()
    classifier = specimen.classifier(options.folder, place.device, options.device)
    subject = Subject(specimen, classifier, place.captured)
    if "accuracy" not in record:
        images, labels = specimen.audited(marked=False)
        right = named(specimen.as_fed(classifier), images) == labels
        record["accuracy"] = float(right.float().mean())
        record["turned"] = specimen.turned(classifier) if specimen.is_marked else None
        record["seconds"]["training"] = time.perf_counter() - began
    for name, stage in _stages(subject, record["turned"], options).items():
        if name in record["stages"] or (stop is not None and time.time() > stop):
            continue
        began = time.perf_counter()
        try:
            rows = _rows(name, stage)
        except Exception:  # `run` raises at the end; the other stages are worth keeping
            file.with_suffix(f".{len(record['stages'])}.error").write_text(
                f"{name}\n{traceback.format_exc()}"
            )
            continue
        record["rows"] += [row._asdict() for row in rows]
        record["stages"].append(name)
        record["seconds"][name] = time.perf_counter() - began
        _write(file, record)
    _write(file, record)
    return record


def _rows(name: str, stage: Callable[[], list[Row]]) -> list[Row]:
    try:
        return stage()
    except NotApplicable as reason:
        return [Row.inapplicable(name, reason)]


def _stages(
    subject: Subject, turned: float | None, options: Options
) -> dict[str, Callable[[], list[Row]]]:
    """What is measured of a specimen; nothing of a mark that was not learnt."""
    specimen = subject.specimen
    if turned is not None and not specimen.has_learnt(turned):
        return {}
    found = {} if specimen.kind in FAULTY else measure.stages(subject)
    is_compared = specimen.kind in FAULTY or (specimen.kind == "none" and specimen.in_half)
    if is_compared and specimen.network != "EfficientNet":

        def of_faults() -> list[Row]:
            device = str(subject.classifier.device)
            champion = specimen.champion.classifier(options.folder, device, options.device)
            return faults.fault_rows(subject, champion)

        found["faults"] = of_faults
    if options.tuning and specimen.kind not in FAULTY and specimen.network != "EfficientNet":
        found["tried"] = lambda: measure.tried(subject)
    return found


def _write(file: Path, record: dict[str, Any]) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps(record))
    new.rename(file)


def missing(plan: Sequence[Specimen], kept: pd.DataFrame, checks: str) -> list[Specimen]:
    """The specimens of a plan that a table of truth.table does not have with these checks."""
    known = set(kept[kept["checks"] == checks]["digest"])
    return [one for one in plan if one.digest not in known]


def records(folder: Path, digests: Container[str] | None = None) -> list[dict[str, Any]]:
    """All records of a folder with these checks, or those of some specimens, by their names."""
    files = sorted(folder.glob(f"*-{key()}.json"))
    found = [json.loads(file.read_text()) for file in files]
    return [
        one for one in found if digests is None or Specimen(**one["specimen"]).digest in digests
    ]
