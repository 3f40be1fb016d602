"""pt2 archives of torch.export: what is loaded is an archive of ours, written from what was read.

`torch.export.load` evaluates text of an archive as shapes and guards, pastes names and texts into
Python source, unpickles, and looks operators up by name. So no archive of somebody else is given to
it. `container` reads the zip and `documents` its JSON, each strictly; `program`, `graph`,
`arguments`, `signature` and `payloads` turn the JSON into frozen dataclasses that hold only the
fields that loading needs, with names, shapes, guards and operators of the few forms that exported
networks have; `writing` writes a new archive from them; `loading` loads that.
"""

from audits.models.pt2.archive import added_texts
from audits.models.pt2.loading import load_exported
from audits.models.pt2.writing import check_archive

__all__ = ["added_texts", "check_archive", "load_exported"]
