"""`preprocessing.class_map`: the logits that a config names for classes of the data."""

from collections.abc import Mapping, Sequence

import yaml

from audits.errors import AuditError, few, quoted, shortened
from audits.models.class_keys import Lookup
from audits.models.class_names import distinct


def expect_keys_of(class_map: Mapping[str, object], data: Sequence[str], origin: str) -> None:
    """Raises AuditError if a key of `class_map` is no class of the data."""
    for name in sorted(class_map.keys() - set(data)):
        raise AuditError(
            f"Expected classes of {origin} ({few(data)}) as keys of preprocessing.class_map, got "
            f"{quoted(name)}."
        )


def chosen_index(name: str, target: str | int, model: Lookup | None) -> int:
    """The index that `class_map` means by `target`."""
    key = f"preprocessing.class_map.{quoted(name)}"
    if isinstance(target, int):
        if model is not None and target >= len(model.names):
            raise AuditError(
                f"Expected an index below {len(model.names)}, the number of classes of the model, "
                f"under {key}, got {target}."
            )
        return target
    if model is None:
        raise AuditError(
            f"Expected an index under {key}, since nobody names the model's classes, got "
            f"{quoted(target)}."
        )
    shown = distinct(model.names)
    if target in shown:
        return shown.index(target)
    indices, _ = model.find(target)
    if not indices:
        raise AuditError(
            f"Expected a class of the model ({few(shown)}) or its index under {key}, got "
            f"{quoted(target)}."
        )
    return only_index(target, indices, model)


def only_index(name: str, indices: list[int], model: Lookup) -> int:
    """The one index; raises AuditError if there are more, with the cure."""
    if len(indices) == 1:
        return indices[0]
    line = yaml.safe_dump({shortened(name): indices[0]}, default_flow_style=True, width=10_000)
    cure = f"Say which is meant by its index: preprocessing.class_map: {line.strip()}."
    meant = {model.names[i] for i in indices}
    if len(meant) == 1:
        stands = f"{len(indices)} times: {few(indices)}"
        if len(indices) == 2:
            stands = f"twice: {indices[0]} and {indices[1]}"
        raise AuditError(
            f"Expected one class of the model for {quoted(name)}, but {quoted(*meant)} "
            f"stands {stands}. {cure}"
        )
    found = few(f"{quoted(model.names[i])} ({i})" for i in indices)
    raise AuditError(f"Expected one class of the model for {quoted(name)}, got {found}. {cure}")
