"""Loads an exported network from an archive that is written anew. For the child process alone."""

import tempfile
from pathlib import Path

import torch
from torch import nn

from audits.errors import ModelRefused, shortened
from audits.models.pt2.archive import Archive, expect_file
from audits.models.pt2.program import Program
from audits.models.pt2.raw_kernels import check_kernels
from audits.models.pt2.writing import write_archive


def load_exported(path: Path, device: str) -> nn.Module:
    """The network in an archive of torch.export, on `device` ("cpu" or "cuda").

    The archive is read, and torch is given another, which is written from what was read. Raises
    ModelRefused.
    """
    expect_file(path)
    with tempfile.TemporaryDirectory(prefix="fillblanks-pt2-") as folder:
        anew = Path(folder) / "model.pt2"
        with path.open("rb") as stream, anew.open("wb") as target:
            archive = Archive.read(stream)
            write_archive(archive, target)
        try:
            return _loaded(anew, archive.program, device)
        except ModelRefused:
            raise
        except Exception as error:  # a program that contradicts itself fails anywhere in torch
            raise ModelRefused(
                f"Expected a pt2 archive that torch {torch.__version__} loads, got "
                f"{type(error).__name__}: {shortened(error, 200)}. Export the network anew."
            ) from error


def _loaded(path: Path, read: Program, device: str) -> nn.Module:
    # torch.export takes seconds to load, and every process loads this module.
    # torch.export.load would hide the reason of a failure and try an older format instead.
    from torch.export.pt2_archive._package import load_pt2

    from audits.models.pt2.read_back import expect_same_graph

    program = load_pt2(str(path)).exported_programs["model"]
    expect_same_graph(read, program)
    if device == "cuda":
        # An exported program keeps its device, so its graph is rewritten for the GPU.
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, "cuda")
    net = program.module()
    check_kernels(net)
    return net
