"""No crafted archive runs code: each is refused in one line, or loads without what was put in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from attacks import ATTACKS, Attack
from crafting import Crafted, Pooled, crafted, export
from plain_torch import load_and_run

from audits.errors import ModelRefused
from audits.execution.cell import Cell, Held, held
from audits.execution.worker import Worker
from audits.models.pt2 import check_archive, load_exported
from audits.models.pt2.archive import Archive
from audits.models.pt2.writing import write_archive

_SUPPORT = Path(__file__).parents[1] / "support"
_READ = "2.15."  # the torch whose loader SECURITY.md describes; another may run fewer attacks
_LIVE = [attack for attack in ATTACKS if attack.live]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The archive of a network for any batch, height and width."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("real") / "model.pt2"
    return export(Pooled(), file, torch.zeros(2, 3, 9, 9), 0, 2, 3)


def _craft(real: Path, attack: Attack, folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    canary = folder / "canary"
    return crafted(real, canary, attack.change, folder / "model.pt2"), canary


def test_the_real_archive_answers_as_torch_loads_it(real, tmp_path):
    file = crafted(real, tmp_path / "canary", lambda made: None, tmp_path / "model.pt2")
    images = torch.randn(5, 3, 11, 13)
    for one in (real, file):
        check_archive(one)
        wanted = torch.export.load(one).module()(images)
        assert torch.equal(load_exported(one, "cpu")(images), wanted)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_a_crafted_archive_runs_nothing(attack, real, tmp_path):
    file, canary = _craft(real, attack, tmp_path / "attack")
    refused = None
    try:
        check_archive(file)
        load_exported(file, "cpu")(torch.zeros(2, 3, 9, 9))
    except ModelRefused as error:
        refused = str(error)
    assert not canary.exists()
    assert (refused is not None) == attack.refused
    assert not refused or ("\n" not in refused and refused.startswith("Expected "))


@pytest.mark.soak
@pytest.mark.skipif(not torch.__version__.startswith(_READ), reason=f"torch is not {_READ}x")
def test_live_attacks_run_their_code_in_torch(real, tmp_path):
    made = [_craft(real, one, tmp_path / str(at)) for at, one in enumerate(_LIVE)]
    files = [str(file) for file, _ in made]
    subprocess.run(
        [sys.executable, "-m", "plain_torch", *files],
        env={**os.environ, "PYTHONPATH": str(_SUPPORT)},
        check=False,
        timeout=600,
    )
    silent = [str(one) for one, (_, canary) in zip(_LIVE, made, strict=True) if not canary.exists()]
    assert silent == [], "these attacks were harmless, and their tests prove nothing"


def test_the_archive_that_is_loaded_has_the_same_bytes_each_time(real, tmp_path):
    noted = tmp_path / "noted.pt2"

    def note(made: Crafted) -> None:
        made.node("relu")["metadata"]["stack_trace"] = "elsewhere"
        made.records["extra/README"] = b"A word."

    crafted(real, tmp_path / "canary", note, noted)
    written = []
    # The last is the first of the new archives: reading it and writing it anew changes nothing.
    for number, file in enumerate((real, real, noted, tmp_path / "0")):
        with file.open("rb") as stream, (tmp_path / str(number)).open("wb") as target:
            write_archive(Archive.read(stream), target)
        written.append((tmp_path / str(number)).read_bytes())
    assert len(set(written)) == 1


@pytest.mark.slow
@pytest.mark.skipif(not torch.__version__.startswith(_READ), reason=f"torch is not {_READ}x")
def test_code_that_runs_all_the_same_reaches_nothing_out_of_the_cell(real, tmp_path):
    made = [_craft(real, one, tmp_path / str(at)) for at, one in enumerate(_LIVE)]

    def ran(**reach):
        with Worker() as worker:
            cell = Cell("0", "The checks of archives are switched off.", **reach)
            for file, _ in made:
                worker.call(load_and_run, str(file), seconds=120, cell=cell)
            found = worker.call(held, seconds=120, cell=cell, gives=Held)
        return found.files, sum(canary.exists() for _, canary in made)

    folder = str(tmp_path)
    walls, reached = ran(readable=(folder,))
    if not walls:
        pytest.skip("this kernel refuses the walls of files")
    assert reached == 0
    _, reached = ran(readable=(folder,), writable=(folder,))
    assert reached > len(_LIVE) // 2, "the code did not run in the cell, and this proves nothing"
