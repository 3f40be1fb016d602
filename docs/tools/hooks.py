"""Pages that lie outside docs/, where other tools look for them, become pages of the site.

A page has one source: CONTRIBUTING.md in the root is what GitHub shows and what the site shows.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[2]
_PAGES = {
    "README.md": "guide.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/results.md": "speed.md",
}
_TO_EXAMPLES = re.compile(r"\[([^]]+)\]\(examples/[^)]*\)")  # code, which the site does not have


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages, with links that fit the site."""
    for source, page in _PAGES.items():
        text = (_ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        for other, target in _PAGES.items():
            text = text.replace(f"]({other}", f"]({target}")
        text = _TO_EXAMPLES.sub(r"\1", text)
        files.append(File.generated(config, page, content=text))
    return files
