"""Prints, as pip's constraints, the lowest version of each package that pyproject.toml allows.

Only of what users install (the base and the extra `audit`): developers' tools are always new.
"""

import re
import tomllib
from pathlib import Path

_BOUND = re.compile(r"([\w.-]+)>=([\w.]+)")

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
for requirement in [*project["dependencies"], *project["optional-dependencies"]["audit"]]:
    if bound := _BOUND.match(requirement):
        print(f"{bound[1]}=={bound[2]}")
