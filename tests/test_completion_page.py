"""benchmarks/completion: the page tells what was measured, and nothing else."""

import re
import struct
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from audits.checks.completion import Completion
from fillblanks import Classifier, Recipe, Spectrum

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT / "benchmarks"))

from completion import asked, figures, imagenet, page, tables  # noqa: E402
from completion.__main__ import options  # noqa: E402
from completion.kept import Kept, Missing  # noqa: E402
from completion.measure import IMAGENET, Agreed, Row  # noqa: E402
from completion.photographs import Photograph, names_the_class  # noqa: E402
from completion.protocol import QUICK, STANDARD  # noqa: E402
from completion.resources import files  # noqa: E402

_LITE_0, _SQUEEZENET = "EfficientNet-Lite0", "SqueezeNet 1.1"


def _row(model, data=IMAGENET, reference=_LITE_0, way=asked.MANY, right=8, n=8, start=40):
    """A row of `n` images, of which the reference tells `right` apart; the others are ties."""
    gap = np.where(np.arange(n) < right, 2.0, 0.0)
    table = pd.DataFrame(
        {
            "own": np.full(n, 0.9),
            "gap_label": gap,
            "gap_foil": np.zeros(n),
            "probability": np.full(n, 0.75),
            "probability_start": np.full(n, 0.5),
            "foil_probability": np.full(n, 0.25),
            "foil_probability_start": np.zeros(n),
            "place": np.where(np.arange(n) < 6, 1, 9),
            "place_start": np.full(n, start),
            "place_whole": np.ones(n, dtype=int),
        }
    )
    informed = not model.endswith("weights")
    return Row(data, model, reference, way, informed, float("nan"), table)


def _measured(rows, missing=(), named=(True,) * 6 + (False,) * 2):
    picture = Photograph("erase", "resource", "koala", torch.zeros(3, 4, 4))
    agreed = Agreed([picture] * 9, torch.zeros(9, dtype=torch.int64), [picture], "ab" * 32)
    return page.Measured(STANDARD, list(rows), agreed, np.array(named), list(missing), [], 12.3)


def _cells(text, model, reference=_LITE_0):
    """The cells of the first table's line of a model."""
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return next(line for line in lines if line[1:3] == [model, reference])


def test_a_row_has_the_figures_of_its_images():
    text = page.text(_measured([_row(_SQUEEZENET, right=6)]), "completion")
    cells = _cells(text, _SQUEEZENET)
    assert cells[3] == "8"
    assert cells[4].startswith(".88 (")  # six right and two ties
    assert cells[5].startswith("1.5 (")
    assert cells[6].startswith(".25 (")
    assert cells[7].startswith(".25 (")
    assert cells[8] == ".00"
    assert cells[9].startswith(".75 (")
    assert cells[10] == "1.00"
    assert "could tell in 7 of 8 images which fill" in text.replace("\n", " ")
    assert "12 minutes of CPU time" in text
    assert "the 10 opaque photographs" in text
    assert "begins with abababababab." in text.replace("\n", " ")
    assert "9 photographs have one, and 8 of them" in text.replace("\n", " ")
    assert "6 of the 8 files" in text.replace("\n", " ")


def test_few_classes_are_told_by_the_first_answer():
    rows = [_row("plain", "MNIST", "small VGG"), _row(_SQUEEZENET)]
    assert [tables.place(row) for row in rows] == ["reference_top1", "reference_top5"]


def test_a_network_is_compared_with_the_plain_one_of_its_data_alone():
    rows = [
        _row("plain", "MNIST", right=4),
        _row("noise-trained", "MNIST", right=6),
        _row("noise-trained", "CIFAR10"),
        _row("noise-trained", "MNIST", way=asked.ONE),
    ]
    (found,) = figures.compared(rows)
    assert found.row is rows[1]
    assert found.gap.value == pytest.approx(0.5)
    assert found.foil_lift.value == 0
    assert "| MNIST | noise-trained | 8 | +0.5 (" in tables.against_plain(rows)


def test_the_lowest_pair_of_trained_networks_is_told():
    rows = [
        _row(_SQUEEZENET, right=6),
        _row(_LITE_0, reference=_SQUEEZENET, start=3),
        _row(f"{_SQUEEZENET}, random weights", right=0),
        _row(_SQUEEZENET, way=asked.ONE, right=0),
    ]
    text = page.text(_measured(rows), "completion").replace("\n", " ")
    assert "Over 2 pairs of networks the lowest forced choice is .88 (" in text
    assert "for at most 1.00 of the smooth" in text
    chance = re.search(r"random weights have a forced choice of\s+(\S+) \(", text)
    assert chance.group(1) == ".50"
    assert "Of 1 rows of networks that know nothing, 1 have .5 in the interval." in text


def test_figures_of_the_photographs_that_people_named():
    row = _row(_SQUEEZENET, right=6)
    named = np.arange(8) >= 6
    (line,) = tables.named_too([row], named).splitlines()[2:]
    assert line.split(" | ")[3] == "2"
    assert line.split(" | ")[4].startswith(".50 (")


def test_what_was_not_finished_is_told():
    text = page.text(_measured([], ["MNIST: from weights MNIST plain on"]), "completion")
    assert "- MNIST: from weights MNIST plain on" in text
    assert "(not finished)" in text
    assert "not finished" not in page.text(_measured([_row(_SQUEEZENET)]), "x").split("## ")[0]


def test_the_command_line_names_size_and_places():
    usual = options([])
    assert (usual.quick, usual.finished) == (False, False)
    assert usual.page == _ROOT / "docs/completion.md"
    quick = options(["--quick", "--folder", "/x", "--photographs", "/y"])
    assert (quick.quick, quick.folder, quick.page) == (
        True,
        Path("/x/quick"),
        Path("/x/quick/completion.md"),
    )
    assert quick.photographs == Path("/y")
    make = (_ROOT / "Makefile").read_text()
    assert "-m completion $(if $(QUICK),--quick)" in make
    assert QUICK.steps < STANDARD.steps


def test_a_part_is_made_once(tmp_path):
    kept, made = Kept(tmp_path), []

    def make():
        made.append(1)
        return {"a": np.arange(3)}

    for _ in range(2):
        assert kept("a part", 1, make)["a"].tolist() == [0, 1, 2]
    assert len(made) == 1
    kept("a part", 2, make)
    assert len(made) == 2
    assert [file.suffix for file in tmp_path.iterdir()] == [".npz", ".npz"]
    with pytest.raises(Missing, match="a part"):
        Kept(tmp_path, finished=True)("a part", 3, make)


def _given(classes=5):
    torch.manual_seed(0)
    images = torch.rand(6, 1, 16, 16)
    return asked.Given(
        images,
        torch.arange(6) % classes,
        torch.arange(6) + 100,
        Spectrum.of(torch.rand(10, 1, 16, 16)),
        tuple(map(str, range(classes))),
        Recipe.of(16, 16, steps=16),
    )


def _net(seed):
    """A linear network of smooth templates, which hardly change if an image is moved a little."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 5))
    return Classifier(net.requires_grad_(False), constant=True)


def test_foils_are_those_of_the_check():
    given = _given()

    class Audit:
        seed, classes = 0, given.classes

    wanted = Completion()._foils(Audit(), given.indices, given.labels)
    assert torch.equal(given.foils, wanted)
    assert not (given.foils == given.labels).any()


def test_a_constant_answer_has_only_ties(tmp_path):
    constant = Classifier(imagenet.Constant(5).requires_grad_(False), constant=True)
    found = asked.asked(Kept(tmp_path), "constant", constant, _given(), {"reader": _net(1)})
    row = Row("x", "constant", "reader", asked.MANY, False, 0.2, found[asked.MANY, "reader"])
    assert figures.metrics(row)["forced_choice"].estimate.value == 0.5


def test_a_network_that_is_its_own_reference_reads_what_it_drew(tmp_path):
    net, given = _net(0), _given()
    found = asked.asked(Kept(tmp_path), "own", net, given, {"itself": net})
    for way in (asked.MANY, asked.ONE):
        row = Row("x", "net", "itself", way, True, 0.2, found[way, "itself"])
        assert figures.metrics(row)["forced_choice"].estimate.value == 1
    table = found[asked.MANY, "itself"]
    done = given.filled(net, given.labels)
    wanted = net(done.image).softmax(1).gather(1, given.labels[:, None])[:, 0]
    assert table["own"].to_numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


def test_permuted_outputs_leave_no_class_in_its_place():
    places = imagenet.Permuted(nn.Identity(), 1000).places
    assert sorted(places.tolist()) == list(range(1000))
    assert not (places == torch.arange(1000)).any()


def _container(content, flags=0):
    """A container with one folder, `a`, and in it one file, `b.webp`."""
    names = b"".join(
        struct.pack(">HI", len(name), 0) + name.encode("utf-16-be") for name in ("a", "b.webp")
    )
    second = 6 + 2
    tree = struct.pack(">IHIIQ", 0, 2, 1, 1, 0)  # the root: one child, from entry 1
    tree += struct.pack(">IHIIQ", 0, 2, 1, 2, 0)
    tree += struct.pack(">IHHHIQ", second, flags, 0, 0, 0, 0)
    data = struct.pack(">I", len(content)) + content
    start = 20
    head = struct.pack(">4sIIII", b"qres", 2, start, start + len(tree), start + len(tree + data))
    return head + tree + data + names


def test_a_resource_container_gives_its_files(tmp_path):
    file = tmp_path / "x.rcc"
    file.write_bytes(_container(b"picture"))
    assert list(files(file)) == [("/a/b.webp", b"picture")]
    file.write_bytes(_container(b"picture", flags=4))
    assert list(files(file)) == []
    file.write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="Expected a Qt resource container"):
        list(files(file))


@pytest.mark.parametrize(
    ("name", "class_names", "same"),
    [
        ("red_panda", "lesser panda, red panda, cat bear", True),
        ("camels", "Arabian camel, dromedary", True),
        ("schwerinPalace", "palace", True),
        ("solar4", "solar dish, solar collector", True),
        ("giraffe", "jaguar, panther", False),
        ("operaHouse", "planetarium", False),
    ],
)
def test_a_file_is_named_after_a_class_if_they_share_a_word(name, class_names, same):
    found = Photograph("erase", "resource", name, torch.zeros(3, 4, 4))
    assert names_the_class(found, class_names) is same
