"""scaffold: the config of an audit that suits a registered model, its data and a time budget."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from audits.checks._shared.trials import noise_samples
from audits.checks.base import Check
from audits.checks.input_doctor import InputDoctor
from audits.checks.performance import Performance
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.checks.shifts import Shifts
from audits.checks.swap import Swap
from audits.config.audit import AuditConfig
from audits.config.policy import Policy
from audits.config.reading import parse_config
from audits.data import sources
from audits.errors import AuditError, few, one_line, quoted
from audits.evidence.evidence import Evidence
from audits.execution import fork_server
from audits.execution.inputs import AuditInputs
from audits.execution.session import Session
from audits.execution.worker import Worker, WorkerFailure
from audits.models import registry
from audits.models.contract import NOBODY, InputContract
from audits.verdict.coverage import about_learning
from audits.verdict.suggest import default_policy
from audits.workflows.data_guess import guessed

_DRAFT = ({"kind": "input_doctor"}, {"kind": "performance"})
_FILL_IMAGES, _LEAST_IMAGES = 100, 20
_MOST_SAMPLES, _LEAST_SAMPLES = 10_000, 16
_DRAWS = 4  # for each sample at most, as random_fill has it
_SHARE = 0.8  # of the budget; the rest is for opening the model, tuning and recording
_SHIFTED = 0.2  # of the passes that accuracy leaves, at most
_SWAPPED = 0.2  # of the passes that are left then, at most
_LEAST_SWAPPED = 1000  # images: with fewer, its condition is often not settled
_PROGRESSIVE = 0.4  # of the budget of the fills, at most
_ASKED = {"range", "mean", "std"}  # one of them must be named
_MOST_CLASSES = 20


def scaffold(model: str, data: str, minutes: float) -> tuple[str, str]:
    """A config in YAML for the model at the URI `model` and the images at the path `data`.

    `minutes` is the time that the audit may take at most on this machine. The model is opened and
    timed, and the neighbours of its input contract are tried; nothing is recorded. The second text
    says why the model could not be opened; it is empty if it was. Raises AuditError if model or
    data are not found, or if the kind of the data is not recognised.
    """
    fork_server.start()
    resolved = registry.resolve(model)
    values = guessed(data)
    draft = parse_config({"model": resolved.uri, "data": values, "checks": list(_DRAFT)})
    images = sources.load(draft.data)
    try:
        with (
            Worker(draft.limits.memory_gib) as worker,
            AuditInputs(draft, resolved, images) as inputs,
            Session(inputs, worker) as session,
        ):
            fills = not session.setting.lacks("gradients")
            seconds = session.cost().seconds_per_pass
            passes = minutes * 60 * _SHARE / seconds
            checks, told = sized(len(images), passes, fills)
            if fills and told:
                enough = enough_passes(len(images), passes) * seconds / 60 / _SHARE
                told = (*told, f"init --minutes {enough:.2g} has room for all.")
            told = (*told, *_proposed(session))
            doctor = session.tried(InputDoctor())
            body = [*_preprocessing(session, doctor), *_checks(checks, told), *_policy(checks)]
            known = [f"A pass takes {seconds:.2g} s here; sized for {minutes:g} min at most."]
            refusal = ""
    except (AuditError, WorkerFailure) as error:
        refusal = " ".join(str(error).split())
        checks = (InputDoctor(), Performance(), Shifts())
        body = [*_checks(checks, ()), *_policy(checks)]
        if "class_map" in refusal:
            body = [*_class_map(images.classes), *body]
        known = [f"The model could not be opened: {refusal}"]
    head = [
        f"# Written by fillblanks init for {one_line(resolved)}.",
        *(f"# {one_line(line)}" for line in known),
    ]
    text = "\n".join([*head, "", *_block({"model": model}), "", *_block({"data": values}), *body])
    return text + "\n", refusal


def _proposed(session: Session) -> Iterator[str]:
    """Further checks and fields, as comments of the config."""
    if not session.setting.lacks("probabilities"):
        if session.setting.lacks("gradients") or len(session.images) < _LEAST_SWAPPED:
            yield "- {kind: swap}  # optional: does a piece of one class turn other images into it?"
        yield "- {kind: calibration}  # optional: is the model as often right as it is sure?"
    data = session.config.data.model_dump()
    own = {value for name, value in data.items() if name.endswith("_column")}
    columns = [name for name in session.images.columns.names if name not in {*own, "file_name"}]
    if columns:
        yield (
            f"The data's table has the columns {few(columns)}: with slices: [...] performance says "
            "how often the images with each value are named right."
        )


def sized(
    images: int, passes: float, fills: bool = True
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """Checks that take at most about `passes` passes, and sentences about all that is left out.

    `images` is the number of images; without `fills` the model has no gradient at its input.
    """
    doctor = InputDoctor() if images > 64 else InputDoctor(images=images)
    left = passes - doctor.most_passes(min(64, images))
    few = max(_LEAST_IMAGES, int(left / 2))
    performance = Performance() if few >= images else Performance(images=few)
    left -= min(few, images)
    few = max(_LEAST_IMAGES, int(left * _SHIFTED / Shifts().passes(1)))
    shifts = Shifts() if few >= images else Shifts(images=few)
    left -= shifts.passes(min(few, images))
    if not fills:
        return (doctor, performance, shifts), (
            "The model has no gradient at its input: no fill applies.",
        )
    told = []
    if left < 0:
        told.append("These checks may need more minutes.")
    found: list[Check] = [doctor, performance, shifts]
    few = min(int(left * _SWAPPED / Swap().passes(1)), images)
    if few >= _LEAST_SWAPPED:
        found.append(Swap() if few == images else Swap(images=few))
        left -= found[-1].most_passes(few)
    elif images >= _LEAST_SWAPPED:
        told.append("swap is left out for want of minutes.")
    progressive = ProgressiveFill()
    count = int(left * _PROGRESSIVE / progressive.passes(1))
    if count >= _LEAST_IMAGES or count >= images:
        found.append(progressive if count >= images else ProgressiveFill(images=count))
        left -= found[-1].most_passes(min(count, images))
    else:
        told.append("progressive_fill is left out for want of minutes.")
    for count in (_FILL_IMAGES, _FILL_IMAGES // 2, _LEAST_IMAGES):
        count = min(count, images)
        samples = min(_samples(left / (count * _DRAWS)), _MOST_SAMPLES)
        if samples >= _LEAST_SAMPLES:
            found.insert(3, RandomFill(images=count, samples=samples))
            break
    else:
        told.append("random_fill is left out for want of minutes.")
    return tuple(found), tuple(told)


def enough_passes(images: int, passes: float) -> float:
    """About the least number of passes, above `passes`, for which `sized` leaves nothing out."""
    while sized(images, passes)[1]:
        passes = max(1.1 * passes, 1)
    return passes


def _samples(accepted: float) -> int:
    """Samples of random_fill, if an image may have so many accepted draws, its trial included."""
    samples = int(accepted / 2)
    return samples if noise_samples(samples) == samples else int(accepted) - noise_samples(samples)


def _preprocessing(session: Session, doctor: Evidence) -> Iterator[str]:
    """The input contract as commented lines with their sources, and the findings about it."""
    inputs = session.inputs
    contract = inputs.files.contract
    asked = _ASKED if not _ASKED & contract.sources.keys() else set()
    yield ""
    yield "# How an image becomes the model's input, and who says so. To set a field, delete the #"
    yield "# that begins its line, and the # before `preprocessing:`."
    yield "#preprocessing:"
    for name, value in _fields(contract).items():
        source = contract.sources.get("height" if name == "size" else name, "default")
        if name in asked:
            source = f"{NOBODY}: set one of range, mean and std"
        yield f"#  {_flow({name: value})[1:-1]}".ljust(34) + f"  # {one_line(source)}"
    classes = inputs.images.classes
    source = one_line(contract.source("classes"))
    if len(classes) <= _MOST_CLASSES:
        yield f"#  {_flow({'classes': list(classes)})[1:-1]}".ljust(34) + f"  # {source}"
    else:
        ends = f"from {quoted(classes[0])} to {quoted(classes[-1])}"
        yield f"# The logits have {len(classes)} classes, {ends}: {source}"
    found = [f"Not found out: {question}" for question in inputs.questions]
    found += [*inputs.notes, f"input_doctor: {doctor.sentence}"]
    yield from (f"# {one_line(line)}" for line in found)


def _class_map(classes: Sequence[str]) -> Iterator[str]:
    """A commented `class_map` with one line for each class of the data, to be filled in."""
    yield ""
    yield "# Which class of the model each class of the data is: its name or its index. Take the #"
    yield "# from these lines, and write the model's class behind each colon."
    yield "#preprocessing:"
    yield "#  class_map:"
    yield from (f"#    {_flow({name: None})[1:-1].removesuffix(' null')}" for name in classes)


def _fields(contract: InputContract) -> dict[str, Any]:
    """The fields of `preprocessing` that have a value, as a config has them."""
    fit = contract.fit
    found = {
        "channels": fit.channels,
        "size": [fit.height, fit.width] if fit.has_size else None,
        "resize": fit.resize,
        "resize_to": fit.resize_to,
        "interpolation": fit.interpolation,
        "antialias": fit.antialias,
        "exif": fit.exif,
        "alpha": fit.alpha if fit.alpha == "drop" else list(fit.alpha),
        "range": contract.range,
        "mean": list(contract.mean),
        "std": list(contract.std),
        "layout": contract.layout,
        "dtype": contract.dtype,
    }
    return {name: value for name, value in found.items() if value is not None}


def _checks(checks: tuple[Check, ...], told: tuple[str, ...]) -> Iterator[str]:
    yield ""
    yield "checks:"
    for check in checks:
        values = {"kind": check.kind, **_changed(check)}
        yield f"  - {_flow(values)}"
    yield from (f"  # {line}" for line in told)


def _changed(check: Check) -> dict[str, Any]:
    """The fields of a check that have not their default."""
    return check.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})


def _policy(checks: tuple[Check, ...]) -> Iterator[str]:
    """The default conditions; those that compare with a baseline are comments."""
    policy = default_policy(checks, AuditConfig.model_fields["policy"].default.min_coverage)
    yield ""
    yield "# baseline: models:/...  # a version to compare with, for the conditions on max_drop"
    yield "policy:"
    yield f"  min_coverage: {policy.min_coverage:g}"
    yield "  conditions:           # each must hold on the worse end of its 95 % interval"
    for condition in policy.conditions:
        line = _flow(condition.model_dump(mode="json", exclude_none=True))
        yield f"    # - {line}" if condition.max_drop is not None else f"    - {line}"
    yield from _without_baseline(policy, checks)


def _without_baseline(policy: Policy, checks: tuple[Check, ...]) -> Iterator[str]:
    """Comments with conditions on what the model has learnt, if none is without a baseline."""
    alone = {condition.metric for condition in policy.alone.conditions}
    every = [condition.metric for condition in policy.conditions]
    learnt = {f"{check.name}/{name}" for check in checks for name in about_learning(check)}
    if alone & learnt or not learnt.intersection(every):
        return
    yield "    # Without a baseline these judge what the model has learnt; else it passes in part:"
    for metric in every:
        if metric in learnt:
            yield f"    # - {_flow({'metric': metric, 'min_lift': 0})}"


def _block(values: dict[str, Any]) -> list[str]:
    return yaml.safe_dump(values, sort_keys=False).rstrip().splitlines()


class _OneLine(yaml.SafeDumper):
    """Writes values on one line: the # before it makes a comment of all of it."""


_OneLine.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "\n" in text else None
    ),
)


def _flow(values: dict[str, Any]) -> str:
    text: str = yaml.dump(
        values, Dumper=_OneLine, sort_keys=False, default_flow_style=True, width=math.inf
    )
    return text.strip()
