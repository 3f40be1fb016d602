"""Refuses folders of another user, who could write what an audit reads from them."""

import os
from pathlib import Path

from audits.errors import AuditError


def expect_own(kind: str, folder: Path, root: Path, cure: str) -> None:
    """Raises AuditError for a folder whose content, or a link that leads to it, is another user's.

    `root` is what is read in `folder`; `kind` and `cure` are words of the message.
    """
    places = [place for place in (folder, root) if place.is_symlink()]
    owners = {place: place.lstat().st_uid for place in places}
    owners |= {place.resolve(): place.stat().st_uid for place in places if place.exists()}
    if root.exists():
        owners[root.resolve()] = root.stat().st_uid
    for place, owner in owners.items():
        if owner != os.geteuid():
            raise AuditError(
                f"Expected {kind} of your own, got {folder}, where {place} belongs to the user "
                f"{owner}. {cure}"
            )
