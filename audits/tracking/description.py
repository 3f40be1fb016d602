"""The block of a version's description that belongs to the audit; the text around it stays."""

import re
from collections.abc import Callable

_LONGEST = 5000  # characters of a description that MLflow's database keeps
# Last, since MLflow's list of versions shows the beginning of the text as it is written.
_MARKER = "<!-- fillblanks audit -->"
_BEGINS = r"^Audit [a-z0-9, ]+, \d{4}-\d\d-\d\d\."
_OWN = rf"{_BEGINS}(?:(?!{_BEGINS}).)*?{_MARKER}"
_OLD = r"<!-- fillblanks audit: begin -->.*?<!-- fillblanks audit: end -->"  # of older releases
_BLOCK = re.compile(f"{_OWN}|{_OLD}", re.DOTALL | re.MULTILINE)


def with_block(description: str, block: Callable[[int], str]) -> str:
    """The description with one block of the audit: in the place of the last one, else at the end.

    `block` is given the most characters that the block may have, and begins with the line of
    `audits.report.markdown.first_line`. It is left out if the text around it leaves no room.
    """
    found = list(_BLOCK.finditer(description))
    before, after = description, ""
    if found:
        before, after = description[: found[-1].start()], description[found[-1].end() :]
    before = "\n\n".join(part.strip() for part in _BLOCK.split(before) if part.strip())
    around = [before, after.strip()]
    room = _LONGEST - sum(map(len, around)) - len(_MARKER) - len("\n\n") * 3
    own = f"{block(room)}\n\n{_MARKER}" if room > 0 else ""
    whole = "\n\n".join(part for part in (around[0], own, around[1]) if part)
    if len(whole) > _LONGEST:
        return "\n\n".join(part for part in around if part)
    return whole
