"""An audit hashes and decodes each image file once, and tells what its scan found."""

import os
import time
from collections import Counter
from dataclasses import replace

import counted_reads
import planned_nets
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from audits import run_audit
from audits.data import sources
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import Worker
from audits.models import registry

FILL = {"kind": "progressive_fill", "images": 8}


@pytest.fixture
def folder(tmp_path):
    """Twenty PNGs of ten digits, written a minute ago, and a GIF."""
    digits = load_digits()
    before = time.time() - 60
    for i in range(20):
        file = tmp_path / "data" / str(digits.target[i]) / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = (digits.images[i] * 15.9).astype("uint8")
        Image.fromarray(pixels).resize((28, 28)).save(file)
        os.utime(file, (before, before))
    Image.new("L", (28, 28)).save(tmp_path / "data" / "0" / "film.gif")
    return tmp_path / "data"


def test_a_file_is_hashed_once_and_decoded_once(folder, config_of):
    data = {"kind": "folder", "path": str(folder)}
    config = config_of(planned_nets.Linear(), [{"kind": "performance"}, FILL], data=data)
    loaded, read, hashed = sources.load(config.data), Counter(), Counter()

    def reading(i):
        read[i] += 1
        return loaded.read(i)

    def hashing(i):
        hashed[i] += 1
        return loaded.content(i)

    images = replace(loaded, read=reading, content=hashing)
    inputs = AuditInputs(config, registry.resolve(config.model), images)
    with inputs, Worker() as worker:
        worker.call(counted_reads.start, seconds=60, cell=inputs.cell)
        with Session(inputs, worker) as session:
            for check in session.config.checks:
                for unit in session.units(check):
                    session.measure(check, unit)
                assert session.conclude(check).status == "ok"
            assert inputs.digest
            there = worker.call(counted_reads.counts, seconds=60, cell=inputs.cell)
    assert hashed == dict.fromkeys(range(20), 1)
    # For the size of images, and the examples that the report shows.
    assert set(read.values()) == {1}
    names = {str(file.relative_to(folder)) for file in folder.rglob("*.png")}
    assert there == {"content": {}, "pixels": dict.fromkeys(names, 1)}


def test_an_audit_tells_what_was_left_out(folder, config_of):
    (folder / "3" / "bad.png").write_bytes(b"\x89PNG\r\n")
    data = {"kind": "folder", "path": str(folder), "unreadable": "skip"}
    config = config_of(planned_nets.Linear(), [{"kind": "performance"}], data=data)
    result = run_audit(config)
    assert result.image_count == 20
    assert result.evidence[0].status == "ok"
    told = "\n".join(result.notes)
    assert "1 of 21 image files cannot be read and are left out: 3/bad.png (" in told
    assert "1 files of other kinds (1 .gif) are left out: 0/film.gif." in told
