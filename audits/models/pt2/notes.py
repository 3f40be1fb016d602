"""Notes of an archive, which the new archive is without: torch must be able to read them.

torch reads them from the archive of the owner, and does not load a network whose notes it cannot
read. Their forms are those of torch._export.serde.serialize in torch 2.15.
"""

from audits.models.pt2.documents import Json, document, field, items, mapping, refused, text

_STACKS = {"nn_module_stack": 3, "source_fn_stack": 2}  # parts of each item
_OPENING, _CLOSING = "([", ")]"


def expect_notes(value: Json) -> None:
    """Raises ModelRefused if torch could not read the metadata of a node."""
    notes = {key: text(one, f"the note {key}") for key, one in mapping(value, "notes").items()}
    for key, count in _STACKS.items():
        for item in notes[key].split(";") if notes.get(key) else ():
            if _parts(item, nested=key == "nn_module_stack") != count:
                raise refused(f"{count} parts of a note {key}", item)
    if notes.get("custom"):
        document(notes["custom"].encode())
    if notes.get("from_node"):
        _expect_sources(document(notes["from_node"].encode()))


def expect_calls(value: Json) -> None:
    """Raises ModelRefused if torch could not read the calls of a network's modules."""
    for one in items(value, "modules"):
        text(field(one, "fqn", "a module"), "the name of a module")
        if signature := field(one, "signature", "a module"):
            for key in ("inputs", "outputs"):
                items(field(signature, key, "the call of a module"), key)
            for key in ("in_spec", "out_spec"):
                text(field(signature, key, "the call of a module"), key)


def _parts(item: str, nested: bool) -> int:
    """The parts between commas; if `nested`, commas inside of brackets are none."""
    depth, parts = 0, 1
    for one in item:
        depth += nested * ((one in _OPENING) - (one in _CLOSING))
        parts += one == "," and depth == 0
    return parts


def _expect_sources(value: Json) -> None:
    """Sources of a node, each with sources of its own."""
    for one in items(value, "sources of a node") if value is not None else ():
        if one is not None:
            text(mapping(one, "a source of a node").get("action") or "", "an action")
            _expect_sources(one.get("from_node"))
