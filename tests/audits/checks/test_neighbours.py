"""Neighbours of a contract differ from it, and their cures make them."""

import json
from dataclasses import replace

import pytest
import yaml

from audits.checks._input_doctor.neighbours import MOST, neighbours
from audits.data.fit import Fit
from audits.models.contract import InputContract, Said, merged
from audits.models.preprocessing import Preprocessing

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def _given(**changes):
    return replace(InputContract(Fit(3, 8, 8)), **changes)


CONTRACTS = [
    _given(),
    _given(**IMAGENET),
    _given(range="0-255", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
    _given(range="-1..1", layout="NHWC"),
    _given(fit=Fit(3, 224, 224, resize="crop", resize_to=256)),
    _given(fit=Fit(3, 224, 160, resize="pad", exif=True)),
]


@pytest.mark.parametrize("contract", CONTRACTS, ids=range(len(CONTRACTS)))
def test_the_cure_makes_the_neighbours_contract(contract):
    own = contract.to_json() | {"channels": contract.fit.channels}
    contract = replace(contract, sources=dict.fromkeys(own, "before"))
    found = neighbours(contract, 3, ("b", "a"))
    assert len([one for one in found if one.order is None]) <= MOST
    values = {(n.contract.pixel_mean, n.contract.pixel_std, n.contract.fit) for n in found}
    assert len(values) >= 5
    for one in found:
        if not one.cure.startswith("set preprocessing"):
            continue
        text = one.cure.removeprefix("set preprocessing")
        fields = yaml.safe_load(text[1:])
        named = Preprocessing.model_validate_json(json.dumps(fields)).contract_fields
        cured = merged([Said("the config", named), Said("before", own)])
        if one.order is not None:
            assert cured.classes == ("a", "b")
            continue
        assert cured.pixel_mean == pytest.approx(one.contract.pixel_mean, rel=1e-4)
        assert cured.pixel_std == pytest.approx(one.contract.pixel_std, rel=1e-4)
        assert (cured.fit, cured.layout) == (one.contract.fit, one.contract.layout)


def test_a_neighbour_that_is_the_given_contract_is_dropped():
    names = [{n.name for n in neighbours(one, 3, ("a", "b"))} for one in CONTRACTS[:4]]
    assert "range 0-1" not in names[0]
    assert "normalised twice" not in names[0]
    assert "ImageNet mean and std" not in names[1]
    assert "ImageNet mean and std" not in names[2]
    assert "range -1..1" not in names[3]
    assert all("classes by name" not in found for found in names)
    assert {n.name for n in neighbours(_given(), 1, ("a", "b"))}.isdisjoint(
        {"BGR", "NHWC", "ImageNet mean and std"}
    )
    assert {n.name for n in neighbours(_given(dtype="uint8"), 1, "a", resized=False)} == {
        "inverted",
        "EXIF",
    }


def test_images_that_keep_their_sizes_are_neither_resized_nor_turned():
    names = {n.name for n in neighbours(_given(fit=Fit(3)), 3, ("a", "b"))}
    assert names == {"range 0-255", "range -1..1", "ImageNet mean and std", "inverted"} | {
        "BGR",
        "NHWC",
    }


def test_a_neighbour_contradicts_a_source_if_it_changes_a_named_field_or_its_units():
    size = {"height": "the signature", "width": "the signature"}
    plain = InputContract(Fit(3, 8, 8), sources=size)
    named = InputContract(Fit(3, 8, 8), sources={**size, "range": "the metadata"})
    for contract, expected in ((plain, False), (named, True)):
        found = {one.name: one.contradicts for one in neighbours(contract, 3, ("a", "b"))}
        assert found["range 0-255"] == found["ImageNet mean and std"] == expected
        assert (found["crop"], found["EXIF"]) == (False, False)
        assert (found["inverted"], found["BGR"]) == (True, True)
