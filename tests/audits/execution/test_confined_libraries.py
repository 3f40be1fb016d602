"""An honest model does its work in a cell: the libraries find what they need."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import hostile_files
import ordinary
import pytest
import torch
from bubblewrapped import needs_bubblewrap
from confined import confined
from PIL import Image
from simple_nets import logistic

WALLS = pytest.mark.parametrize("walls", ["all", "container"])
_LIBRARIES = [
    ("timm", ordinary.predicts_timm, [1, 7]),
    ("transformers", ordinary.predicts_transformers, [1, 2]),
    ("onnxruntime", ordinary.predicts_onnx, [0.0, 2.0]),
    ("lightgbm", ordinary.predicts_lightgbm, 200),
    ("keras", ordinary.predicts_keras, [2, 3]),
]


@WALLS
def test_a_network_runs_with_two_threads(walls):
    assert confined(ordinary.passes, 2, walls=walls) == 4 * 16 * 9


@WALLS
def test_a_network_runs_on_a_gpu(walls):
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    assert confined(ordinary.runs_on_gpu, gpu=True, walls=walls) == 4 * 16 * 9


def test_a_gpu_that_is_not_given_cannot_be_used():
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    with pytest.raises(RuntimeError, match=r"CUDA|NVIDIA"):
        confined(ordinary.runs_on_gpu)


def test_an_exported_network_is_loaded_from_its_folder(tmp_path):
    archive = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(logistic(), (torch.zeros(2, 1, 28, 28),)), archive)
    found = confined(ordinary.loads, str(archive), readable=(str(tmp_path),))
    assert found == [2, 10]
    with pytest.raises(RuntimeError, match=r"Permission denied|cannot be opened|failed"):
        confined(ordinary.loads, str(archive))


@WALLS
def test_images_are_read_where_the_data_are_and_behind_links_that_are_given(walls, tmp_path):
    away, data = tmp_path / "away", tmp_path / "data"
    away.mkdir()
    data.mkdir()
    for place in (away / "a.png", data / "b.png"):
        Image.new("L", (5, 5)).save(place)
    (data / "linked").symlink_to(away)
    assert confined(ordinary.sees, str(data), readable=(str(data), str(away)), walls=walls) == 10
    assert confined(ordinary.sees, str(data), readable=(str(data),), walls=walls) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "walls", ["all", "container", pytest.param("bubblewrap", marks=needs_bubblewrap)]
)
def test_data_and_temporary_files_in_shared_memory_are_seen(walls, tmp_path, monkeypatch):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as data:
        file, link = Path(data, "a.png"), tmp_path / "link"
        Image.new("L", (5, 5)).save(file)
        link.symlink_to(data)
        for given in (data, str(link)):
            assert confined(ordinary.sees, given, readable=(given,), walls=walls) == 5
        arguments = (data, str(file), str(file))
        assert confined(hostile_files.writes, *arguments, readable=(data,), walls=walls) == []
        monkeypatch.setattr(tempfile, "tempdir", data)
        assert confined(ordinary.keeps, walls=walls)
        assert confined(ordinary.fits_with_threads, walls=walls) > 0.8


@WALLS
def test_its_own_folder_is_a_home_for_temporary_files(walls):
    assert confined(ordinary.keeps, walls=walls)


@WALLS
def test_a_thread_has_a_name(walls):
    assert confined(ordinary.names_a_thread, walls=walls) == "named"


@WALLS
def test_models_of_scikit_learn_use_threads(walls):
    assert confined(ordinary.fits_with_threads, walls=walls) > 0.8


@pytest.mark.slow
@WALLS
@pytest.mark.parametrize(("library", "function", "answer"), _LIBRARIES)
def test_a_library_predicts(library, function, answer, walls):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    assert confined(function, walls=walls) == answer


_FROM_NOTHING = """
import os, sys
import ordinary
from audits.execution.cell import Cell, Inside, enter, held
inside = Inside(Cell("0", "Why."), sys.argv[1], ())
environment = inside.environment(os.environ)
enter(inside)
os.environ.update(environment)
assert "torch" not in sys.modules and "numpy" not in sys.modules
assert held().reading
print(ordinary.passes(2))
"""


@pytest.mark.slow
def test_libraries_are_imported_in_the_cell_if_they_were_not_before(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", _FROM_NOTHING, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert told.stdout.strip() == "576.0", told.stderr
