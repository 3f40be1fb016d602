"""Whether a model answers alike in whatever form its input arrives, and on whatever server.

Servers compute (pixel - mean) / std by other formulas and in other dtypes, resize images as floats
or bytes, and hand over a row of a larger batch or an array with channels last. They ask many images
at once, with other numbers of threads. A network may look at any of it, and be another one for its
users than for an audit.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from audits.errors import Contradicted
from audits.execution import pixel_forms, served_batches, served_classes
from audits.execution.asking import Asking, steadily
from audits.execution.memory_places import COMMON, ORDERS, given_from, places
from audits.execution.other_rounding import other_roundings
from audits.execution.served_batches import Inside, Others
from audits.execution.server_settings import (
    ON_THREADS,
    numbers_of_threads,
    rough_settings,
    settings,
)
from audits.models.adapter import NETWORK_ERRORS, AdaptedNet, own_runtimes
from fillblanks import Classifier
from fillblanks.memory import is_short
from fillblanks.precision import REDUCED

IMAGES = 16
"""The images that are asked, at most."""
_NEAR = 1e-5  # of a whole level, for images that were stored with 8 bits
_HALVES = (torch.float16, torch.bfloat16)
_WHOLE = (torch.uint8, torch.int32, torch.int64)
_DIGITS = (3, 4, 5, 6)  # behind the point
_ROUGH = 1 / 2  # the share of images whose class half precision may change
_MOVED = 1 / 4  # the share of images whose class half a level may change
_BANDED = 1 / 2  # that share if rounding draws bands; sure answers are held to the other one
_ROUNDED, _ROUNDED_IF_QUICK = 2, 6  # times that all is rounded otherwise, in each way
_RENAMED = 1 / 4  # the share of images whose class that may change
_WAYS = 2  # places and settings that are drawn for larger batches
_CHANCE = random.SystemRandom()  # nobody can foresee it

Norm = tuple[Sequence[float], Sequence[float]]


def expect_same_answers(
    classifier: Classifier,
    images: Tensor,
    *,
    only_classes: bool,
    norm: Norm | None = None,
    dtype: torch.dtype | None = None,
    resized: Mapping[str, Tensor] | None = None,
    others: Others | None = None,
    in_order: Others | None = None,
    any_channels: bool = False,
) -> None:
    """Asks up to `IMAGES` of `images` (N, C, H, W) in [0, 1] in several forms.

    `norm` are mean and std of pixels in [0, 1] as servers know them, by default those of the
    classifier, which are rounded to its dtype. `dtype` is that of the inputs that the network gets
    from servers, by default the classifier's. `resized` are the same images as servers resize them,
    by the way in words. `others` gives further images, which fill large batches, and
    `in_order` images in the order of the data. If nobody names the number of channels
    (`any_channels`), grey images are asked with three equal channels too.

    Raises Contradicted if more images than rounding explains are answered otherwise, or if the
    network changes, and whatever it raises for images. Only with channels last, in other dtypes
    or numbers of channels, in large batches and on other settings it may raise an error: its users
    would see it. In another form an error is a contradiction, if the images are still answered.
    """
    with steadily(classifier):
        dtype = dtype or classifier.dtype
        asking = Asking.of(classifier, images[:IMAGES], only_classes, dtype)
        try:
            norm = _norm_of(classifier) if norm is None else norm
            _ask_all(asking, norm, resized or {}, others)
            if in_order is not None:
                served_batches.ask_in_order(asking, in_order)
            if any_channels and images.shape[1] == 1:
                _ask_three_channels(asking)
        except NETWORK_ERRORS as error:
            if is_short(error) or isinstance(error, Contradicted):
                raise
            asking.ask_again(error)


def _norm_of(classifier: Classifier) -> Norm:
    mean, std = (one.flatten().tolist() for one in (classifier.mean, classifier.std))
    return mean, std


def _ask_all(
    asking: Asking, norm: Norm, resized: Mapping[str, Tensor], others: Others | None
) -> None:
    _ask_elsewhere(asking)
    for form, which, inputs in _forms(asking, norm):
        asking.expect_same(asking.answers(inputs), form, which)
    _ask_other_dtypes(asking, norm)
    _ask_between_levels(asking, norm)
    _ask_resized(asking, resized)
    served_batches.ask_as_rows(asking)
    served_batches.ask_filled_up(asking)
    served_classes.expect_one_class(asking.usual)
    if not asking.only_classes:  # trees and neighbours may hold two classes for nearly equal
        served_classes.expect_told_apart(asking.usual)
    _ask_on_settings(asking)
    _ask_on_threads(asking)
    _ask_rounded(asking)
    served_batches.ask_in_company(asking, others)
    served_batches.ask_in_company_inside(asking, _ways(asking))


def _ask_on_settings(asking: Asking) -> None:
    some, several = range(asking.few_of_settings), range(asking.several)
    for form, inside in settings(asking.classifier.net, many=asking.is_quick):
        with inside:
            asking.ask_tolerantly(asking.inputs[: len(some)], form, some)
    for form, inside in rough_settings(asking.classifier.net, asking.inputs.device):
        with inside:
            asking.ask_tolerantly(asking.inputs[: len(several)], form, several, _ROUGH)


def _ask_on_threads(asking: Asking) -> None:
    some = range(min(ON_THREADS, len(asking.images)))
    for form, inside in numbers_of_threads(asking.classifier.net, many=True):
        with inside:
            found = asking.answers(asking.inputs[: len(some)])
        asking.expect_same(found, form, some)


def _ask_rounded(asking: Asking) -> None:
    """Answers that hang on rounding would be others on machines that nobody can try here.

    A network that a runtime of its own answers is asked in torch, if it can be.
    """
    some = range(asking.few_of_settings)
    with ExitStack() as inside:
        runtimes = own_runtimes(asking.classifier.net)
        if not all(inside.enter_context(one.in_torch()) for one in runtimes):
            return
        usual = asking.answers(asking.inputs[: len(some)]) if runtimes else asking.usual
        each = _ROUNDED_IF_QUICK if asking.is_quick else _ROUNDED
        for form, rounded in other_roundings(each):
            with rounded:
                found = asking.answers(asking.inputs[: len(some)])
            if not _gives_probabilities(asking.classifier):
                asking.expect_same(found, form, some, usual, rounding=REDUCED)
            asking.expect_same(found, form, some, usual, _RENAMED)


def _gives_probabilities(classifier: Classifier) -> bool:
    """Whether logits are made of probabilities: of those near 1 rounding makes any large logit."""
    adapted = [one for one in classifier.net.modules() if isinstance(one, AdaptedNet)]
    return any(one.adaptation.outputs.scale == "probabilities" for one in adapted)


def _ways(asking: Asking) -> Iterator[tuple[str, Inside]]:
    """Places in memory, the most common ones and drawn ones, and drawn settings."""
    net = asking.classifier.net
    places = {form: given_from(net, place) for form, place in asking.places.items()}
    yield from ((form, places.pop(form)) for form in COMMON if form in places)
    for ways in (places.items(), settings(net, many=False)):
        yield from _drawn(ways)


def _drawn(ways: Iterable[tuple[str, Inside]]) -> list[tuple[str, Inside]]:
    """Some of them by chance. Each may hold a session with all weights, so few are kept at once."""
    kept: list[tuple[str, Inside]] = []
    for seen, way in enumerate(ways):
        if seen < _WAYS:
            kept.append(way)
        elif (at := _CHANCE.randrange(seen + 1)) < _WAYS:
            kept[at] = way
    return kept


def _ask_elsewhere(asking: Asking) -> None:
    """Inputs elsewhere in memory. If their order is another one, the network may raise an error."""
    some = range(asking.few)
    for form, place in places(asking.inputs.device).items():
        asking.expect_same(asking.answers(asking.inputs[: len(some)], place), form, some)
        asking.places[form] = place
    for form, place in ORDERS.items():
        if asking.ask_tolerantly(asking.inputs[: len(some)], form, some, place=place):
            asking.places[form] = place


def _levels(images: Tensor) -> tuple[Tensor, bool]:
    """Pixels from 0 to 255, float32 on the CPU, and whether they were stored with 8 bits."""
    levels = images * pixel_forms.LEVELS
    stored = bool((levels - levels.round()).abs().max() < _NEAR * pixel_forms.LEVELS)
    return (levels.round() if stored else levels).float().cpu(), stored


def _by_formulas(
    asking: Asking, levels: Tensor, norm: Norm, dtype: torch.dtype
) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Inputs by each formula of servers, in `dtype`, and which images they are of."""
    at, count = 0, len(levels)
    for formula in pixel_forms.formulas(*norm, dtype):
        which = [(at + i) % count for i in range(asking.few)]
        at += asking.few
        yield which, formula(levels[which]).to(asking.inputs.device)


def _forms(asking: Asking, norm: Norm) -> Iterator[tuple[str, Sequence[int], Tensor]]:
    """Inputs with other last bits, and which images they are of."""
    widest = torch.promote_types(asking.inputs.dtype, asking.dtype)  # of audit and servers
    levels, stored = _levels(asking.images)
    for which, scaled in _by_formulas(asking, levels, norm, asking.dtype):
        yield "with pixels scaled by another formula", which, scaled.to(widest)
    some, inputs = range(asking.few), asking.inputs[: asking.few].to(widest)
    if stored:
        other = pixel_forms.of_levels(inputs, levels[: asking.few].to(inputs), asking.dtype)
        yield "with other last bits for each level", some, other
    yield "with other last bits", some, pixel_forms.of_pixels(inputs, asking.dtype)


def _ask_other_dtypes(asking: Asking, norm: Norm) -> None:
    """NumPy's formulas give doubles, and pixels as they are stored are whole numbers.

    A network of weights alone takes one dtype.
    """
    own = (asking.dtype, asking.inputs.dtype)
    levels, _ = _levels(asking.images)
    for dtype in (torch.float32, torch.float64):
        if dtype in own:
            continue
        for which, scaled in _by_formulas(asking, levels, norm, dtype):
            if not asking.ask_tolerantly(scaled, f"given as {dtype}", which):
                break
    for dtype in _HALVES:
        if dtype not in own:
            several, halves = range(asking.several), asking.inputs[: asking.several].to(dtype)
            asking.ask_tolerantly(halves, f"given as {dtype}", several, _ROUGH)
    whole = asking.inputs[: asking.few].round()
    if (whole - asking.inputs[: asking.few]).abs().max() < _NEAR * pixel_forms.LEVELS:
        for dtype in _WHOLE:
            asking.ask_tolerantly(whole.to(dtype), f"given as {dtype}", range(asking.few))


def _ask_between_levels(asking: Asking, norm: Norm) -> None:
    """Pixels that 8 bits cannot tell. Half a level may change a few classes, and any logit."""
    few = asking.several
    some = asking.images[:few]
    found = asking.of_images(pixel_forms.of_more_bits(some))
    form = "with pixels between the levels of 8 bits"
    asking.expect_same(found, form, range(few), moved=_MOVED)
    for name, steps in pixel_forms.lattices(all_of_them=asking.is_quick).items():
        on = pixel_forms.on_lattice(some.double(), steps)
        off = pixel_forms.beside(on, steps)
        found, usual = map(asking.of_images, (on, off))
        asking.expect_same(found, f"with pixels {name}", range(few), usual, _MOVED)
    level = 1 / (pixel_forms.LEVELS * max(norm[1]))  # from one to the next, as the network has it
    for digits in (digits for digits in _DIGITS if 10**-digits <= level):  # of a JSON
        found = asking.answers(asking.inputs[:few].round(decimals=digits))
        asking.expect_same(found, f"rounded to {digits} digits", range(few), moved=_MOVED)
    halves = [row.to(_HALVES[i % 2]).to(row) for i, row in enumerate(asking.inputs[:few])]
    found = asking.answers(torch.stack(halves))
    asking.expect_same(found, "rounded to half precision", range(few), moved=_MOVED)


def _ask_resized(asking: Asking, resized: Mapping[str, Tensor]) -> None:
    """Images as servers resize them: the audit's own, smaller ones and larger ones."""
    for way, images in _some_of(resized, asking):
        expect_similar(asking, asking.of_images(images), f"resized {way}", asking.usual)
    floats = pixel_forms.resized(asking.images.float())
    found, usual = map(asking.of_images, (floats, pixel_forms.rounded(floats)))
    expect_similar(asking, found, "resized as floats", usual)
    images, quick = asking.images.float().cpu(), asking.is_quick
    for factor, by_way in pixel_forms.enlarged(images, all_of_them=quick):
        for way, found in _some_of(by_way, asking):
            on, beside = map(asking.of_images, (found, pixel_forms.of_more_bits(found)))
            expect_similar(asking, on, f"enlarged {factor} times {way}", beside)


def _some_of(by_way: Mapping[str, Tensor], asking: Asking) -> list[tuple[str, Tensor]]:
    """All of them for a quick network, one for another; nobody can foresee which."""
    ways = list(by_way.items())
    return ways if asking.is_quick or not ways else [_CHANCE.choice(ways)]


def expect_similar(asking: Asking, found: Tensor, form: str, usual: Tensor) -> None:
    """Raises Contradicted if more classes change than resizing explains.

    Rounded levels draw bands in smooth areas, which change the classes of unsure answers.
    """
    best = usual.topk(2, 1).values
    surest = (best[:, 0] - best[:, 1]).argsort(descending=True, stable=True)
    surest = surest[: -(-len(surest) // 2)]
    asking.expect_same(found[surest], f"{form} and answered surely", surest.tolist(), usual, _MOVED)
    asking.expect_same(found, form, range(len(found)), usual, _BANDED)


def _ask_three_channels(asking: Asking) -> None:
    three = asking.inputs[: asking.few].expand(-1, 3, -1, -1).contiguous()
    asking.ask_tolerantly(three, "with three equal channels", range(asking.few))
