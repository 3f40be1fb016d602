"""Refuses folders of another user, who could write what an audit reads from them."""

import os
import stat
from pathlib import Path

from audits.errors import AuditError

_OPEN_TO_ALL = stat.S_IWOTH | stat.S_ISVTX  # everybody may move what is in it, if not sticky


def expect_own(kind: str, folder: Path, root: Path, cure: str) -> None:
    """Raises AuditError for a folder whose content, or a link that leads to it, is another user's.

    `root` is what is read in `folder`; `kind` and `cure` are words of the message.
    """
    places = [place for place in (folder, root) if place.is_symlink()]
    owners = {place: place.lstat().st_uid for place in places}
    owners |= {place.resolve(): place.stat().st_uid for place in places if place.exists()}
    if root.exists():
        owners[root.resolve()] = root.stat().st_uid
    if folder.exists():
        _expect_kept(kind, folder, cure)
    for place, owner in owners.items():
        if owner != os.geteuid():
            raise AuditError(
                f"Expected {kind} of your own, got {folder}, where {place} belongs to the user "
                f"{owner}. {cure}"
            )


def _expect_kept(kind: str, folder: Path, cure: str) -> None:
    """Raises AuditError if another user may put a folder of theirs in the place of one in it."""
    told = folder.stat()
    owned = told.st_uid in (0, os.geteuid())
    if not owned or told.st_mode & _OPEN_TO_ALL == stat.S_IWOTH:
        reason = "in which everybody may write" if owned else f"of the user {told.st_uid}"
        raise AuditError(f"Expected {kind} in a folder of your own, got {folder}, {reason}. {cure}")
