"""The places of images that the rows of a table name. Who writes a table may be a stranger."""

import re

from audits.data.copies import MLFLOW
from audits.data.places import expect_own_address, is_here, path_here
from audits.errors import AuditError, quoted

# What the rows of a table may name: copies of these end, at the size that was told.
_OF_ROWS = ("http", "https", "s3", "s3a", "gs", "gcs", "az", "hf", "local", "memory")
_IN_ARCHIVES = re.compile(r"(zip|tar|libarchive)://|(simplecache|filecache|blockcache)$")
_SERVER = re.compile(r"[^:/]+://[^/]*")


def beside(table: str, file: str) -> str:
    """The place of a file that the table at `table` names: absolute, a URI, or relative to it.

    Raises AuditError for a file in an archive of another machine, whose list of files is read into
    memory for each row, and for one on a server of another kind than `_OF_ROWS` which the table is
    not on: such a server may send without end, or nothing.
    """
    expect_own_address(file)
    *inside, last = file.split("::")
    if inside and not (is_here(last) and all(map(_IN_ARCHIVES.match, inside))):
        raise AuditError(
            f"Expected an image that is a file of its own, got {quoted(file)}, in an archive of "
            "another machine. Copy the archive here, or name it as the data's folder."
        )
    if not (is_here(last) or last.startswith(MLFLOW)) and last.partition("://")[0] not in _OF_ROWS:
        server = _SERVER.match(table)
        if server is None or not f"{last}/".startswith(f"{server[0]}/"):
            raise AuditError(
                f"Expected an image at a path, at a web address or in a bucket, got {quoted(file)}."
                " Copy the images here, or beside the table."
            )
    if not is_here(file) or file.startswith(("file://", "/")):
        return file
    if is_here(table):
        return str(path_here(table).parent / file)
    return f"{table.rpartition('/')[0]}/{file}"
