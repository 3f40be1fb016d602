"""Words for errors that are no mistakes of ours: of the machine, and of MLflow."""

import errno
import os
import shutil
import sys
import tempfile
from pathlib import Path

from audits.errors import shortened

_LONGEST = 400  # characters of a line
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def told(error: Exception) -> str | None:
    """One line for an error of files, network, MLflow or Prefect's settings; None for any other."""
    if isinstance(error, OSError):
        full = _room() if error.errno in _FULL and error.filename is None else ""
        return shortened(
            f"Expected files and network that can be used, got {type(error).__name__}: "
            f"{error}.{full} Mend that, and run it again.",
            _LONGEST,
        )
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return shortened(
            f"Expected files and folders whose names are UTF-8, got {error.object!r}. Name or "
            "rename them so, and run it again.",
            _LONGEST,
        )
    if _is(error, "mlflow.exceptions", "MlflowException"):
        uri = sys.modules["mlflow"].get_tracking_uri()
        return shortened(f"Expected MLflow at {uri} to do as asked, got: {error}", _LONGEST)
    if _is(error, "google.protobuf.json_format", "ParseError"):
        uri = sys.modules["mlflow"].get_tracking_uri()
        return shortened(f"Expected MLflow's answers from {uri}, got: {error}", _LONGEST)
    if _is(error, "pydantic", "ValidationError") and getattr(error, "title", "") == "Settings":
        return shortened(f"Expected settings that Prefect takes, got: {error}", _LONGEST)
    return None


def _is(error: Exception, module: str, name: str) -> bool:
    """Whether it is of this class; a module that no command has needed is not imported for that."""
    known = getattr(sys.modules.get(module), name, None)
    return known is not None and isinstance(error, known)


def _room() -> str:
    """The free space where files are written: the error of a full disk does not say where."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    places = [Path(tempfile.gettempdir()), cache, Path.cwd()]
    free = {place: shutil.disk_usage(place).free for place in places if place.exists()}
    rooms = (f"{room / 1e6:,.0f} MB in {place}" for place, room in free.items())
    return f" Free: {', '.join(rooms)}."
