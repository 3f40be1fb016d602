"""The page: measures everything in order, and writes it with `page.md.j2`."""

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from prose import filled, machine, page_template

from audits.checks._completion.figures import sentence
from completion import photographs, pictures, protocol, tables
from completion.asked import MANY, ONE
from completion.figures import metrics, null_of
from completion.imagenet import LITE_0, SQUEEZENET_1_1
from completion.kept import Kept, Missing
from completion.measure import IMAGENET, Agreed, Bench, Row
from completion.protocol import QUICK, SIDE, SMALL, Size
from fillblanks import Recipe

_VERSIONS = ("fillblanks", "torch", "torchvision", "scikit-learn", "numpy")
_UNKNOWN = "(not finished)"
_CHANCE = 0.5


@dataclass(frozen=True)
class Measured:
    """All that the page tells."""

    size: Size
    rows: list[Row]
    photographs: Agreed
    named_too: np.ndarray  # bool, of the photographs that are filled: a person names the class too
    missing: list[str]  # what was not finished
    shown: list[str]  # the pictures that were drawn
    minutes: float  # of CPU time


def write(size: Size, folder: Path, page: Path, place: Path, finished: bool) -> None:
    """Measures with this size and writes the page; pictures go to a folder beside it.

    `place` has the photographs. With `finished` nothing is measured that is not kept in `folder`.
    """
    kept = Kept(folder / "parts", finished)
    bench = Bench(kept, size, place)
    rows, drawn = bench.rows(), page.parent / page.stem
    shown = [name for name in ("photographs", *SMALL) if _draw(bench, name, drawn)]
    named, minutes = bench.named_too, kept.seconds / 60
    found = Measured(size, rows, bench.agreed, named, bench.missing, shown, minutes)
    page.write_text(filled(text(found, drawn.name)), encoding="utf-8")
    print(f"written to {page}", flush=True)


def _draw(bench: Bench, name: str, drawn: Path) -> bool:
    """Whether the picture could be drawn."""
    try:
        if name in SMALL:
            pictures.small(bench, name, drawn / f"{name.lower()}.png")
        else:
            pictures.photographs(bench, drawn / "photographs.jpg")
    except Missing as missing:
        bench.missing.append(f"picture of {name}: from {missing} on")
        return False
    return True


def text(found: Measured, folder: str) -> str:
    """The page as Markdown; `folder` has its pictures."""
    template = page_template(Path(__file__).parent)
    rows, size = found.rows, found.size
    recipes = {side: Recipe.of(side, side, steps=size.steps) for side in (SIDE, 32, 28)}
    return template.render(
        found=found,
        protocol=protocol,
        size=size,
        quick=size is QUICK,
        package=photographs.PACKAGE,
        credits=", ".join(f"{name} by {by}" for name, by in pictures.CREDITS.items()),
        headline=_headline(rows, recipes[SIDE].mask_ratio),
        figure=lambda *names: _figure(rows, *names),
        worst=_worst(rows),
        at_chance=_at_chance(rows),
        main=tables.main(rows),
        one_step=tables.one_step(rows),
        against_plain=tables.against_plain(rows),
        named_too=tables.named_too(rows, found.named_too),
        imagenet=IMAGENET,
        one=ONE,
        squeezenet=SQUEEZENET_1_1,
        lite_0=LITE_0,
        recipes={side: _told(asdict(recipe)) for side, recipe in recipes.items()},
        folder=folder,
        machine=machine(),
        python=platform.python_version(),
        versions=", ".join(f"{name} {version(name)}" for name in _VERSIONS),
        sizes=_told(asdict(size)),
    )


def _found(rows: list[Row], data: str, model: str, way: str, reference: str = "") -> list[Row]:
    """Rows by data, model and way and, if it is given, by reference."""
    return [
        row
        for row in rows
        if (row.data, row.model, row.way) == (data, model, way)
        and (not reference or row.reference == reference)
    ]


def _figure(rows: list[Row], metric: str, data: str, model: str, way: str = MANY) -> str:
    """A figure with its interval, by the first reference."""
    found = _found(rows, data, model, way)
    if not found:
        return _UNKNOWN
    return tables.interval(metrics(found[0])[metric].estimate, 1 if metric == "gap" else 2)


def _headline(rows: list[Row], mask_ratio: float) -> str:
    """The sentence that the check gives for SqueezeNet, read by EfficientNet-Lite0."""
    found = _found(rows, IMAGENET, SQUEEZENET_1_1, MANY, LITE_0)
    if not found:
        return _UNKNOWN
    return sentence(len(found[0].table), metrics(found[0]), mask_ratio, 1_000)


def _worst(rows: list[Row]) -> str:
    """The lowest figures of the pairs of trained ImageNet networks."""
    pairs = [row for row in rows if row.data == IMAGENET and row.way == MANY and row.informed]
    if not pairs:
        return _UNKNOWN
    found = [metrics(row) for row in pairs]
    choice = min((one["forced_choice"].estimate for one in found), key=lambda e: e.value)
    top = min((one["reference_top5"].estimate for one in found), key=lambda e: e.value)
    start = max(null_of(one["reference_top5"]).value for one in found)
    return (
        f"Over {len(pairs)} pairs of networks the lowest forced choice is "
        f"{tables.interval(choice)}. The class is among the reference's first five for at least "
        f"{tables.interval(top)} of the fills, and for at most {tables.share(start)} of the smooth "
        "interpolations."
    )


def _at_chance(rows: list[Row]) -> str:
    """How many networks without knowledge are at chance."""
    found = [row for row in rows if row.way == MANY and not row.informed]
    choices = [metrics(row)["forced_choice"].estimate for row in found]
    holds = sum(one.low <= _CHANCE <= one.high for one in choices)
    return f"Of {len(found)} rows of networks that know nothing, {holds} have .5 in the interval."


def _told(values: dict[str, object]) -> str:
    return ", ".join(f"`{name}` {value}" for name, value in values.items())
