"""The `datasets` library reads without network, home, traces or noise; its absence is one line."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image

_LAYOUTS = ("metadata", "folders", "table", "saved")

_LOAD = """
import json, os, socket, sys
from pathlib import Path

asked = []

def refuse(*arguments, **more):
    asked.append(repr(arguments))
    raise OSError("there is no network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse

from audits.data.sources import HuggingFace, load

lazy = "datasets" not in sys.modules
environment = dict(os.environ)
counts = [len(load(HuggingFace(path=path))) for path in sys.argv[1:]]

import datasets, logging

print(json.dumps({
    "lazy": lazy,
    "asked": asked,
    "counts": counts,
    "environment": environment == dict(os.environ),
    "bars": not datasets.utils.are_progress_bars_disabled(),
    "torch": datasets.config.TORCH_AVAILABLE,
    "level": logging.getLogger("datasets").level == logging.WARNING,
    "temporary": os.listdir(os.environ["TMPDIR"]),
}))
"""


@pytest.fixture
def layouts(tmp_path):
    """Folders with the same two images; the library writes those that are its own."""
    datasets = pytest.importorskip("datasets")
    for i, name in enumerate(("cat", "dog")):
        for layout in ("metadata", "folders/" + name):
            (tmp_path / layout).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (i, 0, 0)).save(tmp_path / layout / f"{i}.png")
    (tmp_path / "metadata" / "metadata.csv").write_text("file_name,label\n0.png,cat\n1.png,dog\n")
    contents = [
        {"path": None, "bytes": (tmp_path / "metadata" / f"{i}.png").read_bytes()} for i in range(2)
    ]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    rows = datasets.Dataset.from_dict({"image": contents, "label": [0, 1]}, features=features)
    (tmp_path / "table").mkdir()
    rows.to_parquet(tmp_path / "table" / "test-00000-of-00001.parquet")
    rows.save_to_disk(tmp_path / "saved", num_shards=2)
    return [str(tmp_path / layout) for layout in _LAYOUTS]


def _run(code, *arguments, **variables):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "DATASETS_"))}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_no_network_no_home_no_traces(layouts, tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "home").mkdir()
    done = _run(
        _LOAD,
        *layouts,
        HOME=str(tmp_path / "home"),
        HF_HOME=str(tmp_path / "hub"),
        TMPDIR=str(tmp_path / "tmp"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "lazy": True,
        "asked": [],
        "counts": [2, 2, 2, 2],
        "environment": True,
        "bars": True,
        "torch": True,
        "level": True,
        "temporary": [],
    }
    assert not (tmp_path / "hub").exists()
    assert list((tmp_path / "home").iterdir()) == []
    assert done.stderr == ""


_WITHOUT = """
import sys
sys.modules["datasets"] = None  # as if it were not installed
from audits import AuditError
from audits.data.sources import HuggingFace, load
for path in sys.argv[1:]:
    try:
        load(HuggingFace(path=path))
    except AuditError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_library_that_is_not_installed_is_one_line(layouts):
    done = _run(_WITHOUT, *layouts)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(_LAYOUTS)
    for line in lines:
        assert line.startswith("Expected the package datasets (")
        assert line.endswith("pip install 'fillblanks[huggingface]'")


@pytest.mark.slow
def test_a_loading_script_beside_the_data_is_not_run(layouts, tmp_path):
    script = "open(__file__ + '.ran', 'w').close()\n"
    for layout in layouts:
        for name in (os.path.basename(layout), "__init__", "datasets", "pandas"):
            with open(os.path.join(layout, f"{name}.py"), "w") as file:
                file.write(script)
    done = _run(_LOAD, *layouts, TMPDIR=str(tmp_path), HF_HOME=str(tmp_path / "hub"))
    assert json.loads(done.stdout)["counts"] == [2, 2, 2, 2], done.stderr
    assert list(tmp_path.rglob("*.ran")) == []
