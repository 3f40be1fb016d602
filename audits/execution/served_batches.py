"""Whether a model answers alike in whatever batch a server asks an image."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from audits.errors import AuditError
from audits.execution import pixel_forms
from audits.execution.asking import Asking
from audits.execution.peak import peak_gib, reset_peak
from audits.execution.served_classes import expect_one_class
from audits.models.adapter import NETWORK_ERRORS
from fillblanks.memory import is_short

# Rows of batches, those of many servers among them; of a slow network two of the small ones.
_SMALL, _OF_SLOW = (2, 3, 5, 6, 7, 8, 10, 12, 20, 24, 32, 48), 2
_LARGE = (64, 96, 100, 128, 200, 256, 500, 512, 1000, 1024, 2048, 4096, 8192, 16384)
_SECONDS = {64: 0.5, 256: 0.5, 1024: 0.5, 4096: 0.5, 16384: 0.25}  # for one batch at most
_SECONDS_OF_OTHERS = 0.03
_GIB = 1.0  # by which memory may grow for one
_MOST_OTHERS, _READING = 4096, 0.25  # other images of the data, and seconds for reading them
_IN_ORDER = 256  # rows of a batch in the data's order, at most
_FILLED = (4, 8, 32)  # rows of a batch that is filled up
_SIZES = range(2, 65)  # one of which is filled up too
_LEAST_INSIDE, _MOST_INSIDE, _SECONDS_INSIDE = 9, 128, 1.0  # rows of a batch inside a context
_CHANCE = random.SystemRandom()  # nobody can foresee it

Inside = AbstractContextManager[None]
Others = Callable[[int], Tensor]
"""Gives up to so many further images (n, C, H, W) in [0, 1], none of those that are asked."""


def ask_as_rows(asking: Asking) -> None:
    """Asks images as rows of a larger batch, each of which begins behind another one."""
    behind = torch.cat([asking.inputs[-1:], asking.inputs])[: asking.few + 1]
    net = asking.classifier.net
    found = torch.cat([net(behind[n : n + 1]) for n in range(1, len(behind))])
    asking.expect_same(found, "as rows of a larger batch", range(asking.few))


def ask_filled_up(asking: Asking) -> None:
    """Servers fill a batch up to its size: behind the images, or before them in a ring."""
    some, net = asking.inputs[: asking.few], asking.classifier.net
    black = asking.classifier.normalised(torch.zeros_like(asking.images[:1]))
    rows = {"zeros": torch.zeros_like(some[:1]), "black images": black}
    for size, count in _fillings(many=asking.is_quick):
        first = _CHANCE.randrange(len(some))
        which = [(first + i) % len(some) for i in range(count)]
        for name, row in {**rows, "copies of its last image": some[which[-1:]]}.items():
            rest = row.expand(size - count, *row.shape[1:])
            for place, batch in ((0, [some[which], rest]), (size - count, [rest, some[which]])):
                try:
                    found = net(torch.cat(batch))[place : place + count]
                except NETWORK_ERRORS as error:
                    if is_short(error):
                        return  # nor have servers room for more
                    raise
                asking.expect_same(found, f"in a batch filled up with {name}", which)


def _fillings(*, many: bool) -> Iterator[tuple[int, int]]:
    """Rows of a batch, and how many of them are images: one, all but one, and a drawn number.

    Of the sizes one is drawn. A slow network gets a small batch with a drawn number.
    """
    for size in (*_FILLED, _CHANCE.choice(_SIZES)) if many else _FILLED[:1]:
        drawn = _CHANCE.randrange(1, size)
        for count in sorted({1, size - 1, drawn} if many else {drawn}):
            yield size, count


def ask_in_company(asking: Asking, others: Others | None) -> None:
    """Asks images in batches of several sizes, no two rows of which are the same image.

    The rest of a batch are `others`, as many as can be had at once, and then images that were moved
    by a few pixels. Half of the batches lie elsewhere in memory. A batch that would take too much
    time or memory is not asked, nor a larger one, and one for which the network raises an error is
    left out, since its users would see that. Of a batch that was asked is looked at how much the
    next one would take.
    """
    asked, seconds, gib = len(asking.inputs), asking.seconds, 0.0
    company = asking.images[:0]
    small = _SMALL if asking.is_quick else sorted(_CHANCE.sample(_SMALL, _OF_SLOW))
    for rows in (*small, *_LARGE):
        if gib * rows / asked > _GIB:
            return
        if seconds * rows / asked > _SECONDS.get(rows, _SECONDS_OF_OTHERS):
            if rows in _SECONDS:
                return
            continue
        if others is not None and len(company) < rows:
            started = time.perf_counter()
            company = others(min(rows, _MOST_OTHERS)).to(asking.images)
            if time.perf_counter() - started > _READING or len(company) < rows:
                others = None  # further ones would take too long, or there are none
        reset_peak()
        before, started = peak_gib(), time.perf_counter()
        try:
            which, found = _in_company(asking, rows, company)
        except AuditError:  # of our own looks: a server answers there
            raise
        except (*NETWORK_ERRORS, MemoryError) as error:
            if isinstance(error, MemoryError) or is_short(error):
                return
            continue
        asking.expect_same(found, f"in a batch of {rows:,}", which)
        asked, seconds = rows, time.perf_counter() - started
        gib = peak_gib() - before


def ask_in_company_inside(asking: Asking, ways: Iterable[tuple[str, Inside]]) -> None:
    """Asks a batch of a drawn size inside each of some contexts, which are named in words.

    The rest of a batch are images that were moved. A batch for which the network raises an error is
    left out, as above; none takes much more than 1 s or 1 GiB of memory.
    """
    asked = len(asking.inputs)
    most, gib = min(_MOST_INSIDE, int(_SECONDS_INSIDE * asked / asking.seconds)), 0.0
    bound = min(most, 2 * asked)  # until it is known how much memory a row takes
    for form, inside in ways if most > 1 else ():
        rows = _CHANCE.randint(min(bound, _LEAST_INSIDE), bound)
        reset_peak()
        before = peak_gib()
        try:
            which, found = _in_company(asking, rows, asking.images[:0], inside)
        except AuditError:  # of our own looks: a server answers there
            raise
        except (*NETWORK_ERRORS, MemoryError):
            continue
        asking.expect_same(found, f"in a batch of {rows:,} {form}", which)
        gib = max(gib, (peak_gib() - before) / rows)
        bound = max(min(most, int(_GIB / gib)), 1) if gib > 0 else most


def ask_in_order(asking: Asking, in_order: Others) -> None:
    """Asks a batch in the order of the data, and the same images in a drawn one, all of them.

    An audit asks a folder class by class, and a server does not.
    """
    rows = min(_IN_ORDER, int(_SECONDS[_IN_ORDER] * len(asking.inputs) / asking.seconds))
    if rows < 2:
        return
    inputs = asking.classifier.normalised(in_order(rows).to(asking.images))
    drawn = _CHANCE.sample(range(len(inputs)), len(inputs))
    again = inputs[drawn]  # a copy, before the network may write into the first
    try:
        usual = asking.classifier.net(inputs)
        with asking.anywhere():
            found = asking.classifier.net(again)
    except AuditError:  # of our own looks: a server answers there
        raise
    except NETWORK_ERRORS:
        return  # an audit asks no such batch either
    asking.expect_same(found, "in another order of a batch", drawn, usual)
    expect_one_class(usual)


def _in_company(
    asking: Asking, rows: int, company: Tensor, inside: Inside | None = None
) -> tuple[list[int], Tensor]:
    """Images, and their logits (n, K) from drawn rows of a batch of `rows` images."""
    count = min(rows, len(asking.inputs))
    which = _CHANCE.sample(range(len(asking.inputs)), count)
    places = _CHANCE.sample(range(rows), count)
    if (missing := rows - len(company)) > 0:
        known = torch.cat([company, asking.images])
        company = torch.cat([company, pixel_forms.moved(known, missing)])
    batch = asking.classifier.normalised(company[:rows])
    batch[places] = asking.inputs[which]
    with inside or asking.anywhere():
        return which, asking.classifier.net(batch)[places].detach()
