"""Bad input gets one line and exit code 2 before anything is recorded or written."""

import re

import pytest
from bad_data import CASES as OF_DATA
from bad_places import QUOTES, recorded

from audits import AuditError
from audits.workflows.sweep import Wanted
from flows.cli import main

_DEEP = "a: " + "[" * 5000 + "]" * 5000
_DEEP_BLOCKS = "\n".join(" " * depth + "a:" for depth in range(5000))
_RANGE = r"never holds: .* is from 0 to 1\. Give a bound"

_CASES = {
    # configs that cannot be read
    "brackets 5,000 deep": (lambda p: p.audit(p.text(_DEEP)), r"Expected YAML in .* too deep"),
    "blocks 5,000 deep": (lambda p: p.audit(p.text(_DEEP_BLOCKS)), r"YAML in .* too deep"),
    "deep policy": (
        lambda p: ["gate", "models:/m/1", "--policy", p.text(_DEEP), "--without-prefect"],
        "too deep",
    ),
    "no such day": (lambda p: p.audit(p.text("a: 2024-13-45")), r"Expected YAML in .*month"),
    "5,000 digits": (lambda p: p.audit(p.text("seed: " + "9" * 5000)), "Expected YAML in .*digits"),
    "seed 10**400": (lambda p: p.audit(seed=10**400), r"seed: Input should be less"),
    "config is a folder": (lambda p: p.audit(p.folder), "Expected a UTF-8 text file .*directory"),
    "empty config": (lambda p: p.audit(p.text("")), "Expected a mapping in"),
    "experiment without a name": (
        lambda p: p.audit(experiment=""),
        "name of an experiment, up to .*, got ''",
    ),
    "experiment of blanks": (
        lambda p: p.audit(experiment="  "),
        "name of an experiment, up to 256",
    ),
    "data at zzz": (
        lambda p: p.audit(data={"kind": "npz", "path": "zzz://x.npz"}),
        r"Expected data at zzz://x.npz, .*Protocol not known",
    ),
    # texts, counts and lists that nobody means
    "store of blanks": (lambda p: p.audit(store="  "), "store: expected a path or URI.* got ' '"),
    "store with a control character": (
        lambda p: p.audit(store="a\x00b"),
        r"store: expected a path or URI.* got 'a\\x00b'",
    ),
    "masks at a control character": (
        lambda p: p.check("evidence", regions="a\x1b[31m"),
        r"evidence\.regions: expected a path or URI, .*; or: expected a list",
    ),
    "training set at a control character": (
        lambda p: p.check("duplicates", training={"kind": "npz", "path": "a\x00.npz"}),
        "training.npz.path: expected a path or URI",
    ),
    "masks that are not there": (
        lambda p: p.check("evidence", regions="nowhere"),
        "Expected images that are files of their own, which regions are named like",
    ),
    "maps that are not there": (
        lambda p: p.check("human_maps", maps="nowhere"),
        "Expected images that are files of their own, which maps",
    ),
    "label of 101 letters": (
        lambda p: p.check("performance", label="a" * 101),
        "label: String should have at most 100 characters",
    ),
    "10**400 images": (
        lambda p: p.check("performance", images=10**400),
        "images: Input should be less than or equal to 1000000000, got 1000",
    ),
    "blank value of two kinds": (
        lambda p: p.check("sufficient_patches", blank_value=7),
        r"blank_value: Input should be less than or equal to 1, got 7; or: .* 'mean', got 7",
    ),
    "grid of 1,200 cells": (
        lambda p: p.check("ablation", binarise=[i / 300 for i in range(300)]),
        "expected a grid of at most 1,000 combinations of mask_ratio, .*, got 1,200",
    ),
    "class that is no name": (
        lambda p: p.audit(preprocessing={"classes": [0]}),
        r"classes\.0: Input should be a valid string, got 0",
    ),
    "reason of blanks": (
        lambda p: p.audit(
            policy={
                "conditions": [{"metric": "performance/accuracy", "min": 0.5}],
                "waivers": [
                    {
                        "condition": "performance/accuracy >= 0.5",
                        "reason": " ",
                        "until": "2030-01-01",
                    }
                ],
            }
        ),
        "reason: expected a text of up to 1,000 characters, got ' '",
    ),
    # stores that take nothing
    "store is a file": (lambda p: p.audit(store=str(p.file)), r"Expected a store .*file, got"),
    "store in a file": (lambda p: p.audit(store=f"{p.file}/x"), r"Expected a store .*Not a dir"),
    "store on /proc": (lambda p: p.audit(store="/proc/x"), r"Expected a store .* at /proc/x, got"),
    "store at zzz": (
        lambda p: p.audit(store="zzz://a/b"),
        r"Expected a store .*Protocol not known",
    ),
    "store at zzz, sweep": (
        lambda p: [
            "sweep",
            "--name",
            "m",
            "--config",
            p.config(store="zzz://a"),
            "--without-prefect",
        ],
        r"Expected a store .*Protocol not known",
    ),
    "prune zzz": (lambda p: ["prune", "--store", "zzz://a"], r"Expected a store .* not known"),
    "prune a file": (lambda p: ["prune", "--store", p.file], "Expected a store at .* found none"),
    "demo in a file": (
        lambda p: ["demo", "--folder", p.file, "--without-prefect"],
        r"FileExistsError: .*/file",
    ),
    # names
    "version of a quoted name": (
        lambda p: p.audit(model=f"models:/{QUOTES}/7"),
        r"Expected a model at .*found none",
    ),
    "history of a quoted name": (lambda p: ["history", QUOTES], "Expected an experiment 'audits'"),
    "history in 'training'": (
        lambda p: ["history", QUOTES, "--experiment", "training"],
        "Expected audits of .*found none",
    ),
    "sweep of an unknown quoted name": (
        lambda p: ["sweep", "--config", p.config(), "--name", f"{QUOTES}d", "--dry-run"],
        "Expected versions with name .*found none",
    ),
    "alias with a blank": (lambda p: p.promote("a b"), "Expected an alias of letters"),
    "alias latest": (lambda p: p.promote("Latest"), "Expected an alias of letters"),
    "alias v1": (lambda p: p.promote("v1"), "Expected an alias of letters"),
    "alias of 256 letters": (lambda p: p.promote("a" * 256), "Expected an alias of letters"),
    "cron nonsense": (
        lambda p: ["serve", "--config", p.config(), "--cron", "nonsense"],
        "Expected a schedule for cron.* got 'nonsense'",
    ),
    # conditions that decide nothing
    "accuracy of 7": (lambda p: p.policy("performance/accuracy", min=7.0), _RANGE),
    "accuracy below 0": (lambda p: p.policy("performance/accuracy", max=-0.1), _RANGE),
    "any accuracy": (lambda p: p.policy("performance/accuracy", max=95.0), "always holds"),
    "lift of 2": (
        lambda p: p.policy("progressive_fill/accuracy", "progressive_fill", min_lift=2.0),
        r"never holds: .*accuracy_lift is from -1 to 1",
    ),
    "lift of 2 by its name": (
        lambda p: p.policy("progressive_fill/accuracy_lift", "progressive_fill", min=2.0),
        "never holds",
    ),
    "drop of 5 per cent": (
        lambda p: p.policy("performance/accuracy", max_drop=5.0),
        r"always holds: .*accuracy_drop is from -1 to 1",
    ),
    "fewer than no draws": (
        lambda p: p.policy("random_fill/accepted_draws", "random_fill", max=-1.0),
        "never holds: .* is from 0 up",
    ),
    "no null": (lambda p: p.policy("performance/accuracy", min_lift=0.1), "it has no null"),
    "not paired": (
        lambda p: p.policy("random_fill/stability", "random_fill", max_drop=0.1),
        "it is not compared with a baseline, and so has no max_drop",
    ),
    "misspelt": (lambda p: p.policy("performance/acuracy", min=0.1), "Did you mean"),
    # checks that cannot be made on 28x28 pixels
    "blanks nothing": (lambda p: p.check("random_fill", mask_ratio=1e-4), "which blanks 0"),
    "blanks all": (lambda p: p.check("random_fill", mask_ratio=0.9999), "which blanks 196"),
    "patch larger than the image": (
        lambda p: p.check("random_fill", patch_size=100),
        "random_fill, patch_size 100 on images of 28x28: Expected at least 2 patches",
    ),
    "patch larger, progressive": (
        lambda p: p.check("progressive_fill", patch_size=100),
        "patch_size 100 on images of 28x28: Expected at least 2 patches",
    ),
    "patch larger, ablation": (
        lambda p: p.check("ablation", patch_size=[100]),
        "ablation, patch_size 100: Expected at least 2 patches",
    ),
    "a million groups": (
        lambda p: p.check("progressive_fill", groups=10**6),
        "Expected 2 to 196 groups for 196 patches, got 1000000",
    ),
    "patch larger, dry run": (
        lambda p: [*p.check("random_fill", patch_size=100), "--dry-run"],
        "Expected at least 2 patches",
    ),
    "10**18 samples": (
        lambda p: p.check("random_fill", samples=10**18),
        "samples: Input should be less than or equal to 10000000",
    ),
    "10**18 draws": (
        lambda p: p.check("random_fill", max_draws=10**18),
        "max_draws: Input should be less than or equal to 40000000",
    ),
    "10**18 samples, ablation": (
        lambda p: [*p.check("ablation", samples=10**18), "--dry-run"],
        "samples: Input should be less than or equal to 10000000",
    ),
    # what this machine, the registry or the data have not
    "memory in which nothing starts": (
        lambda p: p.audit(limits={"memory_gib": 1e-6}),
        r"Expected limits\.memory_gib with room for the process .*, got 1e-06: ",
    ),
    "its own reference": (
        lambda p: p.audit(reference="models:/m/latest"),
        "Expected another model under reference, got m v1, which is audited itself",
    ),
    "no such reference": (lambda p: p.audit(reference="models:/n/1"), "Expected a model at"),
    "versions of itself alone": (
        lambda p: p.audit(checks=[{"kind": "agreement"}], versions=["models:/m/1"]),
        "Expected other versions of the model under versions, .* got m v1 alone",
    ),
    "a class that the data have not": (
        lambda p: p.audit(preprocessing={"class_map": {"x" * 10**4: 1}}),
        r"Expected classes of .* as keys of preprocessing\.class_map, got 'xxx",
    ),
    "index 10**30": (
        lambda p: p.audit(preprocessing={"class_map": {"0": 10**30}}),
        "the name or the index of a class of the model",
    ),
    "password in an address": (
        lambda p: p.audit(data={"kind": "csv", "path": "http://bob:secret@127.0.0.1:9/t.csv"}),
        r"path: expected a URI without user and password; give them in the environment",
    ),
    "std of 1e-320": (lambda p: p.audit(preprocessing={"std": 1e-320}), r"std\.0: Input should be"),
    "images of 10**9 pixels": (
        lambda p: p.audit(preprocessing={"size": 10**9}),
        "size: expected sides of 1 to 8192 pixels, got 1000000000",
    ),
    **OF_DATA,
}


@pytest.mark.parametrize("case", _CASES)
def test_bad_input_is_one_line_and_nothing_is_recorded(case, models, place, refused):
    arguments, expected = _CASES[case]
    before, typed = recorded(), arguments(place)
    line = refused(typed)
    assert re.search(expected, line), line
    assert recorded() == before


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("sweep", "--config", "c.yaml", "--name", ""), "for --name"),
        (("sweep", "--config", "c.yaml", "--name="), "for --name"),
        (("sweep", "--config", "c.yaml", "--alias", " "), "for --alias"),
        (("gate", "models:/m/1", "--policy=--", "--config", "c.yaml"), "for --policy"),
        (("gate", "models:/m/1", "--promote", ""), "for --promote"),
        (("convert", "models:/m/1", "--name", ""), "for --name"),
        (("prune", "--store="), "for --store"),
        (("audit", ""), "for each argument"),
    ],
)
def test_a_variable_that_is_not_set_is_no_option_left_out(arguments, place, models, capfd):
    assert main(arguments) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line == f"Expected a value {place}, got an empty one. Is a variable not set?"


def test_filters_of_a_sweep_are_not_empty():
    for given in ({"name": ""}, {"alias": " "}):
        with pytest.raises(AuditError, match="to choose versions by, got an empty one"):
            Wanted(**given)


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/api",
        *(pytest.param(url, marks=pytest.mark.soak) for url in ("nonsense", "::::")),
    ],
)
def test_a_prefect_url_that_leads_nowhere_is_one_line(url, typed, config):
    file = config(policy={}, checks=[{"kind": "performance"}])
    done = typed("audit", "models:/m/1", "--config", file, PREFECT_API_URL=url)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Expected")
    assert "Prefect" in line
