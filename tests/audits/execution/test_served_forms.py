"""A network that looks at the pixels or the dtype of its input is refused."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from lying_nets import MEAN, STD, AnyDtype, Lying, expect_refusal
from torch import nn

from audits.data.fit import Fit
from audits.data.imageset import ImageSet
from audits.errors import Contradicted
from audits.execution import pixel_forms
from audits.execution.served_forms import expect_same_answers
from fillblanks import Classifier


def test_a_lie_to_whole_numbers_is_found(images):
    def whole(x):
        return bool((x == x.round()).all())

    told = expect_refusal(whole, images, mean=0.0, std=1 / 255)
    assert "pixels scaled by another formula" in told


def test_a_lie_to_all_other_bits_is_found(images):
    images = images * 0.999 + 0.0001  # no levels of 8 bits
    usual = (images - MEAN) / STD

    def others(x):
        return not all((usual == row).flatten(1).all(1).any() for row in x)

    assert "by another formula" in expect_refusal(others, images, mean=MEAN, std=STD)


def test_a_lie_to_last_bits_of_no_known_formula_is_found(images):
    levels = (images * 255).round()
    known = [formula(levels) for formula in pixel_forms.formulas([MEAN], [STD])]

    def others(x):
        return not any((table == row).flatten(1).all(1).any() for row in x for table in known)

    told = expect_refusal(others, images, mean=MEAN, std=STD, norm=([MEAN], [STD]))
    assert "other last bits for each level" in told


_LEVELS = torch.arange(256.0)
_M, _S = torch.tensor(MEAN), torch.tensor(STD)
FORMULAS = {
    "float64": ((_LEVELS.double() / 255 - MEAN) / STD).float(),
    "1/255 as a factor": (_LEVELS * torch.tensor(1 / 255) - _M) / _S,
    "scale and bias": _LEVELS * (1 / (255 * _S)) - _M / _S,
    "scale and bias of float64": _LEVELS * torch.tensor(1 / (255 * STD))
    + torch.tensor(-MEAN / STD),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_lie_to_one_formula_is_found(name, images):
    """Every pixel has just the bits of the formula, some others than those that the audit gives."""
    table, usual = FORMULAS[name], (_LEVELS / 255 - _M) / _S

    def lies(x):
        level = ((x * STD + MEAN) * 255).round().clamp(0, 255).long()
        same = [(x == one[level]).flatten(1).all(1) for one in (table, usual)]
        return bool((same[0] & ~same[1]).any())

    told = expect_refusal(lies, images, mean=MEAN, std=STD, norm=([MEAN], [STD]))
    assert "by another formula" in told


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
def test_a_lie_to_a_formula_in_the_dtype_of_the_input_is_found(dtype, images):
    levels, m, s = (torch.as_tensor(one, dtype=dtype) for one in (_LEVELS, MEAN, STD))
    usual = ((_LEVELS / 255 - _M) / _S).to(dtype)
    table = (levels * torch.tensor(1 / 255, dtype=dtype) - m) / s
    assert (table != usual).any()

    def lies(x):
        level = ((x * STD + MEAN) * 255).round().long().clamp(0, 255)
        same = [(x.to(dtype) == one[level]).flatten(1).all(1) for one in (table, usual)]
        return bool((same[0] & ~same[1]).any())

    wide = torch.promote_types(dtype, torch.float32)  # in which a network of halves is audited
    classifier = Classifier(Lying(lies).to(wide), mean=MEAN, std=STD, dtype=wide)
    norm = [MEAN], [STD]
    with pytest.raises(Contradicted, match="by another formula"):
        expect_same_answers(classifier, images, only_classes=False, norm=norm, dtype=dtype)


@pytest.mark.parametrize("name", pixel_forms.lattices(all_of_them=True))
def test_a_lie_to_a_lattice_of_pixels_is_found(name, images):
    steps = pixel_forms.lattices(all_of_them=True)[name]

    def lies(x):
        levels = (x * STD + MEAN) * 255
        off, coarse = ((n - n.round()).abs().amax() for n in (levels * steps, levels))
        return bool(off < 0.1) and bool(coarse > 0.1)

    told = expect_refusal(lies, images, mean=MEAN, std=STD, norm=([MEAN], [STD]))
    assert "with pixels of " in told


def _between(x, share):
    """Whether that share of the pixels that are not black lies between the levels of 8 bits."""
    levels = (x * STD + MEAN) * 255
    between = ((levels - levels.round()).abs() > 0.02).float().sum()
    return bool(between > share * (levels > 0.5).float().sum())


@pytest.mark.parametrize("share", [0.02, 0.8])
def test_a_lie_to_pixels_between_the_levels_is_found(share, images):
    told = expect_refusal(lambda x: _between(x, share), images, mean=MEAN, std=STD)
    assert "between the levels of 8 bits" in told


def test_a_lie_to_images_that_were_resized_as_floats_is_found(images):
    def roughness(x):
        return float(x.diff(dim=3).abs().mean())

    usual = roughness((images - MEAN) / STD)

    def lies(x):
        return _between(x, 0.8) and roughness(x) < 0.9 * usual

    assert "resized as floats" in expect_refusal(lies, images, mean=MEAN, std=STD)


def test_a_lie_to_channels_last_is_found(images):
    assert "with channels last" in expect_refusal(lambda x: not x.is_contiguous(), images)


def test_a_box_that_lies_to_doubles_is_found(images):
    def lies(x):
        return bool((x.double() != x.float()).any())

    box = Classifier(Lying(lies), mean=MEAN, std=STD)
    box.net.head = torch.nn.Linear(192, 4, dtype=torch.float64)
    box.net.register_forward_pre_hook(lambda net, given: (_doubles(given[0]),))
    with pytest.raises(Contradicted, match="by another formula"):
        expect_same_answers(
            box, images, only_classes=True, norm=([MEAN], [STD]), dtype=torch.float64
        )


def _doubles(rows):
    return rows.double()


@pytest.mark.parametrize("given", [torch.float64, torch.float16, torch.bfloat16])
def test_a_lie_to_another_dtype_is_found(given, images):
    net = AnyDtype(lambda x: x.dtype == given)
    with pytest.raises(Contradicted, match=f"given as {given}"):
        expect_same_answers(Classifier(net, mean=MEAN, std=STD), images, only_classes=False)
    honest = AnyDtype(lambda x: False)
    expect_same_answers(Classifier(honest, mean=MEAN, std=STD), images, only_classes=False)


@pytest.mark.parametrize("given", [torch.uint8, torch.int32, torch.int64])
def test_a_lie_to_pixels_as_they_are_stored_is_found(given, images):
    net = AnyDtype(lambda x: x.dtype == given)
    with pytest.raises(Contradicted, match=f"given as {given}"):
        expect_same_answers(Classifier(net, mean=0.0, std=1 / 255), images, only_classes=False)
    expect_same_answers(Classifier(net, mean=MEAN, std=STD), images, only_classes=False)


def test_a_lie_to_doubles_of_numpy_is_found(images):
    levels = (images * 255).round()
    numpys = torch.from_numpy((levels.numpy().astype("uint8") / 255 - MEAN) / STD)

    def lies(x):
        return all((numpys == row.double()).flatten(1).all(1).any() for row in x)

    net = AnyDtype(lies)
    classifier = Classifier(net, mean=MEAN, std=STD)
    with pytest.raises(Contradicted, match=r"given as torch\.float64"):
        expect_same_answers(classifier, images, only_classes=False, norm=([MEAN], [STD]))


@pytest.mark.parametrize("way", ["to 8 bits", "to 8 bits by torch", "to 8 bits by Pillow"])
def test_a_lie_to_images_as_servers_resize_them_is_found(way, images):
    raw = (images[:, :, ::2, ::2] * 255).byte().permute(0, 2, 3, 1).numpy()
    fit = Fit(3, 8, 8)
    given = ImageSet("x", ("a",), np.zeros(20, int), lambda i: raw[i], bytes, fit)
    resized = given.resized_by_servers(range(16))
    theirs = resized.pop(way)

    def lies(x):
        return all((theirs.sub(row).abs() < 1e-6).flatten(1).all(1).any() for row in x)

    of_audit = given.tensor(range(16))
    net = Classifier(Lying(lies))
    with pytest.raises(Contradicted, match="images resized to 8 bits"):
        expect_same_answers(net, of_audit, only_classes=False, resized={**resized, way: theirs})
    assert replace(given, fit=Fit(3, 4, 4)).resized_by_servers(range(16)) == {}


def test_a_lie_to_enlarged_images_is_found():
    images = torch.randint(0, 256, (16, 1, 32, 32)) / 255
    by_factor = pixel_forms.enlarged(images, all_of_them=True)
    enlarged = [found for _, by_way in by_factor for found in by_way.values()]
    assert len(enlarged) == 9
    known = torch.cat(enlarged)

    def lies(x):
        return all((known - row).abs().flatten(1).amax(1).min() < 1e-6 for row in x)

    net = Lying(lies)
    net.head = nn.Linear(1024, 4)
    with pytest.raises(Contradicted, match="enlarged 2 times to 8 bits and"):
        expect_same_answers(Classifier(net), images, only_classes=False)


def test_a_lie_to_three_equal_channels_is_found_if_nobody_names_the_channels(images):
    class AnyChannels(nn.Module):
        def __init__(self, lies):
            super().__init__()
            self.head, self.lies = nn.Linear(64, 4), lies

        def forward(self, x):
            logits = self.head(x.mean(1).flatten(1))
            return -logits if self.lies and x.shape[1] == 3 else logits

    grey = images[:, :1]
    for lies in (True, False):
        net = Classifier(AnyChannels(lies))
        expect_same_answers(net, grey, only_classes=False)
        with pytest.raises(Contradicted, match="three equal") if lies else nullcontext():
            expect_same_answers(net, grey, only_classes=False, any_channels=True)
