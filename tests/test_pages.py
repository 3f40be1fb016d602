"""Pages, examples and lists of packages agree with the files that they describe."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[1]
_PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/*.md")
    for page in _ROOT.glob(pattern)
)
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
_MADE_WITH_THE_SITE = {"guide.md", "contributing.md", "security.md", "changelog.md", "speed.md"}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_links_of_pages_lead_to_files(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    here = [link for link in links if "://" not in link]
    broken = [link for link in here if not (page.parent / link).exists()]
    assert [link for link in broken if Path(link).name not in _MADE_WITH_THE_SITE] == []


def test_the_workflow_to_copy_is_the_one_that_the_docs_explain():
    explained = re.findall(
        r"```yaml\n(name: audit\n.*?)```", (_ROOT / "docs/operation.md").read_text(), re.DOTALL
    )
    assert explained == [(_ROOT / "examples/ci/audit.yml").read_text()]


def test_tested_versions_are_versions_that_are_allowed():
    pinned = dict(
        line.split("==")
        for line in (_ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    versions = {canonicalize_name(name): version for name, version in pinned.items()}
    asked = [_PROJECT["dependencies"], *_PROJECT["optional-dependencies"].values()]
    for requirement in (Requirement(text) for some in asked for text in some):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_lowest_versions_are_the_lower_bounds_of_what_users_install():
    done = subprocess.run(
        [sys.executable, _ROOT / ".ci/lowest.py"], capture_output=True, text=True, check=True
    )
    lowest = dict(line.split("==") for line in done.stdout.splitlines())
    for text in [*_PROJECT["dependencies"], *_PROJECT["optional-dependencies"]["audit"]]:
        requirement = Requirement(text)
        bounds = [part.version for part in requirement.specifier if part.operator == ">="]
        assert [lowest[requirement.name]] == bounds if bounds else requirement.name == "fastapi"


@pytest.mark.soak
def test_the_quickstart_writes_its_picture_and_nothing_else(tmp_path):
    folder = tmp_path / "pictures"
    command = [sys.executable, _ROOT / "examples/quickstart.py", folder]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["digits.png"]
    accuracies = [float(n) for n in re.findall(r"accuracy (\S+),", done.stdout)]
    plain, noise = (float(n) for n in re.findall(r"own fills (\S+)", done.stdout))
    assert min(accuracies) > 0.95
    assert noise > plain + 0.1
