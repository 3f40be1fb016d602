"""Forms of pixels agree but for rounding, and nobody can foresee them."""

from functools import partial

import torch

from audits.execution import pixel_forms


def test_nobody_can_foresee_the_forms():
    images = torch.rand(2, 1, 8, 8)
    bits = partial(pixel_forms.of_pixels, dtype=torch.float32)
    for form in (bits, pixel_forms.of_more_bits, pixel_forms.resized):
        assert not torch.equal(form(images), form(images))


def test_formulas_agree_but_for_rounding():
    levels = torch.arange(256.0).expand(3, 1, 256)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    exact = (levels.double() / 255 - torch.tensor(mean).double().reshape(3, 1, 1)) / torch.tensor(
        std
    ).double().reshape(3, 1, 1)
    found = [formula(levels) for formula in pixel_forms.formulas(mean, std)]
    assert len(found) > 10
    assert all((one - exact).abs().max() < 1e-5 for one in found)
    assert len({one.numpy().tobytes() for one in found}) == len(found)


def test_some_lattices_are_drawn_for_a_network_that_is_slow():
    drawn = [tuple(pixel_forms.lattices(all_of_them=False)) for _ in range(20)]
    assert {len(set(names)) for names in drawn} == {4}
    assert {names[0] for names in drawn} == {"of 16 bits"}
    assert len(set(drawn)) > 1
